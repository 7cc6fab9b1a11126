"""A Gaussian process for a few dozen runs: predicts a metric of untried recipes, with its uncertainty.

Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), chapters 2 and 5. The covariance is
the sum of a constant, a linear and a squared-exponential part, and noise. The scales are the most likely ones
of a small grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

LENGTHS = (1.5, 4.0)
AMPLITUDES = (0.3, 1.0)
SLOPES = (0.1, 0.4)
USUAL = (3.0, 0.6, 0.4)
MIN_FITTED = 5
"""With fewer values, length, amplitude and slope are not fitted; `USUAL` is used."""


@dataclass(frozen=True)
class Scales:
    """Length scale, amplitude, slope per unit of a feature, noise of a value, and uncertainty of the overall
    level. The last four are in the unit of the values.
    """

    length: float
    amplitude: float
    slope: float
    noise: float
    level: float

    def covariance(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(some, others): covariance of the noise-free values at two arrays of points."""
        products = some @ others.T
        squares = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * products
        near = np.exp(-0.5 * np.maximum(squares, 0) / self.length**2)
        return self.level**2 + self.slope**2 * products + self.amplitude**2 * near

    def variance(self, points: np.ndarray) -> np.ndarray:
        """(points,): the diagonal of the covariance of points with themselves."""
        return self.level**2 + self.slope**2 * (points**2).sum(axis=1) + self.amplitude**2


@dataclass(frozen=True)
class GaussianProcess:
    """A process conditioned on values at points; `inverse` is the inverse of their covariance's Cholesky factor."""

    scales: Scales
    points: np.ndarray
    inverse: np.ndarray
    weights: np.ndarray

    def predict(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of a measurement at each point, noise included."""
        variance = self.scales.variance(points) + self.scales.noise**2
        if not self.points.size:
            return np.zeros(len(points)), np.sqrt(variance)
        between = self.scales.covariance(self.points, points)
        explained = self.inverse @ between
        return self.weights @ between, np.sqrt(np.maximum(variance - (explained**2).sum(axis=0), 1e-9))


def fit(points: np.ndarray, values: np.ndarray, *, level: float, noises: Sequence[float]) -> Scales:
    """The most likely scales for values at points, with one of `noises`. Before any value is known, 0 ±
    `level` is expected.
    """
    if len(values) < MIN_FITTED:
        return Scales(*USUAL, noises[-1], level)
    options = [Scales(*each, level) for each in product(LENGTHS, AMPLITUDES, SLOPES, noises)]
    return max(options, key=lambda scales: _log_likelihood(points, values, scales))


def given(points: np.ndarray, values: np.ndarray, scales: Scales) -> GaussianProcess:
    """The process conditioned on values at points."""
    inverse = np.linalg.inv(_root(points, scales)) if points.size else np.zeros((0, 0))
    return GaussianProcess(scales, points, inverse, inverse.T @ (inverse @ values))


def _log_likelihood(points: np.ndarray, values: np.ndarray, scales: Scales) -> float:
    """Log likelihood of the values, up to a constant."""
    root = _root(points, scales)
    return -0.5 * float((np.linalg.solve(root, values) ** 2).sum()) - float(np.log(np.diag(root)).sum())


def _root(points: np.ndarray, scales: Scales) -> np.ndarray:
    return np.linalg.cholesky(scales.covariance(points, points) + scales.noise**2 * np.eye(len(points)))
