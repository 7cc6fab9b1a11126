"""Executes the jobs about rows: inspection of data, generated rows, the linter, order of labels, rows for scripts."""

from pathlib import Path

from lwdash.child import job_results as results
from lwdash.child import jobs
from lwdash.child.kept_objects import KeptObjects, code_file, known_cut, output_ports

MAX_COMPARED_ROWS, COMPARING_SECONDS = 1000, 10.0
"""Rows on which labels are compared with the model, and the longest time that their outputs may take."""


def inspect_data(kept: KeptObjects, job: jobs.InspectData) -> results.Inspected:
    from lwdash.datasets.data_inspection import inspect_data

    facts = inspect_data(
        Path(job.file.path), label=job.label, delimiter=job.delimiter, has_header=job.has_header
    )
    return results.Inspected(facts.to_dict())


def generate_rows(kept: KeptObjects, job: jobs.GenerateRows) -> results.RowsGenerated:
    """Rows for an experiment without data, the same for the same model and seed."""
    from lwdash.generated_rows.generate import generate_rows, write_rows
    from lwdash.keras_models.custom_code.running import run_code
    from lwdash.keras_models.load import load_model
    from lwdash.keras_models.model_facts import ModelFacts
    from lwdash.keras_models.ports import with_flat_ports

    facts, code, model = ModelFacts.from_dict(job.model_facts), code_file(job.code), None
    if facts.library != "none":
        custom = None if code is None else run_code(code, facts.library)
        model = with_flat_ports(load_model(Path(job.model.path), facts, custom))
    stated = None if job.low is None or job.high is None else (job.low, job.high)
    generated = generate_rows(model, facts, seed=job.seed, stated=stated)
    write_rows(generated.arrays, Path(job.rows))
    return results.RowsGenerated(generated.method)


def lint(kept: KeptObjects, job: jobs.Lint) -> results.LintReport:
    """The linter's findings in the rows that this model would be measured on."""
    from lwdash.datasets.data_facts import DataFacts
    from lwdash.datasets.data_settings import DataSettings
    from lwdash.datasets.fit import fit_to_model
    from lwdash.datasets.linter.checks import lint
    from lwdash.datasets.linter.findings import by_severity
    from lwdash.datasets.linter.rates_check import rate_findings
    from lwdash.datasets.linter.scaling_check import Expected
    from lwdash.keras_models.model_facts import ModelFacts

    model, data = ModelFacts.from_dict(job.model_facts), DataFacts.from_dict(job.data_facts)
    settings = DataSettings.from_dict(job.settings)
    fit = fit_to_model(data, settings, *model.ports, task=model.task, labelled_task=model.labelled_task)
    dataset, _ = kept.dataset(job)
    expected = {
        s.input: Expected(s.layers, s.scale, s.offset, s.is_learnt) for s in model.scaling or () if s.is_told
    }
    found = by_severity(
        [
            *rate_findings(data.sounds, fit, settings.preprocess),
            *lint(dataset, fit, data.names, expected=expected, own_parts=tuple(job.parts)),
        ]
    )
    return results.LintReport(
        findings=tuple(finding.to_dict() for finding in found),
        rows={part: len(rows) for part, rows in dataset.parts.items()},
        label=dataset.label,
        has_classes=dataset.task in ("classification", "binary") and dataset.labels is not None,
        task=fit.task,
        task_note=fit.task_note,
    )


def compare_labels(kept: KeptObjects, job: jobs.CompareLabels) -> results.ComparedLabels:
    """Compare the labels with the classes that the model predicts; None for other tasks."""
    from lwdash.datasets.linter.checks import mixed_rows
    from lwdash.measure.accuracy import looks_like_logits, predicted_classes
    from lwdash.measure.label_readings import compare_readings
    from lwdash.measure.runner import run_within

    dataset, _ = kept.dataset(job)
    labels, task = dataset.labels, dataset.task
    if labels is None or dataset.classes is None or task not in ("classification", "binary"):
        return results.ComparedLabels(None, None)
    rows, inputs = mixed_rows(dataset, MAX_COMPARED_ROWS)
    float_file = kept.workbench(job).float_file(kept.link.progress)
    outputs = run_within(float_file, inputs, seconds=COMPARING_SECONDS)[dataset.judged(output_ports(job))]
    is_logit = known_cut(job, dataset)
    is_logit = looks_like_logits(task, outputs) if is_logit is None else is_logit
    predicted = predicted_classes(task, outputs, is_logit=is_logit)
    classes = outputs.shape[-1] if task == "classification" else 2
    compared = compare_readings(
        predicted, labels[rows[: len(outputs)]].reshape(predicted.shape), dataset.classes, classes
    )
    return results.ComparedLabels(compared.to_dict(), dataset.classes)


def evaluation_rows(kept: KeptObjects, job: jobs.EvaluationRows) -> results.PlannedRows:
    """Plans reading the evaluation rows without lwdash; writes the arrays of the plan to `job.arrays`."""
    from lwdash.datasets.data_settings import DataSettings
    from lwdash.datasets.evaluation_rows import evaluation_rows, write_arrays
    from lwdash.keras_models.model_facts import ModelFacts
    from lwdash.measure.script_ports import ports_plan
    from lwdash.tflite.reader import read_tflite

    facts, own = ModelFacts.from_dict(job.model_facts), job.parts.get("evaluation")
    dataset, _ = kept.dataset(job)
    plan, arrays = evaluation_rows(
        Path(job.data.path),
        DataSettings.from_dict(job.settings),
        *facts.ports,
        dataset,
        task=facts.task,
        labelled_task=facts.labelled_task,
        evaluation_path=Path(own.path) if own else None,
    )
    tflite, baseline = (read_tflite(Path(file).read_bytes()) for file in (job.tflite, job.baseline))
    write_arrays(Path(job.arrays), arrays)
    judged = dataset.judged(facts.ports[1])
    cut = {"is_logit": known_cut(job, dataset)}
    return results.PlannedRows({**plan, **cut, **ports_plan(tflite, baseline, dataset.inputs, judged)})


def write_project(kept: KeptObjects, job: jobs.WriteProject) -> results.ProjectWritten:
    """The project to flash of a file, with the first evaluation rows."""
    from lwdash.capsule.flash.project import write_project

    dataset, key = kept.dataset(job)
    inputs, _ = kept.part("evaluation", dataset, key)
    write_project(Path(job.zip), Path(job.tflite), inputs, title=job.title, notes=job.notes)
    return results.ProjectWritten(Path(job.zip).stat().st_size)
