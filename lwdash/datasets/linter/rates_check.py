"""A check of the rates of sound files against one another, and against the length that the model takes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lwdash.datasets.fit import Fit
from lwdash.datasets.linter.findings import ERROR, WARNING, Finding
from lwdash.datasets.open_shapes import file_step
from lwdash.datasets.preprocessing.language import Columns, Preprocess, parse_preprocess
from lwdash.datasets.preprocessing.sample_steps import SoundFile

USUAL_RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
MAX_SHOWN = 6
"""Number of rates that a finding names."""
CLOSE = 0.02
"""Lengths that differ by a smaller share count as equal."""


def rate_findings(sounds: Sequence[tuple[int, int, int]], fit: Fit, preprocess: str) -> list[Finding]:
    """At most one finding. sounds: see `DataTable.sounds`; preprocess: the steps as text."""
    steps = parse_preprocess(preprocess)
    for fitted in fit.inputs:
        step = file_step(steps.for_input(fitted.name)) or SoundFile()
        if not sounds or len(fitted.source_shape) != 1 or not isinstance(step, SoundFile) or step.rate:
            continue
        if len(sounds) > 1:
            return [_mixed(sounds, fitted.name, steps)]
        [(rate, _, length)] = sounds
        return _other(rate, length, fitted.source_shape[0], fitted.name, steps)
    return []


def _mixed(sounds: Sequence[tuple[int, int, int]], name: str, steps: Preprocess) -> Finding:
    usual = max(sounds, key=lambda found: found[1])[0]
    most = sorted(sounds, key=lambda found: -found[1])[:MAX_SHOWN]
    shown = ", ".join(f"{files:,} at {rate:,} Hz" for rate, files, _ in most)
    if others := len(sounds) - len(most):
        shown += f", and files at {others:,} other rate{'s' * (others > 1)}"
    return Finding(
        "mixed-rates",
        ERROR,
        f"The sounds have different rates: {shown}.",
        f"input '{name}'",
        "The same sound at another rate is higher or lower, and longer or shorter in values: the model gets sounds that it "
        "was not trained on, and the accuracy is too low.",
        f"State the rate that the model was trained on; files of other rates are resampled: sound(rate={usual}).",
        _with_rate(steps, usual),
    )


def _other(rate: int, length: int, wanted: int, name: str, steps: Preprocess) -> list[Finding]:
    """A finding if the model's length is that of the usual sound at another usual rate."""
    if _is_close(length, wanted):
        return []
    at = [other for other in USUAL_RATES if other != rate and _is_close(length * other / rate, wanted)]
    if len(at) != 1:
        return []
    return [
        Finding(
            "other-rate",
            WARNING,
            f"Most sounds last {length / rate:.3g} s, {length:,} values at {rate:,} Hz. The model takes {wanted:,} values, "
            f"which is as long at {at[0]:,} Hz.",
            f"input '{name}'",
            f"If the model was trained at {at[0]:,} Hz, it gets sounds at a wrong pitch, and a part of each.",
            f"If so, let the sounds be resampled: sound(rate={at[0]}). Otherwise leave them as they are.",
            _with_rate(steps, at[0]),
        )
    ]


def _is_close(length: float, wanted: float) -> bool:
    return abs(length - wanted) <= CLOSE * wanted


def _with_rate(steps: Preprocess, rate: int) -> dict[str, Any] | None:
    """The setting with the rate stated; None where each input has steps of its own."""
    if steps.by_input:
        return None
    known = file_step(steps.steps)
    step = replace(known, rate=rate) if isinstance(known, SoundFile) else SoundFile(rate=rate)
    others = [one for one in steps.steps if one is not known]
    named = [one for one in others if isinstance(one, Columns)]  # it stays the first
    return {"preprocess": " + ".join(map(str, (*named, step, *others[len(named) :])))}
