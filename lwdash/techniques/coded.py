"""Entropy coding: the smallest form of a file for storage and for updates over the air."""

from collections import Counter
from dataclasses import dataclass

from lwdash.contract import Accepts, Packed
from lwdash.packing.coded_file import encode_with_sizes

NAME = "coded"
LABEL = "Coded for updates"
SUMMARY = (
    "Codes the whole file with context-adaptive arithmetic coding, lossless: smaller than gzip, zstd and xz."
)
TRAP = (
    "No runtime reads it. A small decoder in C or Python, in the download, gives the .tflite back; size, memory and "
    "latency on the device are those of the .tflite. Coding takes about 10 s a megabyte, checking up to 80 s."
)
STAGE = "storage"
RUNTIME = None


@dataclass(frozen=True)
class Params:
    pass


def apply(data: bytes, params: Params, accepts: Accepts) -> Packed:
    """The coded file of `data`, see lwdash.packing.coded_file.

    facts: {"saved_bytes", "coded_weights_bytes", "coded_structure_bytes", "forms": how values are seen → tensors}.
    """
    encoding = encode_with_sizes(data)
    facts = {
        "saved_bytes": len(data) - len(encoding.coded),
        "coded_weights_bytes": round(sum(tensor.coded_bytes for tensor in encoding.tensors)),
        "coded_structure_bytes": round(encoding.structure_bytes),
        "forms": dict(Counter(tensor.form for tensor in encoding.tensors)),
    }
    return Packed(encoding.coded, (), facts)
