"""Reports on single tensors of a storage form: stored in fewer bytes, or left dense."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that takes fewer bytes now. blocks: sizes of the blocks of a sparse one, where there are blocks."""

    name: str
    operator: str
    dense_bytes: int
    stored_bytes: int
    zeros: int
    values: int
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True)
class LeftDense:
    """A tensor that stays as it was, with the reason."""

    name: str
    operator: str
    reason: str
