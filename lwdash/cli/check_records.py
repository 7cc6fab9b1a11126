"""Runs held against the limits: a JSON record, lines for a terminal, and a Markdown table for pipelines."""

from collections.abc import Mapping, Sequence
from typing import Any

from lwdash.metrics.hosts import describe_host
from lwdash.metrics.limit_checks import LimitCheck, check_limits

Record = Mapping[str, Any]
Checked = tuple[Record, list[LimitCheck]]
"""The record of a run, as from `run_record`, with the check of each limit."""


def checked_runs(
    runs: Sequence[Record], limits: Mapping[str, float], names: Mapping[str, str] | None = None
) -> list[Checked]:
    """Each run with its checks; a run without a result keeps no limit. names: titles of devices."""
    return [(run, _checks(run, limits, names)) for run in runs]


def _checks(
    run: Record, limits: Mapping[str, float], names: Mapping[str, str] | None = None
) -> list[LimitCheck]:
    measured = {**run, **run.get("target_metrics", {})} if run["state"] == "succeeded" else {}
    return check_limits(measured, limits, names)


def are_kept(checked: Sequence[Checked]) -> bool:
    """True if every run keeps every limit."""
    return all(check.is_kept for _, checks in checked for check in checks)


def limits_record(checked: Sequence[Checked], limits: Mapping[str, float]) -> dict[str, Any]:
    """The limits in stored units, one flat record per run and limit, and whether all are kept."""
    checks = [{"run": run["id"], **check.to_dict()} for run, found in checked for check in found]
    return {"limits": dict(limits), "checks": checks, "are_limits_kept": are_kept(checked)}


def exceeded_lines(checked: Sequence[Checked]) -> list[str]:
    """A line for each limit that is not kept."""
    return [
        f"run {run['id']}: limit not kept: {check.message}"
        for run, checks in checked
        for check in checks
        if not check.is_kept
    ]


def markdown_lines(
    checked: Sequence[Checked],
    baseline: Record,
    limits: Mapping[str, float],
    names: Mapping[str, str] | None = None,
) -> list[str]:
    """A Markdown table: one row per run with the value of every limit, those that are not kept in bold; then what it
    was measured on.
    """
    base = _checks(baseline, limits, names)
    head = ["Recipe", *(check.title for check in base), "Accuracy", "Verdict", "Limits"]
    lines = [_row(head), _row(["---", *["--:"] * (len(base) + 1), "---", "---"])]
    lines.append(
        _row([_code(baseline), *(check.value_text for check in base), _accuracy(baseline), "baseline", ""])
    )
    for run, checks in checked:
        values = [check.value_text if check.is_kept else f"**{check.value_text}**" for check in checks]
        is_kept = all(check.is_kept for check in checks)
        lines.append(
            _row([_code(run), *values, _accuracy(run), _verdict(run), "kept" if is_kept else "**not kept**"])
        )
    failed = [f"Run {run['id']} failed: {_plain(run['error'])}" for run, _ in checked if run["error"]]
    return [*lines, "", *failed, *_footnote(baseline)]


def _footnote(baseline: Record) -> list[str]:
    host = baseline.get("host")
    rows = baseline.get("rows")
    parts = [f"measured on {rows:,} evaluation rows"] if rows else []
    if generated := baseline.get("generated_rows"):
        parts = [f"no accuracy was measured: the {generated:,} rows are generated from the model"]
    if isinstance(host, Mapping):
        parts.append(f"latency on {describe_host(host)}")
    text = "; ".join(parts)
    return [f"{text[:1].upper()}{text[1:]}."] if parts else []


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(run: Record) -> str:
    return f"`{_plain(run['recipe'])}`"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _accuracy(run: Record) -> str:
    value, agreement = run.get("accuracy"), run.get("agreement")
    if value is not None:
        return f"{value:.2%}"
    if (generated := run.get("agreement_generated")) is not None:
        return f"unknown (agrees {generated:.2%} on generated rows)"
    return "–" if agreement is None else f"agrees {agreement:.2%}"


def _verdict(run: Record) -> str:
    if run["state"] != "succeeded":
        return run["state"]
    return "not significant" if run["verdict"] == "cannot tell" else run["verdict"] or "–"
