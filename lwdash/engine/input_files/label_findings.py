"""Findings on the reading of labels, from their comparison with the model's own outputs in a child process."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from lwdash.child.job_results import ComparedLabels, Failure
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.linter.findings import ERROR, NOTE, WARNING, Finding

INSIST = (
    "If the labels are correct, confirm it: --trust-labels on the command line, or the tick box on the page."
)


def label_findings(
    compared: ComparedLabels | Failure, chosen: DataSettings, label: str | None
) -> list[Finding]:
    """At most one finding. label: the column of the labels."""
    if isinstance(compared, Failure):
        return [
            _finding(
                "labels-untold",
                NOTE,
                f"The labels could not be compared with the model's outputs: {compared.error}.",
                label,
                "It is unknown whether each label belongs to the right output.",
                "Check the label mapping before the first run.",
            )
        ]
    found = compared.comparison
    if found is None or found["verdict"] == "fits":
        return []
    if found["verdict"] == "cannot tell":
        return [_unconfirmed(found, label)]
    return [_contradicted(found, compared.classes or (), chosen, label)]


def _contradicted(
    found: Mapping[str, Any], classes: Sequence[str], chosen: DataSettings, label: str | None
) -> Finding:
    better, is_below = found["better"], found["verdict"] == "below chance"
    how = "as listed" if chosen.classes is not None else "as found from the data"
    what = (
        f"With the labels read in the order {_order(classes)} ({how}), the model is right on "
        f"{_percent(found['accuracy'])} of {found['rows']:,} rows"
    )
    what += (
        f", where predictions independent of the labels would be right on {_percent(found['chance'])}"
        if is_below
        else ""
    )
    if better:
        what += (
            f"; in the order {_order(better['classes'])} ({better['rule']}) on {_percent(better['accuracy'])}"
        )
    advice = "Check the order of the classes, the order of the columns and the pre-processing."
    if better:
        listed = shlex.quote(",".join(better["classes"]))
        advice = f"List the classes in the order of the outputs: --classes {listed}."
    return _finding(
        "below-chance" if is_below else "labels-contradicted",
        WARNING if chosen.trusts_labels else ERROR,
        what + ".",
        label,
        "Accuracy and every verdict would be measured with the wrong classes.",
        advice if chosen.trusts_labels else f"{advice} {INSIST}",
        fix={"classes": list(better["classes"])} if better else None,
        stops=not chosen.trusts_labels,
    )


def _unconfirmed(found: Mapping[str, Any], label: str | None) -> Finding:
    return _finding(
        "labels-untold",
        NOTE if found["rows"] < 100 else WARNING,
        f"The model's outputs cannot confirm the order of the labels: {found['reason']}.",
        label,
        "A wrong order of classes, wrong pre-processing and an untrained model look the same here.",
        "Check the label mapping, the order of the columns and the pre-processing.",
    )


def _finding(
    code: str,
    severity: str,
    what: str,
    label: str | None,
    why: str,
    advice: str,
    *,
    fix: Mapping[str, Any] | None = None,
    stops: bool = False,
) -> Finding:
    return Finding(code, severity, what, f"label '{label}'", why, advice, fix, stops)


def _order(classes: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(classes[:most])
    return f"{shown} … {classes[-1]}" if len(classes) > most else shown


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
