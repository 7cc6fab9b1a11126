"""Ways to read labels (which label is which output), compared with the classes that the model itself gives to the rows.

A wrong order of classes shows: the model is right far less often under it than under another. A poor model must not look
like that. So another reading counts as better only if it is right on more rows than chance explains (exact sign test over
rows, McNemar's where a row has one class), by a large step in accuracy and in Cohen's kappa. A reading that was itself
found from the model's classes is judged on rows that it was not found on.
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
"""Least gain in accuracy of a reading by a usual rule, and of one found from the model's classes."""
FOUND_KAPPA = 0.5
KAPPA_SHARE = 0.6
"""The reading taken has at most this share of the other's kappa."""
CHANCE_Z = 4.0
"""Standard deviations from chance agreement that count as not chance."""
SINGLE_WRONG, SINGLE_RIGHT = 0.5, 0.8
"""All rows of one class: accuracies of the reading taken (at most) and of another (at least) that contradict it."""


@dataclass(frozen=True)
class Reading:
    """Classes in the order of the outputs. rule: where the order comes from."""

    rule: str
    classes: tuple[str, ...]
    accuracy: float


@dataclass(frozen=True)
class Comparison:
    """verdict: FITS, CONTRADICTED (another reading is far better), BELOW_CHANCE or CANNOT_TELL.

    rows: that were looked at. accuracy: of the reading taken; chance: what answers independent of the labels would get.
    better: the reading that fits, None where none does. reason: why nothing can be told.
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
    """Holds the reading taken against others. predicted, labels: int (rows,) or (rows, positions), output indices;
    labels under the reading taken, whose `classes` may be fewer than `outputs`."""
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
    taken = _Trial(given, codes, np.arange(len(counts)))
    readings = _usual(texts, codes, outputs)
    others = {rule: mapping for rule, mapping in readings.items() if any(mapping[c] != c for c in found)}
    candidates = [
        _best_listed(others, taken, given, codes, len(others) + 1, len(counts)),
        _best_found(given, codes, texts, outputs, len(others) + 1, len(counts)),
    ]
    better = [
        Reading(rule, _class_list(mapping, texts, outputs), _accuracy(mapping, given, codes, len(counts)))
        for rule, mapping in filter(None, candidates)
    ]
    if better:
        best = max(better, key=lambda reading: reading.accuracy)
        return Comparison(CONTRADICTED, rows, accuracy, chance, best)
    if taken.z < -CHANCE_Z and taken.kappa < -0.05:
        swapped = None
        if outputs == 2:
            swapped = Reading("the two classes swapped", tuple(classes)[::-1], 1 - accuracy)
        return Comparison(BELOW_CHANCE, rows, accuracy, chance, swapped)
    if taken.z < 3:
        top = counts.sum(axis=0).max() / counts.sum()
        reason = (
            f"the model gives one class to {100 * top:.3g} % of the rows"
            if top > 0.98
            else f"the model is right on {100 * accuracy:.3g} %, and answers that know nothing of the labels would be on "
            f"{100 * chance:.3g} %"
        )
        return Comparison(CANNOT_TELL, rows, accuracy, chance, reason=reason)
    return Comparison(FITS, rows, accuracy, chance)


def is_below_chance(confusion: Sequence[Sequence[int]]) -> bool:
    """Whether a confusion matrix (label, class given) agrees less than independent answers would, beyond doubt."""
    counts = np.array(confusion, np.int64)
    identity = np.arange(len(counts))
    total = counts.sum()
    if total < MIN_ROWS or (counts.sum(axis=1) > 0).sum() < 2:
        return False
    agreement, expected = counts.diagonal().sum() / total, _chance(counts, identity)
    kappa = (agreement - expected) / (1 - expected) if expected < 1 else 0.0
    return bool(kappa < -0.05 and _independence_z(counts, identity) < -CHANCE_Z)


def doubted(verdict: Verdict, baseline_accuracy: float | None) -> Verdict:
    """The verdict where the baseline is right less often than chance: nothing can be told from such rows."""
    share = "" if baseline_accuracy is None else f" ({100 * baseline_accuracy:.3g} %)"
    text = (
        f"Cannot tell: the baseline itself is right less often than chance{share}, so the labels are most likely not read "
        f"in the order of its outputs, and differences in accuracy mean nothing. As counted: {verdict.text}"
    )
    return replace(verdict, verdict=CANNOT_TELL, text=text)


class _Trial:
    """One reading on some rows: mapping[code under the reading taken] is the output."""

    def __init__(self, given: np.ndarray, codes: np.ndarray, mapping: np.ndarray):
        counts = np.zeros((len(mapping), int(given.max()) + 1), np.int64)
        np.add.at(counts, (codes.reshape(-1), given.reshape(-1)), 1)
        self.scores = (mapping[codes] == given).mean(axis=1)
        self.accuracy = float(self.scores.mean())
        expected = _chance(counts, mapping)
        self.kappa = (self.accuracy - expected) / (1 - expected) if expected < 1 else 0.0
        if codes.shape[1] == 1:
            self.z = _independence_z(counts, mapping)
        else:  # positions of a row are not independent: rows are
            error = float(self.scores.std(ddof=1)) / math.sqrt(len(self.scores))
            gap = self.accuracy - expected
            self.z = gap / error if error > 0 else math.copysign(math.inf, gap) if gap else 0.0

    def beats(self, taken: _Trial, *, step: float, kappa: float, compared: int) -> bool:
        more, fewer = int((self.scores > taken.scores).sum()), int((self.scores < taken.scores).sum())
        return (
            more > fewer
            and mcnemar_p(fewer, more) < P_VALUE / compared
            and self.z > CHANCE_Z
            and self.kappa >= kappa
            and self.accuracy - taken.accuracy >= step
            and taken.kappa <= KAPPA_SHARE * self.kappa
        )


def _chance(counts: np.ndarray, mapping: np.ndarray) -> float:
    """Agreement of answers independent of the labels, with the same shares of classes."""
    total = counts.sum()
    labelled, answered = counts.sum(axis=1), counts.sum(axis=0)
    inside = mapping < len(answered)
    return float((labelled[inside] * answered[mapping[inside]]).sum()) / float(total) ** 2


def _independence_z(counts: np.ndarray, mapping: np.ndarray) -> float:
    """Standard deviations of the agreement from its mean over all orders of the answers (fixed margins)."""
    total = float(counts.sum())
    inside = np.flatnonzero(mapping < counts.shape[1])
    r = counts.sum(axis=1)[inside].astype(float)
    c = counts.sum(axis=0)[mapping[inside]].astype(float)
    agreed, products = float(counts[inside, mapping[inside]].sum()), r * c
    both = products.sum() ** 2 - (products**2).sum()
    variance = ((products * (total - r) * (total - c)).sum() + both) / (total**2 * (total - 1))
    return (agreed - products.sum() / total) / math.sqrt(variance) if variance > 0 else 0.0


def _usual(texts: dict[int, str], codes: np.ndarray, outputs: int) -> dict[str, dict[int, int]]:
    """Rule → (code under the reading taken → output): orders in which people number classes."""
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
    taken: _Trial,
    given: np.ndarray,
    codes: np.ndarray,
    compared: int,
    size: int,
) -> tuple[str, dict[int, int]] | None:
    best, best_trial = None, None
    for rule, mapping in others.items():
        trial = _Trial(given, codes, _array(mapping, size))
        is_better = trial.beats(taken, step=LISTED_STEP, kappa=0.0, compared=compared)
        if is_better and (best_trial is None or trial.accuracy > best_trial.accuracy):
            best, best_trial = (rule, mapping), trial
    return best


def _best_found(
    given: np.ndarray, codes: np.ndarray, texts: dict[int, str], outputs: int, compared: int, size: int
) -> tuple[str, dict[int, int]] | None:
    """The order that agrees best with the model's classes, found on every other row and judged on the rest."""
    if len(texts) > outputs:
        return None
    trained = _assigned(given[::2], codes[::2], list(texts), outputs)
    rest, rest_codes = given[1::2], codes[1::2]
    taken = _Trial(rest, rest_codes, np.arange(size))
    trial = _Trial(rest, rest_codes, _array(trained, size))
    if not trial.beats(taken, step=FOUND_STEP, kappa=FOUND_KAPPA, compared=compared):
        return None
    return "the order that the model's own classes suggest", _assigned(given, codes, list(texts), outputs)


def _assigned(given: np.ndarray, codes: np.ndarray, found: list[int], outputs: int) -> dict[int, int]:
    """The one-to-one assignment of labels to outputs that agrees on most places."""
    from scipy.optimize import linear_sum_assignment

    places = {code: k for k, code in enumerate(found)}
    counts = np.zeros((len(found), outputs), np.int64)
    index = np.vectorize(lambda code: places[code])(codes.reshape(-1))
    np.add.at(counts, (index, given.reshape(-1)), 1)
    rows, columns = linear_sum_assignment(-counts)
    return {found[int(r)]: int(c) for r, c in zip(rows, columns, strict=True)}


def _of_one_class(
    answered: np.ndarray, rows: int, taken: int, texts: dict[int, str], outputs: int
) -> Comparison:
    """All rows have one label: only whether the model gives nearly all of them another class can be told."""
    shares = answered / answered.sum()
    accuracy, best = float(shares[taken]), int(shares.argmax())
    if accuracy >= SINGLE_WRONG:
        return Comparison(FITS, rows, accuracy, accuracy)
    if shares[best] < SINGLE_RIGHT:
        reason = f"all rows have the label {texts[taken]}, and the model gives them several classes"
        return Comparison(CANNOT_TELL, rows, accuracy, accuracy, reason=reason)
    base = _number(texts[taken]) - best
    rule = f"whole numbers counted from {base:g}" if base in (0, 1) else "the class that the model gives"
    better = Reading(rule, _class_list({taken: best}, texts, outputs), float(shares[best]))
    return Comparison(CONTRADICTED, rows, accuracy, accuracy, better)


def _class_list(mapping: dict[int, int], texts: dict[int, str], outputs: int) -> tuple[str, ...]:
    """Label texts by output; an output without a label gets the number that goes on with the others, or a text of its
    own."""
    offsets = {_number(texts[code]) - output for code, output in mapping.items()}
    if offsets in ({0.0}, {1.0}):
        return tuple(str(k + int(min(offsets))) for k in range(outputs))
    names = {output: texts[code] for code, output in mapping.items()}
    return tuple(names.get(k, f"output {k}") for k in range(outputs))


def _accuracy(mapping: dict[int, int], given: np.ndarray, codes: np.ndarray, size: int) -> float:
    return float((_array(mapping, size)[codes] == given).mean())


def _array(mapping: dict[int, int], size: int) -> np.ndarray:
    """mapping as an array over all codes; codes that no row has map to an output that does not exist."""
    array = np.full(size, 1 << 30, np.int64)
    for code, output in mapping.items():
        array[code] = output
    return array


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf
