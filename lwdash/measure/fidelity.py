"""Comparison of one file's outputs with another file's, output by output and number by number.

The largest values and the mean dominate an SQNR over all numbers. For example, an output of 50,000 ± 10 that
became the constant 50,000 has 74 dB. Therefore each output also gets the SQNR of its variation. Its signal is
the difference of the outputs between rows: 0 dB is no better than predicting the mean. Outputs that are
numbers, not classes, are judged number by number, and the worst one counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lwdash.measure.accuracy import decibels, kl_nats, looks_like_logits, sqnr_db

MIN_VARIATION_DB = 3.0
"""Below this, an output is lost: more than half of its variance between rows is error."""
POOR_VARIATION_DB = 10.0
"""Below this, a number's error is more than a third of its own standard deviation (10 % of the variance)."""
MIN_CLASS_SPREAD = 1e-2
"""Class outputs that vary by less than this share of their size are the same in every row: 8 bits have three
steps there.
"""
MIN_NUMBER_SPREAD = 1e-5
"""Numbers that vary by less than this share of their size vary by about a hundred float32 rounding steps."""
MIN_LEVELS = 8
"""Minimum number of different values within a number's usual range (two standard deviations to each side)."""
MAX_TARGETS = 32
"""An output with more numbers is a curve or an image, and is judged as a whole."""
CLASS_TASKS = ("classification", "binary", "multi-label")
MANY_UNDECIDED, MIN_UNDECIDED = 0.05, 10
"""Share and number of answers on the border of two classes that are a finding; in 8 bits a single one is chance."""


@dataclass(frozen=True)
class TargetFidelity:
    """One number of an output. spread: standard deviation of the reference over the rows, in the output's
    unit.

    is_constant: the reference varies, but this file gives the same number in every row.
    """

    index: int
    spread: float
    variation_sqnr_db: float | None
    is_constant: bool


@dataclass(frozen=True)
class OutputFidelity:
    """One output compared with the same output of the baseline.

    sqnr_db: over all numbers. variation_sqnr_db: of the worst target, or of the whole output where `targets`
    is empty; None where nothing differs or nothing varies. worst_target: index of that target. undecided: 0–1,
    answers on the border of two classes, less those of the baseline.
    relative_spread: variation of the reference between rows, as a share of its largest value `reach`. task:
    the task of the output.
    """

    name: str
    sqnr_db: float | None
    kl_nats: float | None
    largest_difference: float
    variation_sqnr_db: float | None = None
    worst_target: int | None = None
    is_constant: bool = False
    relative_spread: float | None = None
    reach: float | None = None
    targets: tuple[TargetFidelity, ...] = ()
    task: str = "regression"
    undecided: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "targets": [asdict(target) for target in self.targets]}

    @property
    def is_lost(self) -> bool:
        """True if less than half of the output's information (variance between rows) is left."""
        return self.is_constant or (
            self.variation_sqnr_db is not None and self.variation_sqnr_db < MIN_VARIATION_DB
        )


def output_fidelity(task: str, name: str, outputs: np.ndarray, reference: np.ndarray) -> OutputFidelity:
    """Likeness of one output of a file to that of the original.

    outputs, reference: (rows, *shape) real numbers of one output of both files. task: the task of this
    output.
    """
    rows = len(reference)
    theirs: np.ndarray = reference.reshape(rows, -1).astype(np.float64)
    ours: np.ndarray = outputs.reshape(rows, -1).astype(np.float64)
    signal, noise = variation(theirs, ours)
    level = float(np.abs(theirs).max(initial=0.0))
    spread = np.sqrt(signal / max(rows, 1))
    is_by_target = task not in CLASS_TASKS and task != "reconstruction" and 1 < len(signal) <= MAX_TARGETS
    reach = np.abs(theirs).max(axis=0, initial=0.0) if is_by_target else level
    is_flat = (ours == ours[:1]).all(axis=0) & (spread > _min_spread(task) * reach) & (noise > 0)
    targets: tuple[TargetFidelity, ...] = ()
    worst: int | None = None
    whole = decibels(float(signal.sum()), float(noise.sum()))
    if is_by_target:
        targets = tuple(
            TargetFidelity(k, float(spread[k]), decibels(float(signal[k]), float(noise[k])), bool(is_flat[k]))
            for k in range(len(signal))
        )
        known = [
            t
            for t in targets
            if t.variation_sqnr_db is not None and _varies(t.spread, theirs[:, t.index], task)
        ]
        lowest = min(known, key=lambda t: t.variation_sqnr_db or 0.0, default=None)
        worst, whole = (lowest.index, lowest.variation_sqnr_db) if lowest else (None, None)
    return OutputFidelity(
        name=name,
        sqnr_db=sqnr_db(reference, outputs),
        kl_nats=kl_nats(task, reference, outputs, is_logit=looks_like_logits(task, reference)),
        largest_difference=float(np.abs(outputs - reference).max()),
        variation_sqnr_db=whole if rows > 1 else None,
        worst_target=worst,
        is_constant=bool(is_flat.any() if is_by_target else is_flat.size and is_flat.all()) and rows > 1,
        relative_spread=float(spread.max(initial=0.0)) / level if level > 0 and rows > 1 else None,
        reach=level,
        targets=targets,
        task=task,
        undecided=_undecided(task, outputs, reference),
    )


def _undecided(task: str, outputs: np.ndarray, reference: np.ndarray) -> float:
    """The share of answers that only this file leaves exactly between two classes; 0 for fewer than MIN_UNDECIDED."""
    if task not in CLASS_TASKS:
        return 0.0
    is_tied = _on_border(task, outputs, reference) & ~_on_border(task, reference, reference)
    return float(is_tied.mean()) if is_tied.sum() >= MIN_UNDECIDED else 0.0


def _on_border(task: str, outputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """True for two equal largest outputs, or a single output on the threshold."""
    if task == "classification" and outputs.shape[-1] > 1:
        largest = np.partition(outputs, -2, axis=-1)[..., -2:]
        return largest[..., 0] == largest[..., 1]
    return outputs == (0.0 if looks_like_logits(task, reference) else 0.5)


def variation(reference: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(signal, noise) of each number of (rows, numbers): Σ (ref − mean)² and Σ (ref − y)² over the rows."""
    reference, outputs = reference.astype(np.float64), outputs.astype(np.float64)
    centred = reference - reference.mean(axis=0, keepdims=True)
    return (centred**2).sum(axis=0), ((reference - outputs) ** 2).sum(axis=0)


def task_of_output(reference: np.ndarray) -> str:
    """The task of an output without a given task: classes where each of its rows is probabilities, otherwise
    numbers.
    """
    is_distribution = (
        reference.ndim > 1 and reference.shape[-1] > 1 and not looks_like_logits("classification", reference)
    )
    return "classification" if is_distribution else "regression"


def output_findings(outputs: Sequence[OutputFidelity]) -> list[str]:
    """Messages on outputs without information and on outputs that the file lost; the judged output comes
    first.
    """
    return [
        finding
        for output in outputs
        if (finding := _finding(output, "the output" if len(outputs) == 1 else f"output '{output.name}'"))
    ]


def _cause(output: OutputFidelity) -> str:
    if output.task == "binary" and output.relative_spread == 0 and output.reach == 1:
        return "It is 1 in every row, as a softmax over one number always is: the last layer needs a sigmoid."
    return "Check the model's weights and the scale of the rows."


def _finding(output: OutputFidelity, name: str) -> str | None:
    if output.relative_spread is not None and output.relative_spread < _min_spread(output.task):
        return (
            f"{_capital(name)} of the original hardly varies: by {output.relative_spread:.1g} of its size "
            f"over these rows. No metric of this output is meaningful, for any recipe. {_cause(output)}"
        )
    flat = [target.index for target in output.targets if target.is_constant]
    if flat:
        are, vary, them = ("is", "varies", "it") if len(flat) == 1 else ("are", "vary", "them")
        return (
            f"{_capital(numbers(flat))} of {name} {are} constant over the rows, but {vary} in the original: "
            f"the file lost {them}. {_remedy(output)}"
        )
    if output.is_constant:
        same = "is constant over the rows, but varies in the original: the file lost this output."
        return f"{_capital(name)} {same} {_remedy(output)}"
    if output.undecided >= MANY_UNDECIDED:
        return (
            f"{100 * output.undecided:.1f} % of the answers of {name} are exactly on the border of two classes, where the "
            "original decides: the steps of its integers are too coarse there. They count as the first of both classes. "
            "Keep the last layers in 16 bits or floats: auto finds them, mixed sets them."
        )
    limit = MIN_VARIATION_DB if output.task in CLASS_TASKS else POOR_VARIATION_DB
    if output.variation_sqnr_db is None or output.variation_sqnr_db >= limit:
        return None
    which = name if output.worst_target is None else f"{numbers([output.worst_target])} of {name}"
    return (
        f"{_capital(which)} hardly follows the original: its error is {_share(output.variation_sqnr_db)} "
        f"of its variation between rows ({output.variation_sqnr_db:.1f} dB; below {POOR_VARIATION_DB:g} "
        f"dB is poor, below {MIN_VARIATION_DB:g} dB is lost). {_remedy(output)}"
    )


def _remedy(output: OutputFidelity) -> str:
    """Advice to preserve the output. The numbers of one output share one scale in an integer file."""
    if output.targets:
        wide = "int16x8, a" if fits_16_bits(output.reach, [t.spread for t in output.targets]) else "A"
        return (
            f"In an integer file the numbers of one output share one scale. To separate them, use {wide} "
            "last layer in float32 (mixed), or one output per unit of measure."
        )
    return "Try int16x8, a last layer in float32 (mixed), or a recipe that removes less."


def fits_16_bits(reach: float | None, spreads: Sequence[float]) -> bool:
    """True if a 16-bit scale with range `reach` leaves each number at least MIN_LEVELS values within its
    spread.
    """
    step = (reach or 0.0) / 2**15
    return all(4 * spread >= MIN_LEVELS * step for spread in spreads if spread > 0)


def _share(decibels: float) -> str:
    return f"{100 * 10 ** (-decibels / 20):.0f} %"


def numbers(indices: Sequence[int]) -> str:
    """`number 2`, `numbers 1, 2 and 3`: counted from 1."""
    named = [str(index + 1) for index in indices]
    if len(named) == 1:
        return f"number {named[0]}"
    return f"numbers {', '.join(named[:-1])} and {named[-1]}"


def _min_spread(task: str) -> float:
    return MIN_CLASS_SPREAD if task in CLASS_TASKS else MIN_NUMBER_SPREAD


def _varies(spread: float, values: np.ndarray, task: str) -> bool:
    return spread > _min_spread(task) * float(np.abs(values).max(initial=0.0))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
