"""One tensor of a .tflite: its stored numbers, their real values, and its zeros."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.errors import InternalFault
from lwdash.tflite.sparsity import Sparsity, SparsityUnreadable


class TfliteUnreadable(InternalFault):
    """The bytes are not a readable .tflite."""


_NUMPY_TYPES: dict[str, Any] = {
    "float32": np.float32, "float16": np.float16, "float64": np.float64, "int8": np.int8, "uint8": np.uint8,
    "int16": np.int16, "uint16": np.uint16, "int32": np.int32, "uint32": np.uint32, "int64": np.int64,
    "uint64": np.uint64, "bool": np.bool_, "complex64": np.complex64, "complex128": np.complex128,
}  # fmt: skip
_PACKED_BITS = {"int4": 4, "uint4": 4, "int2": 2}
_BITS = {"float8_e4m3fn": 8, "float8_e5m2": 8, "bfloat16": 16, **_PACKED_BITS}


def bits_of(dtype: str) -> int:
    """Bits of one stored value; 0 for types without a fixed size (string, resource, variant)."""
    if dtype in _BITS:
        return _BITS[dtype]
    return np.dtype(_NUMPY_TYPES[dtype]).itemsize * 8 if dtype in _NUMPY_TYPES else 0


def is_integer(dtype: str) -> bool:
    """True if a quantized activation or weight can have the type `dtype`."""
    return dtype in ("int8", "uint8", "int16", "int4", "uint4", "int2")


def is_float(dtype: str) -> bool:
    return dtype in ("float32", "float16", "float64", "bfloat16")


@dataclass(frozen=True, eq=False)
class Quantization:
    """Real = scale · (stored − zero_point); one entry per tensor, or one per slice along `axis`."""

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int

    @property
    def is_per_channel(self) -> bool:
        return len(self.scale) > 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of a subgraph. `data` views the file's bytes; None for a tensor computed at run time."""

    subgraph: int
    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    buffer: int
    data: np.ndarray | None
    quantization: Quantization | None
    is_variable: bool
    sparsity: Sparsity | None
    block_scales: tuple[int, ...]

    @property
    def is_blockwise(self) -> bool:
        """True if one scale covers a block of values; the scales are separate tensors, `block_scales`."""
        return bool(self.block_scales)

    @property
    def is_stored_sparse(self) -> bool:
        return self.sparsity is not None

    @property
    def is_constant(self) -> bool:
        return self.data is not None and not self.is_variable

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the values, and of the lists of their places where the tensor is stored sparse."""
        indices = self.sparsity.index_bytes if self.sparsity else 0
        return 0 if self.data is None else self.data.nbytes + indices

    def values(self) -> np.ndarray:
        """The stored numbers in the tensor's shape: integers for integer types, int4 and int2 as int8.

        A tensor in TensorFlow Lite's sparse format is returned dense, with the omitted zeros. Raises TfliteUnreadable.
        """
        if self.data is None:
            raise TfliteUnreadable(f"tensor '{self.name}' holds no values: it is computed at run time")
        flat = _decode(self.data, self.dtype)
        if self.sparsity is not None:
            try:
                return self.sparsity.densified(flat, self.shape)
            except SparsityUnreadable as error:
                raise TfliteUnreadable(f"the sparse tensor '{self.name}' is damaged: {error}") from error
        if len(flat) < self.elements:
            raise TfliteUnreadable(
                f"tensor '{self.name}' of shape {self.shape} and type {self.dtype} needs {self.elements} "
                f"values, but its buffer {self.buffer} holds {len(flat)}"
            )
        return flat[: self.elements].reshape(self.shape)

    def zeros(self) -> np.ndarray:
        """Mask of stored numbers that mean exactly 0: equal to the zero point if there is one."""
        values = self.values()
        if self.quantization is None or not self.quantization.zero_point.any():
            return values == 0
        return values == _along(self.quantization.zero_point, self.quantization.axis, values.ndim)

    def real(self) -> np.ndarray | None:
        """The real values of the stored numbers, float32; None for blockwise storage."""
        if self.is_blockwise:
            return None
        values, quantization = self.values(), self.quantization
        if quantization is None:
            return values.astype(np.float32)
        scale = _along(quantization.scale, quantization.axis, values.ndim)
        zero_point = _along(quantization.zero_point, quantization.axis, values.ndim)
        return ((values.astype(np.float64) - zero_point) * scale).astype(np.float32)


def _decode(data: np.ndarray, dtype: str) -> np.ndarray:
    if dtype in _PACKED_BITS:
        bits = _PACKED_BITS[dtype]
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        codes = ((data[:, None] >> shifts) & ((1 << bits) - 1)).reshape(
            -1
        )  # the first value is in the low bits
        if dtype == "uint4":
            return codes
        return (codes.astype(np.int8) << (8 - bits)) >> (8 - bits)
    if dtype == "bfloat16":
        return (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return data.view(_NUMPY_TYPES.get(dtype, np.uint8))


def _along(values: np.ndarray, axis: int, dimensions: int) -> np.ndarray:
    if len(values) == 1:
        return values[0]
    return values.reshape([-1 if i == axis else 1 for i in range(dimensions)])
