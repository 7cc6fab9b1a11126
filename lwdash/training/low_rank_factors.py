"""The factors of a kernel in a chain of smaller layers: an SVD or Tucker-2, fitted to the inputs of its layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lwdash.training.layerwise.brain_surgeon import damped, squared_error

ENERGIES = (0.99, 0.97, 0.94, 0.9, 0.85, 0.8, 0.72, 0.64, 0.55, 0.45, 0.35, 0.25)
"""Shares of a kernel's energy whose ranks are compared."""
MAX_CHOICES = 10
"""Largest number of ranks that are compared for one layer."""


@dataclass(frozen=True)
class Factors:
    """A kernel (taps, in, out) as `reduce` (in, r), `core` (taps, r, s) and `restore` (s, out).

    An SVD or a Tucker-1 has only one of the outer two: None means the identity.
    kept: share of the kernel's energy in their product.
    """

    reduce: np.ndarray | None
    core: np.ndarray
    restore: np.ndarray | None
    kept: float

    @property
    def ranks(self) -> list[int]:
        return [int(n) for n in self.core.shape[1:]]

    def product(self) -> np.ndarray:
        """The kernel that the chain computes with, (taps, in, out)."""
        core = self.core if self.reduce is None else np.einsum("ir,trs->tis", self.reduce, self.core)
        return core if self.restore is None else np.einsum("tis,so->tio", core, self.restore)


def fitted(factors: Factors, weights: np.ndarray, moments: np.ndarray) -> Factors:
    """Factors of the same ranks that change the layer's outputs less, or the given ones.

    weights: (taps · in, out). moments: (taps · in, taps · in), of the layer's inputs.
    The input channels are reduced to the directions that matter most for the outputs. The core is solved for
    by least squares, and projected on the largest directions of the outputs.
    """
    taps, outputs = len(factors.core), weights.shape[1]
    matrix = damped(moments[None])[0]
    reduce, core, spread = factors.reduce, weights, matrix
    if reduce is not None:
        inputs, rank = reduce.shape
        shared = np.einsum("titj->ij", matrix.reshape(taps, inputs, taps, inputs))
        lower = np.linalg.cholesky(shared)
        unfolded = np.moveaxis(weights.reshape(taps, inputs, outputs), 1, 0).reshape(inputs, -1)
        leading = np.linalg.svd(lower.T @ unfolded, full_matrices=False)[0][:, :rank]
        reduce = np.linalg.qr(np.linalg.solve(lower.T, leading))[0]
        basis = np.kron(np.eye(taps), reduce)
        spread = basis.T @ matrix @ basis
        core = np.linalg.solve(spread, basis.T @ matrix @ weights)
    restore = factors.restore
    if restore is not None:
        directions = np.linalg.eigh(core.T @ spread @ core)[1][:, ::-1][:, : len(restore)]
        core, restore = core @ directions, directions.T
    found = Factors(
        None if reduce is None else reduce.astype(np.float32),
        core.reshape(taps, -1, core.shape[1]).astype(np.float32),
        None if restore is None else restore.astype(np.float32),
        factors.kept,
    )
    errors = [
        squared_error((f.product().reshape(weights.shape) - weights)[None], matrix[None])
        for f in (found, factors)
    ]
    return found if errors[0] <= errors[1] else factors


def best_choices(weights: np.ndarray, moments: np.ndarray, kernel: np.ndarray, stride: int) -> list[Factors]:
    """Fitted factors of growing MACs and falling error of the layer's outputs, all with fewer MACs than the layer.

    weights, moments: as in `fitted`. kernel: (taps, in, out).
    """
    found: dict[Sequence[object], Factors] = {}
    for energy in ENERGIES:
        for one in candidates(kernel, energy):
            key = (one.reduce is None, one.restore is None, *one.ranks)
            if key not in found and macs_of(one, stride) < kernel.size:
                found[key] = fitted(one, weights, moments)
    matrix = damped(moments[None])
    errors = [
        squared_error((one.product().reshape(weights.shape) - weights)[None], matrix)
        for one in found.values()
    ]
    kept: list[Factors] = []
    least = np.inf
    for error, _, one in sorted(
        zip(errors, range(len(errors)), found.values(), strict=True),
        key=lambda e: (macs_of(e[2], stride), e[0]),
    ):
        if error < least:
            kept.append(one)
            least = error
    if len(kept) <= MAX_CHOICES:
        return kept
    return [kept[n] for n in np.unique(np.linspace(0, len(kept) - 1, MAX_CHOICES).round().astype(int))]


def macs_of(factors: Factors, stride: int) -> int:
    """MACs for one output position; the reduction runs on the input, which has `stride` positions for each."""
    outer = [0 if part is None else part.size for part in (factors.reduce, factors.restore)]
    return outer[0] * stride + factors.core.size + outer[1]


def candidates(kernel: np.ndarray, energy: float) -> list[Factors]:
    """Reduced inputs, reduced outputs, or both; with both, each may lose half of the allowed loss."""
    half = 1 - (1 - energy) / 2
    inputs, outputs = _basis(np.moveaxis(kernel, 1, 0)), _basis(np.moveaxis(kernel, 2, 0))
    choices = [
        (_leading(inputs, energy), None),
        (None, _leading(outputs, energy)),
        (_leading(inputs, half), _leading(outputs, half)),
    ]
    return [_project(kernel, *choice) for choice in (choices if len(kernel) > 1 else choices[:2])]


def _basis(unfolded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors of a kernel unfolded along its first axis, and the energy along each."""
    matrix = unfolded.reshape(len(unfolded), -1).astype(np.float64)
    vectors, values, _ = np.linalg.svd(matrix, full_matrices=False)
    return vectors, values**2


def _leading(basis: tuple[np.ndarray, np.ndarray], energy: float) -> np.ndarray:
    """The smallest number of vectors that keep `energy`, at least one."""
    vectors, energies = basis
    shares = np.cumsum(energies) / max(float(energies.sum()), 1e-300)
    rank = min(int(np.searchsorted(shares, energy - 1e-12)) + 1, len(energies))
    return vectors[:, :rank]


def _project(kernel: np.ndarray, inputs: np.ndarray | None, outputs: np.ndarray | None) -> Factors:
    core = kernel.astype(np.float64)
    if inputs is not None:
        core = np.einsum("tio,ir->tro", core, inputs)
    if outputs is not None:
        core = np.einsum("tio,os->tis", core, outputs)
    kept = float((core**2).sum() / max(float((kernel.astype(np.float64) ** 2).sum()), 1e-300))
    return Factors(
        None if inputs is None else inputs.astype(np.float32),
        core.astype(np.float32),
        None if outputs is None else outputs.T.astype(np.float32),
        kept,
    )
