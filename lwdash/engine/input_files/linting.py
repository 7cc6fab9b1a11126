"""Checks of the rows as a model would get them, before any run, in a child process."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lwdash.child.job_results import ComparedLabels, Failure, LintReport
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.linter.findings import SEVERITIES, Finding, generated_finding
from lwdash.engine.input_files.file_inspection import ask_child
from lwdash.engine.input_files.label_findings import label_findings
from lwdash.engine.job_building import compare_labels_job, lint_job
from lwdash.engine.stage_cache import stage_handlers
from lwdash.engine.tensorflow_need import may_need_tensorflow
from lwdash.settings import Settings
from storage.records import StoredFile
from storage.store import Store


@dataclass(frozen=True)
class Linted:
    """findings: the most severe first. rows: rows of each part. error: why the rows cannot be prepared; the
    rest is empty then. task, task_note: the task of the labels, and its source.
    """

    findings: tuple[Finding, ...] = ()
    rows: Mapping[str, int] | None = None
    error: str | None = None
    task: str | None = None
    task_note: str | None = None

    @property
    def stop(self) -> Finding | None:
        """The finding that prevents every run, None where there is none."""
        return next((finding for finding in self.findings if finding.stops), None)

    def summary_lines(self) -> list[str]:
        """One line per finding, for the log of a run."""
        if self.error:
            return [f"linter: {self.error}"]
        return [f"{finding.severity}: {finding.what} [{finding.code}]" for finding in self.findings]


def lint_data(
    settings: Settings,
    store: Store,
    *,
    model_row: StoredFile,
    data_row: StoredFile,
    chosen: DataSettings,
    own_parts: Mapping[str, StoredFile] | None = None,
) -> Linted:
    """Findings of the linter. The prepared rows are cached, so that runs need not read the file again.

    model_row, data_row, own_parts: inspected files. The reports of the last few calls are kept.
    """
    if chosen.generated is not None:
        return Linted((generated_finding(chosen.generated),))
    parts = own_parts or {}
    key = json.dumps(
        [
            model_row.sha256,
            (model_row.facts or {}).get("code"),
            data_row.sha256,
            {p: r.sha256 for p, r in parts.items()},
            chosen.to_dict(),
        ]
    )
    if key not in _REPORTS:
        report = _ask(settings, store, model_row, data_row, chosen, parts)
        if isinstance(report, Failure) and report.is_fault:
            return Linted(error=report.error)
        while len(_REPORTS) >= MAX_REPORTS:
            _REPORTS.pop(next(iter(_REPORTS)))
        _REPORTS[key] = report
    report = _REPORTS[key]
    if isinstance(report, Failure):
        return Linted(error=report.error)
    return Linted(
        tuple(Finding.from_dict(finding) for finding in report.findings),
        report.rows,
        task=report.task,
        task_note=report.task_note,
    )


def _ask(
    settings: Settings,
    store: Store,
    model_row: StoredFile,
    data_row: StoredFile,
    chosen: DataSettings,
    parts: Mapping[str, StoredFile],
) -> LintReport | Failure:
    """The linter's report, with the findings on the labels where they can be compared with the model."""
    files = (model_row, data_row, chosen, parts)
    handlers = stage_handlers(store)
    report = ask_child(settings, lint_job(store, *files), LintReport, handlers)
    if isinstance(report, Failure) or not report.has_classes:
        return report
    compared = ask_child(
        settings,
        compare_labels_job(store, *files),
        ComparedLabels,
        handlers,
        needs_tensorflow=may_need_tensorflow(store, model_row.sha256, ()),
    )
    findings = [finding.to_dict() for finding in label_findings(compared, chosen, report.label)]
    ordered = sorted([*report.findings, *findings], key=lambda finding: SEVERITIES.index(finding["severity"]))
    return replace(report, findings=tuple(ordered))


_REPORTS: dict[str, LintReport | Failure] = {}
MAX_REPORTS = 32
