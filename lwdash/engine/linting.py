"""Looking at the rows as a model would get them, before any run, in a child process."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.linter.findings import SEVERITIES, Finding
from lwdash.engine.child_process import Handler
from lwdash.engine.file_inspection import ask_child
from lwdash.engine.label_findings import label_findings
from lwdash.engine.stage_cache import find_stage, keep_stage
from lwdash.settings import Settings
from storage.store import Store


@dataclass(frozen=True)
class Linted:
    """findings: the gravest first. rows: rows of each part. error: why the rows cannot be prepared; then the
    rest is empty. task, task_note: what the labels are for, and why."""

    findings: tuple[Finding, ...] = ()
    rows: Mapping[str, int] | None = None
    error: str | None = None
    task: str | None = None
    task_note: str | None = None

    @property
    def stop(self) -> Finding | None:
        """The finding that no run may be started on, None where there is none."""
        return next((finding for finding in self.findings if finding.stops), None)


def lint_data(
    settings: Settings,
    store: Store,
    *,
    model_row: Mapping[str, Any],
    data_row: Mapping[str, Any],
    chosen: DataSettings,
    own_parts: Mapping[str, Mapping[str, Any]] | None = None,
) -> Linted:
    """What the linter finds; the prepared rows are kept for the runs, which need not read the file again.

    model_row, data_row, own_parts: rows of inspected files. The answers of the last few calls are kept.
    """
    parts = own_parts or {}
    key = json.dumps(
        [
            model_row["sha256"],
            data_row["sha256"],
            {p: r["sha256"] for p, r in parts.items()},
            chosen.to_dict(),
        ]
    )
    if key not in _ANSWERS:
        answer = _ask(settings, store, model_row, data_row, chosen, parts)
        if answer.get("is_fault"):
            return Linted(error=answer["error"])
        while len(_ANSWERS) >= MOST_ANSWERS:
            _ANSWERS.pop(next(iter(_ANSWERS)))
        _ANSWERS[key] = answer
    answer = _ANSWERS[key]
    if answer.get("error"):
        return Linted(error=answer["error"])
    return Linted(
        tuple(Finding.from_dict(found) for found in answer["findings"]),
        answer["rows"],
        task=answer.get("task"),
        task_note=answer.get("task_note"),
    )


def _ask(
    settings: Settings,
    store: Store,
    model_row: Mapping[str, Any],
    data_row: Mapping[str, Any],
    chosen: DataSettings,
    parts: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    def file(row: Mapping[str, Any]) -> dict[str, Any]:
        path = store.artifacts.local_path(row["sha256"])
        return {"path": str(path), "sha256": row["sha256"], "name": row["name"]}

    job = {
        "model_facts": model_row["facts"],
        "data_facts": data_row["facts"],
        "data": file(data_row),
        "parts": {part: file(row) for part, row in parts.items()},
        "settings": chosen.to_dict(),
    }
    handlers: dict[str, Handler] = {
        "stage": lambda message: find_stage(store, message),
        "store": lambda message: keep_stage(store, message),
    }
    answer = ask_child(settings, "lint", job, handlers)
    if answer.get("error") or not answer.get("has_classes"):
        return answer
    compared = ask_child(
        settings, "compare-labels", {**job, "model": file(model_row), "seed": chosen.seed}, handlers
    )
    findings = [finding.to_dict() for finding in label_findings(compared, chosen, answer["label"])]
    ordered = sorted(
        [*answer["findings"], *findings], key=lambda finding: SEVERITIES.index(finding["severity"])
    )
    return {**answer, "findings": ordered}


_ANSWERS: dict[str, dict[str, Any]] = {}
MOST_ANSWERS = 32
