"""The smallest form of a .tflite for storage and for updates over the air: entropy-coded, lossless.

No runtime reads a coded file: it is decoded first, to the byte-identical .tflite. `decode` does so here; `decoder.py` and
`decoder.c` beside this module do so elsewhere, and `download_zip` packs them with a file. The format is described in
`decoder.py`.

    coded = encode(tflite)              bytes → bytes
    decode(coded) == tflite             CodedDamaged for damaged bytes
    encoding = encode_with_sizes(tflite)
    encoding.coded                      the same bytes
    encoding.tensors                    one `CodedTensor` a tensor: stored_bytes, coded_bytes, form
    encoding.structure_bytes            all that is no tensor: graph, names, scales, and small tensors
    download_zip(coded, "model")        model.tflite.coded, decoder.c, decoder.py, README.txt

`coded_bytes` are fractions of a byte, as the coder does not end at bytes. They add up to `len(coded)` with
`structure_bytes`.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from lwdash.errors import UserMistake
from lwdash.packing import decoder
from lwdash.packing.range_encoder import RangeEncoder
from lwdash.packing.scale_products import address, find_products, scale_vectors
from lwdash.packing.segment_plans import OWN_SALT, Candidate, candidates, plan_bytes
from lwdash.packing.value_coder import Contexts, ValueCoder, hashed, information_bits, segment_contexts
from lwdash.tflite.reader import TfliteFacts, read_tflite
from lwdash.tflite.tensor import Tensor

MIN_SEGMENT_BYTES = 64
SAMPLE_VALUES = decoder.CHUNK
"""The forms of a tensor are compared on so many of its values."""
TABLE_BITS = ((1 << 15, 18), (1 << 17, 20), (decoder.MAX_SIZE_BYTES, 22))
"""Up to so many bytes of structure → `table_bits`."""
PIECE = 1 << 16
"""Decisions that become Python numbers at a time."""
WRITTEN_AT = (1980, 1, 1, 0, 0, 0)


class CodedDamaged(UserMistake):
    """This is not a coded .tflite, or it is damaged."""


@dataclass(frozen=True)
class CodedTensor:
    """One tensor in a coded file. form: how its values are seen, "integers" or "list of values" for example."""

    subgraph: int
    index: int
    name: str
    stored_bytes: int
    coded_bytes: float
    form: str


@dataclass(frozen=True)
class Encoding:
    """A coded file and what its bytes are for."""

    coded: bytes
    tensors: tuple[CodedTensor, ...]

    @property
    def structure_bytes(self) -> float:
        """Bytes of all that is no listed tensor, header and plan included."""
        return len(self.coded) - sum(tensor.coded_bytes for tensor in self.tensors)


@dataclass(frozen=True, eq=False)
class _Part:
    tensor: Tensor
    start: int
    data: bytes


def encode(tflite: bytes) -> bytes:
    """The coded file of a .tflite. Raises TfliteUnreadable for what is no .tflite."""
    return encode_with_sizes(tflite).coded


def encode_with_sizes(tflite: bytes, table_bits: int | None = None) -> Encoding:
    """The coded file, and what each tensor takes in it.

    table_bits: the decoder needs 4 · 2^table_bits bytes of memory; fewer make the file larger. By default 18, which is
    1 MiB, or more where the structure is large.
    """
    facts = read_tflite(tflite)
    parts = _parts(facts)
    structure, vectors = _structure(facts, parts)
    if table_bits is None:
        table_bits = next(bits for most, bits in TABLE_BITS if len(structure) <= most)
    product_plans, products = find_products(structure, vectors)
    coder = ValueCoder(table_bits)
    chosen: list[Candidate] = []
    decisions: list[tuple[np.ndarray, np.ndarray]] = []
    position = 0
    for number, part in enumerate(parts):
        choice = _smallest(part, part.start - position, OWN_SALT + number, chosen, coder)
        position = part.start + len(part.data)
        decisions.append(_code(choice, coder))
        chosen.append(choice)
    encoder = RangeEncoder(table_bits)
    plan = plan_bytes(product_plans, [choice.plan for choice in chosen])
    encoder.code_text(len(plan).to_bytes(4, "little"))
    encoder.code_text(plan)
    encoder.code_text(structure, products)
    for choice, (bits, chances) in zip(chosen, decisions, strict=True):
        for start in range(0, len(bits), PIECE):
            piece = slice(start, start + PIECE)
            encoder.code_decisions(bits[piece].tolist(), chances[piece].tolist())
        if choice.low is not None:
            encoder.code_plain(choice.low.tolist(), choice.segment.low_bits)
    body = encoder.finish()
    body += bytes(max(0, -(-len(tflite) // decoder.MAX_RATIO) - decoder.HEADER.size - len(body)))
    memory = len(plan) + max((_memory_bytes(choice.segment) for choice in chosen), default=0)
    head = decoder.HEADER.pack(b"", 0, len(tflite), zlib.crc32(tflite), -(-memory // 1024), table_bits)
    rest = head[8:] + body
    coded = decoder.MAGIC + zlib.crc32(rest).to_bytes(4, "little") + rest
    tensors = [
        CodedTensor(
            part.tensor.subgraph,
            part.tensor.index,
            part.tensor.name,
            part.tensor.stored_bytes,
            _coded_bytes(choice, *found),
            choice.label,
        )
        for part, choice, found in zip(parts, chosen, decisions, strict=True)
    ]
    return Encoding(coded, tuple(tensors))


def decode(coded: bytes, limit_bytes: int = decoder.MAX_SIZE_BYTES) -> bytes:
    """The .tflite of a coded file.

    Takes time and memory in proportion to the stated size, which is at most `limit_bytes` and a thousand times that of
    the coded file. Raises CodedDamaged.
    """
    coded = bytes(coded)
    if len(coded) >= decoder.HEADER.size:
        size = decoder.HEADER.unpack_from(coded)[2]
        if coded[:4] == decoder.MAGIC and size > limit_bytes:
            raise CodedDamaged(f"the .tflite would have {size:,} bytes; at most {limit_bytes:,} are decoded")
    try:
        return decoder.decode(coded)
    except decoder.Damaged as error:
        raise CodedDamaged(str(error)) from None


def download_zip(coded: bytes, name: str) -> bytes:
    """A zip of the coded file, named after `name`, the decoders in C and Python, and how to use them."""
    texts = {
        file: (resources.files("lwdash.packing") / file).read_bytes() for file in ("decoder.c", "decoder.py")
    }
    size = decoder.HEADER.unpack_from(coded)[2]
    readme = README.format(name=name, size=size, coded=len(coded))
    members = {f"{name}.tflite.coded": coded, **texts, "README.txt": readme.encode()}
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for member, data in members.items():
            info = zipfile.ZipInfo(member, WRITTEN_AT)
            info.compress_type = zipfile.ZIP_STORED if data is coded else zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return written.getvalue()


README = """{name}.tflite.coded: a .tflite of {size:,} bytes, coded in {coded:,} bytes

No runtime reads the coded file. Decode it first; the result is the identical .tflite.

In Python, without any package:

    python decoder.py {name}.tflite.coded {name}.tflite

In C (C99, no allocation, no library; the caller gives the buffers):

    uint32_t size = lwc_size(coded, n), work_bytes = lwc_workspace(coded, n);
    int error = lwc_decode(coded, n, tflite, size, work, work_bytes);

The comment at the top of decoder.c says more. A damaged file is refused by its checksum before anything is decoded, and
the result is checked by a second one.
"""


def _parts(facts: TfliteFacts) -> list[_Part]:
    """The tensors to code on their own, in the order of the file: whole words, none inside of another."""
    base = address(np.frombuffer(facts.data, np.uint8))
    found: list[tuple[int, Tensor]] = []
    for graph in facts.subgraphs:
        for tensor in graph.tensors:
            if tensor.data is not None and tensor.stored_bytes >= MIN_SEGMENT_BYTES:
                found.append((address(tensor.data) - base, tensor))
    parts: list[_Part] = []
    end = 0
    for start, tensor in sorted(found, key=lambda place: place[0]):
        if start >= end and start % 4 == 0:
            end = start + tensor.stored_bytes // 4 * 4
            parts.append(_Part(tensor, start, facts.data[start:end]))
    return parts


def _structure(facts: TfliteFacts, parts: Sequence[_Part]) -> tuple[bytes, list[tuple[int, int]]]:
    """The bytes outside of `parts`, and where the vectors of scales lie in them."""
    pieces, removed, position = [], [], 0
    for part in parts:
        pieces.append(facts.data[position : part.start])
        position = part.start + len(part.data)
        removed.append((part.start, len(part.data)))
    pieces.append(facts.data[position:])
    vectors = []
    for at, count in scale_vectors(facts):
        inside = any(start < at + 4 * count and at < start + size for start, size in removed)
        if not inside:
            vectors.append((at - sum(size for start, size in removed if start < at), count))
    return b"".join(pieces), vectors


def _smallest(part: _Part, gap: int, salt: int, earlier: Sequence[Candidate], coder: ValueCoder) -> Candidate:
    """The form of a tensor that takes least, by coding a sample of its values in each."""
    best: tuple[float, Candidate] | None = None
    shared = {candidate.segment.salt for candidate in earlier}
    for candidate in candidates(part.tensor, part.data, gap, salt, shared):
        bits = 8.0 * len(candidate.plan) * 0.8
        found = _code(candidate, coder.copy(), SAMPLE_VALUES)
        share = max(1.0, len(candidate.values) / SAMPLE_VALUES)
        bits += share * information_bits(*found)
        bits += 0 if candidate.low is None else len(candidate.values) * candidate.segment.low_bits
        if best is None or bits < best[0]:
            best = (bits, candidate)
    assert best is not None
    return best[1]


def _code(candidate: Candidate, coder: ValueCoder, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The decisions of a segment, which `coder` learns from. limit: of its first values only."""
    segment, modes = candidate.segment, candidate.modes
    bits, chances = np.zeros(0, np.uint8), np.zeros(0, np.uint16)
    if segment.mode == decoder.RATIO:
        before = np.concatenate([[0], modes[:-1]]) & 0xFF
        everywhere = np.ones(len(modes), np.uint32)
        contexts = Contexts(
            hashed(90, segment.salt) * everywhere, hashed(91, before), np.uint32(92) * everywhere
        )
        bits, chances = coder.code(modes, contexts, 4)
    values = candidate.values[:limit]
    found = coder.code(values, segment_contexts(segment, modes, values), segment.class_bits)
    return np.concatenate([bits, found[0]]), np.concatenate([chances, found[1]])


def _memory_bytes(segment: decoder.Segment) -> int:
    """Memory of `decoder.c` for a segment, beside its tables."""
    return 14 * segment.channels + 2 * (max(3 * segment.above, segment.before, 3) + 1) + 8


def _coded_bytes(candidate: Candidate, bits: np.ndarray, chances: np.ndarray) -> float:
    low = 0 if candidate.low is None else len(candidate.low) * candidate.segment.low_bits
    return (information_bits(bits, chances) + low) / 8
