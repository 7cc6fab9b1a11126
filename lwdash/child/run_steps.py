"""Executes the steps of runs: compressing, measuring, the details, the layer sensitivity."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lwdash.child import job_results as results
from lwdash.child import jobs
from lwdash.child.kept_objects import KeptObjects, known_cut, layer_names, output_ports
from lwdash.child.stage_link import write_scratch
from lwdash.child.target_runs import target_results
from lwdash.errors import LwdashError, ResultRejected

DETAIL_SECONDS = 0.5
"""Time limit for the metrics of single layers."""


def compress(kept: KeptObjects, job: jobs.Compress) -> results.CompressedFiles | results.Stopped:
    from lwdash.compress.hopeless import Hopeless
    from lwdash.compress.workbench import stages_record
    from lwdash.recipe import parse_recipe

    workbench = kept.workbench(job)
    try:
        compressed = workbench.compress(
            parse_recipe(job.recipe),
            kept.link.progress,
            max_drop=job.max_drop,
            is_logit=None if job.max_drop is None else known_cut(job, kept.dataset(job)[0]),
        )
    except Hopeless as hopeless:
        return results.Stopped(str(hopeless), hopeless.drop, stages_record(workbench.stages.reports))
    return results.CompressedFiles(
        str(write_scratch(compressed.tflite)),
        str(write_scratch(compressed.baseline)),
        compressed.to_dict(),
        None if compressed.stored is None else str(write_scratch(compressed.stored)),
    )


def train_stages(kept: KeptObjects, job: jobs.TrainStages) -> results.StagesTrained:
    """Train the Keras steps of a recipe on the GPU of this process. Raises LwdashError where TensorFlow finds none."""
    from lwdash.recipe import parse_recipe
    from lwdash.training.gpu_device import require_gpu

    require_gpu()
    reports = kept.workbench(job).train(parse_recipe(job.recipe), kept.link.progress)
    return results.StagesTrained(tuple(asdict(report) for report in reports))


def take_file(kept: KeptObjects, job: jobs.TakeFile) -> results.CompressedFiles:
    """Check a .tflite from somewhere else on a few rows, and make the baseline that it is measured against."""
    from lwdash.compress.cached_stages import StageReport
    from lwdash.compress.taken_file import check_taken_file
    from lwdash.compress.workbench import Compressed

    started = time.monotonic()
    dataset, _ = kept.dataset(job)
    inputs, _ = dataset.part("calibration")
    baseline = kept.workbench(job).float_file(kept.link.progress)
    kept.link.progress("checking the file", 0.8)
    tflite = Path(job.tflite.path).read_bytes()
    facts = check_taken_file(tflite, baseline, {name: rows[:2] for name, rows in inputs.items()})
    report = StageReport("checked file", time.monotonic() - started, False, 0, facts)
    compressed = Compressed(tflite, baseline, None, (report,), ())
    return results.CompressedFiles(
        str(write_scratch(tflite)), str(write_scratch(baseline)), compressed.to_dict()
    )


def measure(kept: KeptObjects, job: jobs.MeasureRun) -> results.Measured:
    """The headline metrics of a run: size, accuracy, verdict, latency."""
    from lwdash.measure.generated_metrics import as_generated
    from lwdash.measure.measure_run import measure

    dataset, key = kept.dataset(job)
    inputs, labels = kept.part("evaluation", dataset, key)
    tflite, baseline = (Path(file).read_bytes() for file in (job.tflite, job.baseline))
    measures = measure(
        tflite,
        baseline,
        inputs,
        labels,
        task=job.task,
        judged=dataset.judged(output_ports(job)),
        is_logit=known_cut(job, dataset),
        threads=job.threads,
        cache=kept.output_cache(job),
        layer_names=layer_names(job),
        progress=lambda doing, share: kept.link.progress(f"measuring {doing}", share),
        latency=_latency(kept, job, tflite, baseline, inputs),
    ).to_dict()
    if job.settings.get("generated"):
        measures = as_generated(measures)
    measures["stored_bytes"] = Path(job.stored or job.tflite).stat().st_size
    if dataset.lines is not None:
        lines = dataset.lines[dataset.parts["evaluation"]]
        measures["flips"] = [{**flip, "line": int(lines[flip["row"]])} for flip in measures["flips"]]
    bulky = {
        key: measures.pop(key)
        for key in ("layers", "ledger", "flips", "turned", "confusion", "baseline_confusion")
    }
    return results.Measured(measures, {**bulky, "classes": dataset.classes}, has_details=True)


def details(kept: KeptObjects, job: jobs.MeasureDetails) -> results.Analysed:
    """The metrics that the page of a run shows beside the headline metrics."""
    from lwdash.measure.deep_compression import deep_compression
    from lwdash.measure.generated_metrics import layers_as_generated
    from lwdash.measure.measure_run import detailed_layers
    from lwdash.targets import USUAL
    from lwdash.targets.target_programs import PROGRAMS
    from lwdash.tflite.reader import read_tflite

    PROGRAMS.prepare()  # in the time in which the layers are measured
    dataset, key = kept.dataset(job)
    inputs, labels = kept.part("evaluation", dataset, key)
    tflite = Path(job.tflite).read_bytes()
    kept.link.progress("measuring layers", 0.0)
    layers = detailed_layers(
        tflite,
        Path(job.baseline).read_bytes(),
        kept.part("calibration", dataset, key)[0],
        layer_names=layer_names(job),
        threads=job.threads,
        seconds=DETAIL_SECONDS,
    )
    if job.settings.get("generated"):
        layers = layers_as_generated(layers)
    coded = deep_compression(read_tflite(tflite), layer_names(job))
    kept.link.progress("running it on targets", 0.6)
    targets = target_results(kept.cache, tflite, job.stored, inputs, key, (*USUAL, *job.targets))
    waterfall = []
    if not job.settings.get("generated"):
        kept.link.progress("measuring the loss of each stage", 0.8)
        waterfall = _waterfall(kept, job, tflite, kept.output_cache(job), labels, dataset)
    return results.Analysed(
        {"layers": layers, "deep_compression": coded, "waterfall": waterfall, "targets": targets}
    )


def on_target(kept: KeptObjects, job: jobs.MeasureOnTarget) -> results.Analysed:
    """The result of a file on one target."""
    dataset, key = kept.dataset(job)
    inputs, _ = kept.part("evaluation", dataset, key)
    kept.link.progress(f"running it on {job.target}", 0.1)
    tflite = Path(job.tflite).read_bytes()
    found = target_results(kept.cache, tflite, job.stored, inputs, key, (job.target,))
    return results.Analysed({"targets": found})


def pack_device_rows(kept: KeptObjects, job: jobs.PackDeviceRows) -> results.Analysed:
    """The package of rows for devices; its content is a stage of the cache."""
    from lwdash.compress.cached_stages import content_key
    from lwdash.measure.timing.latency import digest
    from lwdash.targets.device.rows import pack_rows

    dataset, rows_key = kept.dataset(job)
    inputs, _ = kept.part("evaluation", dataset, rows_key)
    kept.link.progress("packing rows for devices", 0.1)
    started = time.monotonic()
    tflite, baseline = (Path(file).read_bytes() for file in (job.tflite, job.baseline))
    packed = pack_rows(tflite, baseline, inputs)
    key = content_key({"kind": "device rows", "content": digest(packed)})
    kept.cache.put(key, "device rows", packed, {}, time.monotonic() - started)
    return results.Analysed({"device_rows": digest(packed)})


def _latency(kept: KeptObjects, job: jobs.MeasureRun, tflite: bytes, baseline: bytes, inputs: Any) -> Any:
    """The run's latency: measured in one rotation with those of the runs that this child measures next."""
    from lwdash.measure.timing.latency import digest, measure_latencies

    threads = job.threads
    known: dict[tuple[str, str, int], Any] = kept.once("latencies", dict)

    def key(data: bytes) -> tuple[str, str, int]:
        return digest(data), digest(baseline), threads

    if key(tflite) not in known:
        files = [tflite, *(Path(path).read_bytes() for path in job.peers)]
        doing = f"measuring latency of {len(files)} files" if len(files) > 1 else "measuring latency"
        found = measure_latencies(
            [data for data in files if key(data) not in known],
            baseline,
            inputs,
            threads=threads,
            progress=lambda share: kept.link.progress(doing, share),
        )
        known.update({(name, digest(baseline), threads): latency for name, latency in found.items()})
    if isinstance(known[key(tflite)], LwdashError):
        raise known[key(tflite)]
    return known[key(tflite)]


def _waterfall(
    kept: KeptObjects, job: jobs.MeasureDetails, tflite: bytes, cache: Any, labels: Any, dataset: Any
) -> list[dict[str, Any]]:
    """The loss of each stage of the run; empty if an earlier stage is no longer stored."""
    from lwdash.analyses.accuracy_waterfall import measure_waterfall

    stages = [(step, kept.cache.get(step["key"])) for step in job.trail]
    trail = [(step["stage"], step["kind"], found[0].read_bytes()) for step, found in stages if found]
    if not trail or len(trail) < len(stages):
        return []
    return measure_waterfall(
        trail,
        tflite,
        cache,
        labels,
        task=job.task,
        judged=dataset.judged(output_ports(job)),
        is_logit=known_cut(job, dataset),
    )


def sensitivity(kept: KeptObjects, job: jobs.MeasureSensitivity) -> results.Analysed:
    """The loss that quantizing costs, by layer of the run's float file."""
    from lwdash.analyses.layer_sensitivity import analyse
    from lwdash.measure.timing.host_facts import this_host
    from lwdash.recipe import parse_recipe

    dataset, _ = kept.dataset(job)
    recipe = parse_recipe(job.recipe)
    float_file = Path(job.baseline)
    if recipe.keras_steps:
        found = kept.cache.get(job.trail[-1]["key"]) if job.trail else None
        if found is None:
            raise ResultRejected("the run's float .tflite is no longer stored. Start the run again first")
        float_file = found[0]
    rows, labels = dataset.part("calibration")
    sensitivity = analyse(
        float_file.read_bytes(),
        recipe,
        rows,
        labels,
        task=job.task,
        judged=dataset.judged(output_ports(job)),
        is_logit=known_cut(job, dataset),
        cores=this_host().cores,
        progress=kept.link.progress,
    )
    return results.Analysed(sensitivity.to_dict())
