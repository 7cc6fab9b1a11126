"""An audit of the zeros and shared values from earlier steps, on the numbers that a .tflite stores.

Kernels are found in the file by their contents: converters rename, transpose and fold them (a batch
normalization scales each channel, and may change its sign), but the direction of a channel stays the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lwdash.contract import Skipped
from lwdash.percent_text import as_percent
from lwdash.tflite.flatbuffer import read_model
from lwdash.training.kernel_structure import structure_of

KEPT_ZEROS = 0.95
"""Share of the zeros that must be left for pruning to count as preserved."""
ALIKE = 0.7
"""Minimum mean cosine between the channels of a kernel and of its match in the file."""
GATES = (4, 3)
"""LSTM and GRU kernels are stored gate by gate."""


@dataclass(frozen=True)
class AuditedKernel:
    """A kernel with structure, before conversion and in the file.

    zeros: number of zeros before; zeros_kept: the share of them that is still 0, None without pruning.
    distinct: number of different values before; distinct_stored: in the file; distinct_in_channel: in the
    output channel with most values there, since per-channel scales give equal weights different integers.
    None without clustering.
    is_found: True if the kernel was recognized in the file.
    """

    kernel: str
    is_found: bool
    zeros: int = 0
    zeros_kept: float | None = None
    distinct: int = 0
    distinct_stored: int | None = None
    distinct_in_channel: int | None = None

    @property
    def lost(self) -> str:
        """Message on the lost structure; empty if none was lost."""
        losses = []
        if self.zeros_kept is not None and self.zeros_kept < KEPT_ZEROS:
            losses.append(
                f"{as_percent(1 - self.zeros_kept)} of the {self.zeros:,} zeros from pruning are no "
                "longer zero"
            )
        if self.distinct_in_channel is not None and self.distinct_in_channel > self.distinct:
            losses.append(
                f"the {self.distinct} shared values from clustering are {self.distinct_stored} in the file"
            )
        return " and ".join(losses)


def audit(kernels: Mapping[str, np.ndarray], tflite: bytes) -> tuple[AuditedKernel, ...]:
    """Audit of the structure of `kernels`, float arrays in Keras order; kernels without structure are left
    out.

    kernels: by the path of their layer and their number in it, as in `stored_model.kernels`: `block/conv:0`.
    """
    stored = list(_stored(tflite))
    findings = []
    for name, kernel in kernels.items():
        structure = structure_of(kernel)
        if structure:
            found = _find(kernel, stored)
            findings.append(
                _compare(name, kernel, found, structure.is_pruned, structure.is_clustered)
                if found is not None
                else AuditedKernel(name, False)
            )
    return tuple(findings)


def lost_structure(findings: Sequence[AuditedKernel]) -> tuple[Skipped, ...]:
    """The findings with lost or unverified structure, as skipped layers."""
    unknown = (
        "its zeros and shared values could not be checked, because the kernel was not recognized in the file"
    )
    return tuple(
        Skipped(f.kernel.rpartition(":")[0], f.lost if f.is_found else unknown)
        for f in findings
        if f.lost or not f.is_found
    )


def as_facts(findings: Sequence[AuditedKernel]) -> list[dict[str, Any]]:
    return [asdict(finding) for finding in findings]


def _compare(
    name: str, kernel: np.ndarray, stored: _Stored, is_pruned: bool, is_clustered: bool
) -> AuditedKernel:
    zeros, found = kernel == 0, stored.values
    return AuditedKernel(
        name,
        True,
        zeros=int(zeros.sum()),
        zeros_kept=float(np.mean(found[zeros] == 0)) if is_pruned else None,
        distinct=len(np.unique(kernel)),
        distinct_stored=len(np.unique(found)) if is_clustered else None,
        distinct_in_channel=max(len(np.unique(c)) for c in _channels(stored)) if is_clustered else None,
    )


@dataclass(frozen=True, eq=False)
class _Stored:
    """A kernel as stored in a file. scales: number of scales; 1 for a scale for the whole tensor, and for floats."""

    values: np.ndarray
    scales: int = 1


def _channels(stored: _Stored) -> np.ndarray:
    """(channels, weights) of a kernel in Keras order: the axis with one scale per slice, or the outputs
    without such an axis.

    Outputs are along the last axis; of transposed convolutions along the one before; of depthwise ones along
    both together.
    """
    values, scales = stored.values, stored.scales
    last, before = values.shape[-1], values.shape[-2]
    if scales > 1 and scales != last and scales == before:
        return np.moveaxis(values, -2, 0).reshape(scales, -1)
    is_depthwise = values.ndim > 2 and (last == 1 or (scales > 1 and scales == before * last))
    return values.reshape(-1, before * last if is_depthwise else last).T


def _find(kernel: np.ndarray, stored: list[_Stored]) -> _Stored | None:
    """The file's tensor that is this kernel, in Keras order. It is removed from `stored`."""
    whole = _best(kernel, stored)
    if whole is not None:
        return whole
    for gates in GATES if kernel.ndim == 2 and kernel.shape[-1] > 4 else ():
        if kernel.shape[-1] % gates == 0:
            left = list(stored)
            found = [_best(part, left) for part in np.split(kernel, gates, axis=-1)]
            parts = [part for part in found if part is not None]
            if len(parts) == gates:
                stored[:] = left
                return _Stored(
                    np.concatenate([part.values for part in parts], axis=-1),
                    max(part.scales for part in parts),
                )
    return None


def _best(kernel: np.ndarray, stored: list[_Stored]) -> _Stored | None:
    best, likeness, place = None, ALIKE, -1
    for i, tensor in enumerate(stored):
        for candidate in _orientations(tensor.values, kernel.shape):
            alike = _likeness(kernel, candidate)
            if alike > likeness:
                best, likeness, place = _Stored(candidate, tensor.scales), alike, i
    if best is not None:
        del stored[place]
    return best


def _orientations(tensor: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """A file's tensor in its possible Keras shapes: outputs first, transposed, depthwise, unchanged."""
    if tensor.size != np.prod(shape):
        return
    yield np.moveaxis(tensor.reshape(shape[-1], *shape[:-1]), 0, -1)
    yield tensor.reshape(shape)
    if len(shape) > 2:
        yield np.moveaxis(tensor.reshape(shape[-2], *shape[:-2], shape[-1]), 0, -2)
        yield np.moveaxis(tensor.reshape(*shape[1:], shape[0]), -1, 0)


def _likeness(kernel: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute cosine of the channels; channels that are empty in the kernel do not count."""
    a, b = (values.reshape(-1, kernel.shape[-1]).astype(np.float64) for values in (kernel, other))
    lengths = np.linalg.norm(a, axis=0)
    used = lengths > 0
    if not used.any():
        return 1.0
    products = np.abs((a * b).sum(axis=0)[used])
    return float(np.mean(products / np.maximum(lengths[used] * np.linalg.norm(b, axis=0)[used], 1e-12)))


def _stored(tflite: bytes) -> Iterator[_Stored]:
    """The constants of a file with two or more axes, as integers without their zero point, or as floats."""
    from ai_edge_litert import schema_py_generated as schema

    types = schema.TensorType
    numbers = {
        types.FLOAT32: np.float32, types.FLOAT16: np.float16, types.INT8: np.int8, types.UINT8: np.uint8,
        types.INT16: np.int16,
    }  # fmt: skip
    model = read_model(tflite)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
            if data is None or len(data) == 0 or len(shape) < 2:
                continue
            if tensor.type == types.INT4:
                values: np.ndarray = _nibbles(np.frombuffer(bytes(data), np.int8), int(np.prod(shape)))
            elif tensor.type in numbers:
                values = np.frombuffer(bytes(data), numbers[tensor.type])
            else:
                continue
            zero_point, values = _zero_point(tensor), values.reshape(shape)
            yield _Stored(values - zero_point if zero_point else values, _scales(tensor))


def _nibbles(packed: np.ndarray, count: int) -> np.ndarray:
    """4-bit integers, the lower half of each byte first."""
    return np.stack([np.left_shift(packed, 4) >> 4, packed >> 4], axis=1).ravel()[:count]


def _zero_point(tensor: Any) -> int:
    quantization = tensor.quantization
    if quantization is None or quantization.zeroPoint is None or len(quantization.zeroPoint) != 1:
        return 0
    return int(quantization.zeroPoint[0])


def _scales(tensor: Any) -> int:
    quantization = tensor.quantization
    return 1 if quantization is None or quantization.scale is None else max(1, len(quantization.scale))
