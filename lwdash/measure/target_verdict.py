"""Verdicts on numbers: target by target with labels, output by output without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lwdash.measure.fidelity import OutputFidelity, numbers, output_findings
from lwdash.measure.verdict import (
    BETTER,
    CANNOT_TELL,
    EQUIVALENT,
    MARGIN,
    WORSE,
    Verdict,
    compare_errors,
)

MAX_COMPARED = 32
"""With more targets the row is a curve: errors, each relative to its own spread, are compared together."""


def compare_targets(
    errors: np.ndarray, baseline_errors: np.ndarray, labels: np.ndarray, *, margin: float = MARGIN
) -> Verdict:
    """Verdict on absolute errors (rows, targets), target by target. The worst one decides.

    labels: (rows, targets). Each interval is widened for the number of targets (Bonferroni), so that many
    targets do not make one of them look worse by chance. Targets in the text are numbered from 1.
    """
    count = errors.shape[1]
    if count == 1:
        return compare_errors(errors[:, 0], baseline_errors[:, 0], margin=margin)
    spreads = np.std(labels.reshape(len(labels), -1).astype(np.float64), axis=0)
    spreads = np.where(spreads > 0, spreads, 1.0)
    if count > MAX_COMPARED:
        ours, theirs = ((each / spreads).mean(axis=1) for each in (errors, baseline_errors))
        metric = f"mean absolute error of {count} targets, each in its own standard deviation,"
        return compare_errors(ours, theirs, metric=metric, margin=margin)
    verdicts = [
        compare_errors(
            errors[:, k],
            baseline_errors[:, k],
            metric=f"mean absolute error of target {k + 1} of {count}",
            margin=margin,
            comparisons=count,
        )
        for k in range(count)
    ]
    changes = [(v.difference or 0.0) / float(spread) for v, spread in zip(verdicts, spreads, strict=True)]
    for kind in (WORSE, CANNOT_TELL, EQUIVALENT, BETTER):
        chosen = [k for k, verdict in enumerate(verdicts) if verdict.verdict == kind]
        if chosen:
            if kind == EQUIVALENT and any(v.verdict == BETTER for v in verdicts):
                continue  # no target is worse, and at least one is better
            return verdicts[max(chosen, key=lambda k: changes[k])]
    raise AssertionError("a verdict is one of the four")


def compare_numbers_without_labels(output: OutputFidelity, rows: int, *, margin: float = MARGIN) -> Verdict:
    """Verdict without labels, from the original's numbers: the difference as a share of their variation over
    the rows.
    """
    decibels = output.variation_sqnr_db
    if output.largest_difference == 0:
        return Verdict(
            EQUIVALENT,
            f"Equivalent: the same numbers as the original in all of {rows:,} rows.",
            margin=margin,
        )
    if decibels is None:
        text = f"Not significant without labels: the numbers of the original do not vary over {rows:,} rows."
        return Verdict(CANNOT_TELL, text, margin=margin)
    share = 10 ** (-decibels / 20)
    which = (
        "the output differs"
        if output.worst_target is None
        else (f"{numbers([output.worst_target])} of the output, the worst, differs")
    )
    differs = (
        f"{which} from the original's by {100 * share:.3g} % of the original's variation between rows "
        f"({decibels:.1f} dB, {rows:,} rows)"
    )
    if output.is_lost:
        return Verdict(WORSE, f"Worse: {differs}.", margin=margin)
    if share <= margin:
        return Verdict(EQUIVALENT, f"Equivalent: {differs}.", margin=margin)
    return Verdict(CANNOT_TELL, f"Not significant without labels: {differs}.", margin=margin)


def with_lost_outputs(verdict: Verdict, outputs: Sequence[OutputFidelity]) -> Verdict:
    """`verdict`, or WORSE where an output became constant but varies in the original."""
    lost = [output for output in outputs if output.is_constant]
    if not lost or verdict.verdict == WORSE:
        return verdict
    return replace(verdict, verdict=WORSE, text=f"Worse: {' '.join(output_findings(lost))}")
