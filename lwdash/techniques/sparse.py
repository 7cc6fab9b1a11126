"""Sparse storage: zeros are left out of the file, and LiteRT fills them in when it loads it."""

from collections import Counter
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from lwdash.contract import Accepts, Packed, Skipped
from lwdash.packing.sparse_file import store_sparse

NAME = "sparse"
LABEL = "Sparse storage"
SUMMARY = "Stores only the weights that are not zero: what pruning saves becomes bytes of the .tflite."
TRAP = (
    "LiteRT on phones and computers reads it, TensorFlow Lite Micro does not. Memory and latency stay those of the dense "
    "network. int8 gains from about 60 % zeros on, dynamic not at all."
)
STAGE = "storage"
RUNTIME = "litert"
INDEX_BITS = 8
"""Bits of a weight's place in the lists of an average sparse file, for estimates."""
MIN_WEIGHT_BITS = 8

Amounts = TypeVar("Amounts", float, np.ndarray)


@dataclass(frozen=True)
class Params:
    pass


def can_store(format: str, bits: float) -> bool:
    """True if LiteRT loads sparse weights of a number format. bits: of a stored weight."""
    return format != "dynamic" and bits >= MIN_WEIGHT_BITS


def expected_share(dense: Amounts, bits: Amounts) -> Amounts:
    """An estimate: bytes of sparse weights, divided by their bytes without sparse storage; above 1 the form does not pay.

    dense: share of the weights that are not zero. bits: of a stored weight.
    """
    return dense * (bits + INDEX_BITS) / bits


def apply(data: bytes, params: Params, accepts: Accepts) -> Packed:
    """Tensor by tensor where it is smaller so; the file is never larger than `data`, and equal to it where none gains.

    facts: {"sparse_tensors", "saved_bytes", "blocks": sizes of blocks used, as text → tensors}.
    """
    file = store_sparse(data, accepts)
    blocks = Counter("×".join(map(str, one.blocks)) for one in file.stored if one.blocks)
    facts = {
        "sparse_tensors": len(file.stored),
        "saved_bytes": len(data) - len(file.data),
        "blocks": dict(blocks),
    }
    skipped = [Skipped(one.name, one.reason) for one in file.dense]
    if not file.stored and not skipped:
        skipped.append(
            Skipped("all layers", "too few zeros: the lists of places would take more bytes than they save")
        )
    return Packed(file.data, tuple(skipped), facts)
