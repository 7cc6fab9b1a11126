"""Predicted metrics of recipes: prior expectations, corrected by the runs so far."""

from collections.abc import Mapping, Sequence

import numpy as np

from lwdash.metrics.limits import ACCURACY_DROP
from lwdash.search.candidates import Candidates
from lwdash.search.gaussian_process import GaussianProcess, Scales, fit, given
from lwdash.search.outcomes import FAILED, Outcome
from lwdash.search.priors import Traits, expected_drop, expected_log_cost, features, traits

COST, LOSS, DROP = "cost", "loss", ACCURACY_DROP
USUAL_DROP = 0.01
MAX_EXCESS = 4.0
MIN_COST = 1e-9
COST_LEVEL = 3.0
LEVELS: Mapping[str, float] = {LOSS: 0.7, DROP: 0.7, FAILED: 0.3}
"""Possible error of a prior expectation that all recipes share; `COST_LEVEL` for costs, whose unit is unknown."""
COST_NOISES = (0.03, 0.12)
NOISES: Mapping[str, tuple[float, ...]] = {LOSS: (0.3,), DROP: (0.3,), FAILED: (0.1,)}
"""Standard deviation of a value when a recipe is trained again. For accuracy it is known to be large compared
with a usual limit. A few runs cannot estimate it.
"""

Values = dict[str, float]
"""Metrics of a recipe, in units that can be added, less is better: logarithm of the cost, loss of quality
relative to the best run, excess over each limit (0 if just met), and `FAILED` (1 or −1).
"""


class Surrogate:
    """Predicts the metrics of candidates; each known row has its features, prior expectations and values."""

    def __init__(
        self,
        candidates: Candidates,
        goal: str,
        limits: Mapping[str, float],
        objectives: Sequence[str],
        found: Sequence[Outcome],
        *,
        is_informed: bool = True,
    ):
        self.is_informed = is_informed
        self.candidates, self.goal, self.limits = candidates, goal, limits
        self.names = (*objectives, *limits, FAILED)
        self.rows: list[np.ndarray] = []
        self.values: list[Values] = []
        self._points: list[np.ndarray] = []
        self._expectations: list[Values] = []
        self._scales: dict[str, Scales] = {}
        self._processes: dict[str, GaussianProcess] = {}
        self._learn(found)

    def predict(self, rows: np.ndarray, names: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Metric → mean and standard deviation of a measurement, one element per row."""
        known = traits(self.candidates, rows)
        points, found = features(known), {}
        for name in names:
            mean, deviation = self._process(name).predict(points)
            found[name] = (mean + self._expected(name, known), deviation)
        return found

    def imagine(self, row: np.ndarray, chance: np.random.Generator) -> None:
        """Treat a row as measured, with values drawn from their prediction."""
        predicted = self.predict(row[None], self.names)
        self._add(row, {name: float(chance.normal(mean[0], sd[0])) for name, (mean, sd) in predicted.items()})
        self._processes = {}

    def keeps_limits(self, values: Values) -> bool:
        """True if a recipe with these values has not failed and meets every limit."""
        return values[FAILED] <= 0 and all(values.get(key, 1.0) <= 0 for key in self.limits)

    def _learn(self, found: Sequence[Outcome]) -> None:
        best = max((outcome.quality for outcome in found), default=0.0)
        losses = [best - outcome.quality for outcome in found]
        usual = float(np.median([loss for loss in losses if loss > 0] or [USUAL_DROP]))
        for outcome, loss in zip(found, losses, strict=True):
            row = self.candidates.encode(outcome.recipe)
            if row is None:
                continue
            values: Values = {FAILED: 1.0}
            if FAILED not in outcome.excess:
                cost = {} if np.isnan(outcome.cost) else {COST: float(np.log(max(outcome.cost, MIN_COST)))}
                values = {
                    **cost, LOSS: float(np.arcsinh(loss / usual)), FAILED: -1.0,
                    **{
                        key: float(_drop_excess(excess) if key == DROP else np.log1p(max(excess, -0.999)))
                        for key in self.limits
                        if np.isfinite(excess := outcome.excess.get(key, np.nan))
                    },
                }  # fmt: skip
            self._add(row, values)

    def _add(self, row: np.ndarray, values: Values) -> None:
        known = traits(self.candidates, row[None])
        self.rows.append(row)
        self.values.append(values)
        self._points.append(features(known)[0])
        self._expectations.append({name: float(self._expected(name, known)[0]) for name in self.names})

    def _process(self, name: str) -> GaussianProcess:
        if name not in self._processes:
            chosen = [number for number, values in enumerate(self.values) if name in values]
            points = np.array([self._points[number] for number in chosen])
            values = np.array([self.values[n][name] - self._expectations[n][name] for n in chosen])
            if name not in self._scales:
                level, noises = LEVELS.get(name, COST_LEVEL), NOISES.get(name, COST_NOISES)
                self._scales[name] = fit(points, values, level=level, noises=noises)
            self._processes[name] = given(points, values, self._scales[name])
        return self._processes[name]

    def _expected(self, name: str, known: Traits) -> np.ndarray:
        """Expected values of candidates before any measurement; without prior knowledge, the same for all."""
        if not self.is_informed:
            return np.full(len(known.format), -1.0 if name == FAILED else 0.0)
        if name == FAILED:
            return np.full(len(known.format), -1.0)
        if name == LOSS:
            return np.arcsinh(expected_drop(known) / USUAL_DROP)
        if name == DROP:
            return _drop_excess(expected_drop(known) / max(self.limits[DROP], 1e-9) - 1)
        return expected_log_cost(known, self.goal if name == COST else name)


def _drop_excess(excess: np.ndarray | float) -> np.ndarray:
    """Scaled excess over the quality limit, so that very bad runs do not dominate; 0 stays 0."""
    return np.clip(np.arcsinh(excess), -MAX_EXCESS, MAX_EXCESS)
