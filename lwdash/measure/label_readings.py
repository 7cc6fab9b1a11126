"""Ways to read labels (which label is which output), compared with the classes that the model predicts for
the rows.

A wrong class order is detectable: under the right order, the model is right far more often. A poor model must
not look like a wrong order. Therefore another reading counts as better only if it is right on significantly
more rows (exact sign test over rows; McNemar's where a row has one class), by a large step in accuracy and in
Cohen's kappa. A reading that was derived from the model's classes is judged on other rows than those it was
derived from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from lwdash.measure.verdict import Verdict, mcnemar_p

FITS, CONTRADICTED, BELOW_CHANCE, CANNOT_TELL = "fits", "contradicted", "below chance", "cannot tell"
MIN_ROWS = 20
P_VALUE = 0.001
"""Divided by the number of readings that are compared."""
LISTED_STEP, FOUND_STEP = 0.1, 0.2
"""Minimum gain in accuracy: of a reading by a common rule, and of one derived from the model's classes."""
FOUND_KAPPA = 0.5
KAPPA_SHARE = 0.6
"""The current reading has at most this share of the other reading's kappa."""
CHANCE_Z = 4.0
"""Standard deviations above chance agreement that count as real agreement."""
SINGLE_WRONG, SINGLE_RIGHT = 0.5, 0.8
"""If all rows have one class: the largest accuracy of the current reading, and the smallest of a reading that
contradicts it.
"""


@dataclass(frozen=True)
class Reading:
    """Classes in the order of the outputs. rule: the source of the order."""

    rule: str
    classes: tuple[str, ...]
    accuracy: float


@dataclass(frozen=True)
class Comparison:
    """Comparison of the labels, in several readings, with the model's outputs.

    verdict: FITS, CONTRADICTED (another reading is far better), BELOW_CHANCE or CANNOT_TELL.

    rows: number of rows compared. accuracy: of the current reading; chance: expected from predictions
    independent of the labels.
    better: the reading that fits, None if none does. reason: explanation of CANNOT_TELL.
    """

    verdict: str
    rows: int
    accuracy: float
    chance: float
    better: Reading | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def compare_readings(
    predicted: np.ndarray, labels: np.ndarray, classes: Sequence[str], outputs: int
) -> Comparison:
    """Compare the current reading with others. predicted, labels: int (rows,) or (rows, positions), output
    indices. labels are under the current reading, whose `classes` may be fewer than `outputs`.
    """
    rows = len(predicted)
    given, codes = predicted.reshape(rows, -1), labels.reshape(rows, -1)
    found = [int(code) for code in np.unique(codes)]
    accuracy = float((given == codes).mean())
    counts = np.zeros((max(outputs, len(classes)), outputs), np.int64)
    np.add.at(counts, (codes.reshape(-1), given.reshape(-1)), 1)
    chance = _chance(counts, np.arange(len(counts)))
    if rows < MIN_ROWS:
        return Comparison(CANNOT_TELL, rows, accuracy, chance, reason=f"{rows} rows are too few")
    if outputs < 2:
        return Comparison(CANNOT_TELL, rows, accuracy, chance, reason="the model has one class")
    texts = {code: classes[code] for code in found}
    if len(found) == 1:
        return _of_one_class(counts[found[0]], rows, found[0], texts, outputs)
    current = _Trial(given, codes, np.arange(len(counts)))
    readings = _usual(texts, codes, outputs)
    others = {rule: mapping for rule, mapping in readings.items() if any(mapping[c] != c for c in found)}
    candidates = [
        _best_listed(others, current, given, codes, len(others) + 1, len(counts)),
        _best_found(given, codes, texts, outputs, len(others) + 1, len(counts)),
    ]
    better = [
        Reading(rule, _class_list(mapping, texts, outputs), _accuracy(mapping, given, codes, len(counts)))
        for rule, mapping in filter(None, candidates)
    ]
    if better:
        best = max(better, key=lambda reading: reading.accuracy)
        return Comparison(CONTRADICTED, rows, accuracy, chance, best)
    if current.z < -CHANCE_Z and current.kappa < -0.05:
        swapped = None
        if outputs == 2:
            swapped = Reading("the two classes swapped", tuple(classes)[::-1], 1 - accuracy)
        return Comparison(BELOW_CHANCE, rows, accuracy, chance, swapped)
    if current.z < 3:
        top = counts.sum(axis=0).max() / counts.sum()
        reason = (
            f"the model predicts one class for {100 * top:.3g} % of the rows"
            if top > 0.98
            else f"the model is right on {100 * accuracy:.3g} %; predictions independent of the labels "
            f"would be right on {100 * chance:.3g} %"
        )
        return Comparison(CANNOT_TELL, rows, accuracy, chance, reason=reason)
    return Comparison(FITS, rows, accuracy, chance)


def is_below_chance(confusion: Sequence[Sequence[int]]) -> bool:
    """True if a confusion matrix (label, predicted class) agrees significantly less than independent
    predictions would.
    """
    counts = np.array(confusion, np.int64)
    identity = np.arange(len(counts))
    total = counts.sum()
    if total < MIN_ROWS or (counts.sum(axis=1) > 0).sum() < 2:
        return False
    agreement, expected = counts.diagonal().sum() / total, _chance(counts, identity)
    kappa = (agreement - expected) / (1 - expected) if expected < 1 else 0.0
    return bool(kappa < -0.05 and _independence_z(counts, identity) < -CHANCE_Z)


def doubted(verdict: Verdict, baseline_accuracy: float | None) -> Verdict:
    """The verdict where the baseline is right less often than chance: such rows do not allow a conclusion."""
    share = "" if baseline_accuracy is None else f" ({100 * baseline_accuracy:.3g} %)"
    text = (
        f"Not significant: the baseline itself is right less often than chance{share}. Its classes are "
        "probably in another order than the labels, so differences in accuracy mean nothing. Check the "
        f"class order. As counted: {verdict.text}"
    )
    return replace(verdict, verdict=CANNOT_TELL, text=text)


class _Trial:
    """One reading on some rows: mapping[code under the current reading] is the output."""

    def __init__(self, given: np.ndarray, codes: np.ndarray, mapping: np.ndarray):
        counts = np.zeros((len(mapping), int(given.max()) + 1), np.int64)
        np.add.at(counts, (codes.reshape(-1), given.reshape(-1)), 1)
        self.scores = (mapping[codes] == given).mean(axis=1)
        self.accuracy = float(self.scores.mean())
        expected = _chance(counts, mapping)
        self.kappa = (self.accuracy - expected) / (1 - expected) if expected < 1 else 0.0
        if codes.shape[1] == 1:
            self.z = _independence_z(counts, mapping)
        else:  # positions of a row are not independent: compare rows
            error = float(self.scores.std(ddof=1)) / math.sqrt(len(self.scores))
            gap = self.accuracy - expected
            self.z = gap / error if error > 0 else math.copysign(math.inf, gap) if gap else 0.0

    def beats(self, current: _Trial, *, step: float, kappa: float, compared: int) -> bool:
        more, fewer = int((self.scores > current.scores).sum()), int((self.scores < current.scores).sum())
        return (
            more > fewer
            and mcnemar_p(fewer, more) < P_VALUE / compared
            and self.z > CHANCE_Z
            and self.kappa >= kappa
            and self.accuracy - current.accuracy >= step
            and current.kappa <= KAPPA_SHARE * self.kappa
        )


def _chance(counts: np.ndarray, mapping: np.ndarray) -> float:
    """Agreement of predictions that are independent of the labels, with the same shares of classes."""
    total = counts.sum()
    labelled, predicted_counts = counts.sum(axis=1), counts.sum(axis=0)
    inside = mapping < len(predicted_counts)
    return float((labelled[inside] * predicted_counts[mapping[inside]]).sum()) / float(total) ** 2


def _independence_z(counts: np.ndarray, mapping: np.ndarray) -> float:
    """Standard deviations of the agreement from its mean over all permutations of the predictions (fixed
    margins).
    """
    total = float(counts.sum())
    inside = np.flatnonzero(mapping < counts.shape[1])
    r = counts.sum(axis=1)[inside].astype(float)
    c = counts.sum(axis=0)[mapping[inside]].astype(float)
    agreed, products = float(counts[inside, mapping[inside]].sum()), r * c
    both = products.sum() ** 2 - (products**2).sum()
    variance = ((products * (total - r) * (total - c)).sum() + both) / (total**2 * (total - 1))
    return (agreed - products.sum() / total) / math.sqrt(variance) if variance > 0 else 0.0


def _usual(texts: dict[int, str], codes: np.ndarray, outputs: int) -> dict[str, dict[int, int]]:
    """Rule → (code under the current reading → output): common ways to number classes."""
    found = list(texts)
    rules: dict[str, list[int]] = {}
    if len(found) == outputs:
        first = {code: int(np.argmax((codes == code).any(axis=1))) for code in found}
        rules["alphabetical order"] = sorted(found, key=lambda code: texts[code])
        rules["order of appearance in the file"] = sorted(found, key=lambda code: first[code])
        rules["numeric order"] = sorted(found, key=lambda code: _number(texts[code]))
        rules["alphabetical order, reversed"] = rules["alphabetical order"][::-1]
        rules["numeric order, reversed"] = rules["numeric order"][::-1]
    mappings = {rule: {code: k for k, code in enumerate(order)} for rule, order in rules.items()}
    numbers = {code: _number(text) for code, text in texts.items()}
    for base in (0, 1):
        if all(v.is_integer() and base <= v < outputs + base for v in numbers.values()):
            mappings[f"whole numbers counted from {base}"] = {c: int(v) - base for c, v in numbers.items()}
    return mappings


def _best_listed(
    others: dict[str, dict[int, int]],
    current: _Trial,
    given: np.ndarray,
    codes: np.ndarray,
    compared: int,
    size: int,
) -> tuple[str, dict[int, int]] | None:
    best, best_trial = None, None
    for rule, mapping in others.items():
        trial = _Trial(given, codes, _array(mapping, size))
        is_better = trial.beats(current, step=LISTED_STEP, kappa=0.0, compared=compared)
        if is_better and (best_trial is None or trial.accuracy > best_trial.accuracy):
            best, best_trial = (rule, mapping), trial
    return best


def _best_found(
    given: np.ndarray, codes: np.ndarray, texts: dict[int, str], outputs: int, compared: int, size: int
) -> tuple[str, dict[int, int]] | None:
    """The order that agrees best with the model's classes, derived from every other row and judged on the
    rest.
    """
    if len(texts) > outputs:
        return None
    trained = _assigned(given[::2], codes[::2], list(texts), outputs)
    rest, rest_codes = given[1::2], codes[1::2]
    current = _Trial(rest, rest_codes, np.arange(size))
    trial = _Trial(rest, rest_codes, _array(trained, size))
    if not trial.beats(current, step=FOUND_STEP, kappa=FOUND_KAPPA, compared=compared):
        return None
    return "the order that the model's own classes suggest", _assigned(given, codes, list(texts), outputs)


def _assigned(given: np.ndarray, codes: np.ndarray, found: list[int], outputs: int) -> dict[int, int]:
    """The one-to-one assignment of labels to outputs that agrees on most positions."""
    from scipy.optimize import linear_sum_assignment

    places = {code: k for k, code in enumerate(found)}
    counts = np.zeros((len(found), outputs), np.int64)
    index = np.vectorize(lambda code: places[code])(codes.reshape(-1))
    np.add.at(counts, (index, given.reshape(-1)), 1)
    rows, columns = linear_sum_assignment(-counts)
    return {found[int(r)]: int(c) for r, c in zip(rows, columns, strict=True)}


def _of_one_class(
    predicted_counts: np.ndarray, rows: int, current: int, texts: dict[int, str], outputs: int
) -> Comparison:
    """All rows have one label: the only possible check is whether the model predicts another class for nearly
    all of them.
    """
    shares = predicted_counts / predicted_counts.sum()
    accuracy, best = float(shares[current]), int(shares.argmax())
    if accuracy >= SINGLE_WRONG:
        return Comparison(FITS, rows, accuracy, accuracy)
    if shares[best] < SINGLE_RIGHT:
        reason = f"all rows have the label {texts[current]}, and the model predicts several classes for them"
        return Comparison(CANNOT_TELL, rows, accuracy, accuracy, reason=reason)
    base = _number(texts[current]) - best
    rule = f"whole numbers counted from {base:g}" if base in (0, 1) else "the class that the model predicts"
    better = Reading(rule, _class_list({current: best}, texts, outputs), float(shares[best]))
    return Comparison(CONTRADICTED, rows, accuracy, accuracy, better)


def _class_list(mapping: dict[int, int], texts: dict[int, str], outputs: int) -> tuple[str, ...]:
    """Label texts by output. An output without a label gets the next number, or a text of its own."""
    offsets = {_number(texts[code]) - output for code, output in mapping.items()}
    if offsets in ({0.0}, {1.0}):
        return tuple(str(k + int(min(offsets))) for k in range(outputs))
    names = {output: texts[code] for code, output in mapping.items()}
    return tuple(names.get(k, f"output {k}") for k in range(outputs))


def _accuracy(mapping: dict[int, int], given: np.ndarray, codes: np.ndarray, size: int) -> float:
    return float((_array(mapping, size)[codes] == given).mean())


def _array(mapping: dict[int, int], size: int) -> np.ndarray:
    """mapping as an array over all codes. Codes without rows map to an output that does not exist."""
    array = np.full(size, 1 << 30, np.int64)
    for code, output in mapping.items():
        array[code] = output
    return array


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf
