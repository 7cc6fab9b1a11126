"""Executes the jobs about single files: inspection of a model, contents and differences of .tflite files, a check."""

import time
from dataclasses import replace
from pathlib import Path

from lwdash.child import job_results as results
from lwdash.child import jobs
from lwdash.child.kept_objects import KeptObjects, code_file


def inspect_model(kept: KeptObjects, job: jobs.InspectModel) -> results.Inspected:
    from lwdash.compress.tflite_model import is_tflite_file, tflite_model_facts
    from lwdash.keras_models.custom_code.live_facts import inspect_with_code
    from lwdash.keras_models.inspection import inspect_model
    from lwdash.keras_models.model_facts import CodeFacts

    path = Path(job.file.path)
    if is_tflite_file(path):
        return results.Inspected(tflite_model_facts(path, job.file.name).to_dict())
    code = code_file(job.code)
    if code is None:
        return results.Inspected(inspect_model(path).to_dict())
    facts = inspect_with_code(path, code)
    if facts.format != "savedmodel":  # it holds its computation, so the code was not run
        facts = replace(facts, code=CodeFacts(code.name, code.sha256, kept.network))
    return results.Inspected(facts.to_dict())


def inspect_tflite(kept: KeptObjects, job: jobs.InspectTflite) -> results.Inspected:
    from lwdash.tflite.graph_scan import scan_tflite
    from lwdash.tflite.port_facts import port_facts

    return results.Inspected(port_facts(scan_tflite(Path(job.file.path).read_bytes())))


def dissect(kept: KeptObjects, job: jobs.Dissect) -> results.Dissected:
    """The graph and the weight histograms of a run's file, for its page."""
    from lwdash.analyses.graph_data import dissect

    tflite, baseline = (Path(file).read_bytes() for file in (job.tflite, job.baseline))
    return results.Dissected(dissect(tflite, baseline, job.layer_names))


def compare_files(kept: KeptObjects, job: jobs.CompareFiles) -> results.ComparedFiles:
    """The differences of two .tflite files that should be the same."""
    from lwdash.tflite.differences import differences

    expected, found = (Path(file).read_bytes() for file in (job.expected, job.found))
    return results.ComparedFiles(differences(expected, found))


def check(kept: KeptObjects, job: jobs.Check) -> results.Checked:
    """Imports the libraries and takes the time."""
    started = time.monotonic()
    import ai_edge_litert.interpreter  # noqa: F401
    import h5py

    from lwdash.training.gpu_device import tested_gpu

    seconds = round(time.monotonic() - started, 2)
    return results.Checked(True, seconds, h5py.__version__, tested_gpu() if job.uses_gpu else None)
