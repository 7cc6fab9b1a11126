"""One tensor of a .tflite: its stored numbers, what they stand for, and which of them are zero."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwdash.errors import InternalFault


class TfliteUnreadable(InternalFault):
    """This is not a .tflite that can be read."""


_NUMPY_TYPES: dict[str, Any] = {
    "float32": np.float32, "float16": np.float16, "float64": np.float64, "int8": np.int8, "uint8": np.uint8,
    "int16": np.int16, "uint16": np.uint16, "int32": np.int32, "uint32": np.uint32, "int64": np.int64,
    "uint64": np.uint64, "bool": np.bool_, "complex64": np.complex64, "complex128": np.complex128,
}  # fmt: skip
_PACKED_BITS = {"int4": 4, "uint4": 4, "int2": 2}
_BITS = {"float8_e4m3fn": 8, "float8_e5m2": 8, "bfloat16": 16, **_PACKED_BITS}


def bits_of(dtype: str) -> int:
    """Bits that one stored value takes; 0 for types without a fixed size (string, resource, variant)."""
    if dtype in _BITS:
        return _BITS[dtype]
    return np.dtype(_NUMPY_TYPES[dtype]).itemsize * 8 if dtype in _NUMPY_TYPES else 0


def is_integer(dtype: str) -> bool:
    """Whether `dtype` is one that a quantized activation or weight can have."""
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
    is_stored_sparse: bool
    block_scales: tuple[int, ...]

    @property
    def is_blockwise(self) -> bool:
        """Whether one scale covers a block of values; the scales are tensors of their own, `block_scales`."""
        return bool(self.block_scales)

    @property
    def is_constant(self) -> bool:
        return self.data is not None and not self.is_variable

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def stored_bytes(self) -> int:
        return 0 if self.data is None else self.data.nbytes

    def values(self) -> np.ndarray:
        """The stored numbers in the tensor's shape: integers for integer types, int4 and int2 as int8.

        A tensor stored in TensorFlow Lite's sparse format comes flat: the values it stores, then the zeros it
        leaves out; good for counting, not for position.
        """
        if self.data is None:
            raise TfliteUnreadable(f"tensor '{self.name}' holds no values: it is computed at run time")
        flat = _decode(self.data, self.dtype)
        if self.is_stored_sparse:
            missing = max(0, self.elements - len(flat))
            return np.concatenate([flat, np.zeros(missing, flat.dtype)])
        if len(flat) < self.elements:
            raise TfliteUnreadable(
                f"tensor '{self.name}' of shape {self.shape} and type {self.dtype} needs {self.elements} "
                f"values, its buffer {self.buffer} holds {len(flat)}"
            )
        return flat[: self.elements].reshape(self.shape)

    def zeros(self) -> np.ndarray:
        """Which stored numbers stand for exactly 0: equal to the zero point where there is one."""
        values = self.values()
        if self.quantization is None or not self.quantization.zero_point.any():
            return values == 0
        if self.is_stored_sparse:
            return values == self.quantization.zero_point[0]
        return values == _along(self.quantization.zero_point, self.quantization.axis, values.ndim)

    def real(self) -> np.ndarray | None:
        """The numbers that the stored ones stand for, float32; None for sparse or blockwise storage."""
        if self.is_stored_sparse or self.is_blockwise:
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
        )  # the first value sits in the low bits
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
