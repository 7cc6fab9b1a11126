"""Look-up tables: a clustered int8 file stores short indices, which TensorFlow Lite Micro unpacks."""

from dataclasses import dataclass

from lwdash.contract import Accepts, Packed, Skipped
from lwdash.packing.lut_file import store_tables

NAME = "lut"
LABEL = "Look-up tables"
SUMMARY = "Stores clustered int8 weights as short indices into a table: about half the flash for TensorFlow Lite Micro."
TRAP = (
    "Only TensorFlow Lite Micro runs it, and it unpacks each kernel into RAM before use: the arena grows by the largest. "
    "Cluster first; int8(per_channel=false) needs one table a kernel instead of one a channel."
)
STAGE = "storage"
RUNTIME = "micro"
STORES = ("int8", "int16x8", "mixed")


@dataclass(frozen=True)
class Params:
    pass


def apply(data: bytes, params: Params, accepts: Accepts) -> Packed:
    """Kernel by kernel where it is smaller so; equal to `data` where none gains.

    facts: {"table_tensors", "saved_bytes", "index_bits": bits of an index, as text → kernels}.
    """
    file = store_tables(data, accepts)
    bits = {str(width): count for width, count in file.index_bits.items()}
    facts = {"table_tensors": len(file.stored), "saved_bytes": len(data) - len(file.data), "index_bits": bits}
    skipped = [Skipped(one.name, one.reason) for one in file.dense]
    if not file.stored and not skipped:
        skipped.append(Skipped("all layers", "no int8 kernel is large enough for a table to pay"))
    return Packed(file.data, tuple(skipped), facts)
