"""The run of an experiment to take, and the reason in one sentence: used by the page, the report and the commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from lwdash.metrics.limits import (
    ACCURACY_DROP,
    best,
    given_limits,
    limits_met,
    limits_summary,
    meets_all_limits,
)
from lwdash.metrics.run_metrics import ACCURACY, AGREEMENT, ERRORS, MEASURES, WORST_TARGET, quality_of
from lwdash.metrics.target_values import mark_targets, names_in
from lwdash.metrics.technique_families import short_recipe

MARGIN = 0.01
"""Without limits, an observed loss of more than this is a measurable loss, significant or not: 1 point of accuracy or of
agreement, or 1 % of the baseline's error.
"""
UNKNOWN_LOSS = "The rows are generated from the model, so no loss can be measured."


@dataclass(frozen=True)
class Recommendation:
    """The run to take, and the reason.

    run: id of the run to take; None where no run is better than the baseline.

    nearest: without a run to take, id of the run that comes nearest; None where there is none. is_by_limits: True if the
    experiment's limits decided. headline, reason: plain text, without a full stop and with one.
    """

    run: int | None
    nearest: int | None
    is_by_limits: bool
    headline: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The form of the `--json` output."""
        return {
            "run": self.run,
            "nearest": self.nearest,
            "headline": self.headline,
            "reason": self.reason,
        }


def recommend(runs: pd.DataFrame, limits: Mapping[str, float]) -> Recommendation | None:
    """The run to take; None as long as no run besides the baseline is measured.

    runs: all runs of one experiment, with the columns id, recipe, is_baseline, size_bytes and the metrics of quality; of
    these columns are optional: state, title, verdict, output_findings, baseline_size_bytes, rows, generated_rows.
    limits: the experiment's.

    With limits the best run under them (see `limits.best`), otherwise the smallest file without measurable loss. A file
    that is not smaller than the baseline is not taken, unless only the baseline exceeds a limit.
    """
    done = runs[runs["state"] == "succeeded"] if "state" in runs else runs
    is_base = done["is_baseline"].astype(bool)
    others = done[~is_base]
    if others.empty:
        return None
    own = given_limits(limits)
    is_generated = bool(_numbers(others, "generated_rows").notna().any())
    if own:
        found = _by_limits(done, others, own, names_in(runs))
        return replace(found, reason=f"{found.reason} {UNKNOWN_LOSS}") if is_generated else found
    if is_generated:
        return _on_generated(others)
    return _without_limits(others, _baseline_size(done))


def recommend_of_records(
    records: Sequence[Mapping[str, Any]], limits: Mapping[str, float], names: Mapping[str, str]
) -> Recommendation | None:
    """`recommend` for runs as records with their metrics. names: titles of devices."""
    return recommend(mark_targets(pd.DataFrame(list(records)), names, ()), limits) if records else None


def losses(runs: pd.DataFrame) -> pd.Series:
    """The observed loss of each run as a share: of accuracy, else of the baseline's error, else of agreement.

    Below 0 is a gain; NaN where none of them was measured.
    """
    quality = quality_of(runs)
    values = _numbers(runs, quality.column)
    if quality is ACCURACY:
        return _numbers(runs, "baseline_accuracy") - values
    if quality is WORST_TARGET or quality in ERRORS:
        return values / _numbers(runs, f"baseline_{quality.column}") - 1
    if quality is AGREEMENT:
        return 1 - values
    return pd.Series(np.nan, index=runs.index)


def has_no_measurable_loss(runs: pd.DataFrame) -> pd.Series:
    """True for each run whose loss is neither significant nor above `MARGIN`, and whose outputs all carry information."""
    verdict = runs["verdict"] if "verdict" in runs else pd.Series(None, index=runs.index, dtype=object)
    is_small = losses(runs) <= MARGIN + 1e-9
    is_proven = verdict.isin(["equivalent", "better"])
    has_finding = (
        runs["output_findings"].map(lambda found: isinstance(found, (list, tuple)) and len(found) > 0)
        if "output_findings" in runs
        else False
    )
    return (is_small | is_proven) & (verdict != "worse") & ~pd.Series(has_finding, index=runs.index)


def _without_limits(others: pd.DataFrame, baseline_bytes: float | None) -> Recommendation:
    kept = others[has_no_measurable_loss(others)]
    headline = "Smallest file without measurable loss"
    on = _on_rows(others)
    if kept.empty:
        nearest = _least_loss(others)
        least = "" if nearest is None else f" {_name(nearest)} loses least."
        reason = f"Of {_counted(len(others), 'measured run')}, none is without measurable loss{on}.{least}"
        return Recommendation(None, _id(nearest), False, "No smaller file without loss so far", reason)
    run = _smallest(kept)
    if baseline_bytes is not None and not run["size_bytes"] < baseline_bytes:
        factor = run["size_bytes"] / baseline_bytes
        than = "as large as the baseline" if factor == 1 else f"{_ratio(factor)}× larger than the baseline"
        write = MEASURES["size_bytes"].write
        reason = (
            f"The smallest file without measurable loss{on}, {_name(run)}, is {than}: "
            f"{write(run['size_bytes'])} instead of {write(baseline_bytes)}."
        )
        return Recommendation(None, _id(run), False, "Nothing beats the baseline so far", reason)
    if len(others) == 1:
        reason = (
            f"It is the only measured run, and it is smaller than the baseline without measurable loss{on}."
        )
    else:
        runs = _counted(len(others), "measured run")
        reason = (
            f"It is the only one of {runs} without measurable loss{on}."
            if len(kept) == 1
            else f"{len(kept):,} of {runs} have no measurable loss{on}; this file is the smallest of them."
        )
    return Recommendation(_id(run), None, False, headline, reason)


def _on_generated(others: pd.DataFrame) -> Recommendation:
    """No run is recommended without accuracy; the smallest file is named."""
    run = _smallest(others)
    known = [MEASURES[key] for key in ("agreement_generated", "sqnr_generated_db")]
    told = next(
        (f", {_lower(m.label)} {m.write(run[m.column])}" for m in known if pd.notna(run.get(m.column))), ""
    )
    reason = (
        f"{UNKNOWN_LOSS} The smallest file is {_name(run)}: "
        f"{MEASURES['size_bytes'].write(run['size_bytes'])}{told}. Give samples to learn what it costs."
    )
    return Recommendation(None, _id(run), False, "No recommendation without real rows", reason)


def _by_limits(
    done: pd.DataFrame, others: pd.DataFrame, limits: Mapping[str, float], names: Mapping[str, str]
) -> Recommendation:
    chosen = best(others, limits)
    if chosen is None:
        return Recommendation(
            None, None, True, "No run meets all of your limits", _in_the_way(others, limits, names)
        )
    run = others[others["id"] == chosen].iloc[0]
    base = done[done["is_baseline"].astype(bool)]
    size = _baseline_size(done)
    summary = limits_summary(limits, names)
    if (
        len(base)
        and bool(meets_all_limits(base, limits).all())
        and size is not None
        and run["size_bytes"] >= size
    ):
        reason = (
            f"The baseline meets all limits itself ({summary}), and the best of the other runs, {_name(run)}, is "
            f"{_ratio(run['size_bytes'] / size)}× as large."
        )
        return Recommendation(None, chosen, True, "Nothing beats the baseline so far", reason)
    able = int(meets_all_limits(others, limits).sum())
    by = (
        "the smallest file"
        if set(limits) == {ACCURACY_DROP}
        else f"the best {_lower(quality_of(others).label)}"
    )
    reason = (
        f"It is the only one of {_counted(len(others), 'measured run')} that meets all limits ({summary})."
        if able == 1
        else f"{able:,} of {len(others):,} measured runs meet all limits ({summary}); this one has {by} of them."
    )
    return Recommendation(chosen, None, True, "Best under your limits", reason)


def _in_the_way(others: pd.DataFrame, limits: Mapping[str, float], names: Mapping[str, str]) -> str:
    """The number of runs that meet each limit, and the limits that were never measured."""
    table = limits_met(others, limits)
    parts = []
    for key in table:
        name = limits_summary({key: limits[key]}, names)
        parts.append(
            f"{name} was measured on no run" if table[key].isna().all()
            else f"{int((table[key] == 1.0).sum()):,} of {len(others):,} meet {name}"
        )  # fmt: skip
    remedy = (
        "A limit counts only where it was measured: measure it, or remove it"
        if table.isna().all().any()
        else "Raise a limit, or start a search"
    )
    return f"{_capital('; '.join(parts))}. {remedy}."


def _baseline_size(done: pd.DataFrame) -> float | None:
    base = done[done["is_baseline"].astype(bool)]
    sizes = [*_numbers(base, "size_bytes"), *_numbers(done, "baseline_size_bytes").dropna()]
    return float(sizes[0]) if sizes and sizes[0] > 0 else None


def _smallest(runs: pd.DataFrame) -> pd.Series:
    """Of equally large files the one with the least loss, of equal ones the oldest."""
    order = runs.assign(_size=_numbers(runs, "size_bytes"), _loss=losses(runs))
    return order.sort_values(["_size", "_loss", "id"], kind="stable").iloc[0]


def _least_loss(runs: pd.DataFrame) -> pd.Series | None:
    known = losses(runs).dropna()
    return None if known.empty else runs.loc[known.idxmin()]


def _id(run: pd.Series | None) -> int | None:
    return None if run is None else int(run["id"])


def _name(run: pd.Series) -> str:
    title = run.get("title")
    return title if isinstance(title, str) and title else short_recipe(str(run["recipe"]))


def _on_rows(runs: pd.DataFrame) -> str:
    rows = _numbers(runs, "rows").max()
    return f" on {_counted(int(rows), 'row')}" if rows == rows else ""


def _numbers(runs: pd.DataFrame, column: str) -> pd.Series:
    if column not in runs:
        return pd.Series(np.nan, index=runs.index)
    return pd.to_numeric(runs[column], errors="coerce")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _ratio(factor: float) -> str:
    return f"{factor:.1f}" if factor >= 1.05 else f"{factor:.2f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
