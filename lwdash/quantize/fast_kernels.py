"""The storage format of each operator's weights, chosen so that LiteRT's fast kernels (XNNPACK) run the
operator.

XNNPACK has no kernel for depthwise convolutions with quantized weights and float activations. Its only kernel
for 4-bit weights is FULLY_CONNECTED with dynamic activations. Some of its kernels lose more time quantizing
activations than they save. An unsupported operator runs on a built-in kernel and splits the graph.
docs/measurements.md has the measurements behind every limit here.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lwdash.contract import Skipped
from lwdash.quantize.number_formats import FORMATS, Format, can_have
from lwdash.quantize.read_back import Computed

MIN_VALUES = 1024
"""A kernel with fewer values is stored in 16-bit floats: 8 bits would save less than a kilobyte, and cost 3 to 15 dB."""
MAX_SMALL_SHARE = 0.2
"""Maximum share of all kernel values in such kernels together: in a file of small kernels, bytes matter more."""
MIN_POINTWISE_VALUES = 5000
"""Minimum products per position for 8-bit products to save the 50 ns of quantizing one position's activations."""
MIN_CHANNELS = 8
MIN_FEW_CHANNELS, MIN_FEW_PRODUCTS = 3, 32
"""Minimum channels and products per output for a kernel with fewer input channels than MIN_CHANNELS to save time."""
MAX_GROWTH = 0.08
"""Share of its bytes by which a 4-bit file may grow in order to run faster."""
SPATIAL_NS_PER_PRODUCT = 0.03
POINTWISE_NS_PER_POSITION, POINTWISE_NS_SAVED_PER_PRODUCT = 48.0, 0.0095
UNPACKED_NS_PER_PRODUCT = 0.1
"""Time of 4-bit weights compared with 8-bit weights: on a built-in kernel, as FULLY_CONNECTED, and unpacked
at run time.
"""
DEQUANTIZE_BYTES = 100
"""Bytes of one more operator and tensor in the file."""
FOUR_BITS = ("dynamic4", "weight_only4")


@dataclass(frozen=True)
class StoredOperator:
    """Storage of one operator. as_product: write a 1 × 1 convolution as FULLY_CONNECTED. reason: why it
    differs from the requested format, empty if it does not.
    """

    format: Format
    as_product: bool = False
    reason: str = ""


def fitted(operators: Sequence[Computed], asked: Sequence[Format], size_bytes: int) -> list[StoredOperator]:
    """The storage of every operator of a float file; `asked` is the recipe's format for each.

    size_bytes: of the float file.
    Formats with integer activations, `float16` and `weight_only` stay unchanged. Operators that share a
    kernel get the same storage. Within MAX_GROWTH, the 4-bit kernels with the highest time per byte get 8
    bits.
    """
    found = [StoredOperator(format) for format in asked]
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    readers = Counter(operator.kernel for operator in operators)
    for index, (operator, format) in enumerate(zip(operators, asked, strict=True)):
        if operator.weights is not None and not operator.is_inside:
            groups[operator.kernel, format.name].append(index)
    roomy = _given_room(operators, groups, size_bytes)
    small = "float16" if _has_few_small(operators, groups) else "weight_only"
    for (kernel, name), members in groups.items():
        uses = [operators[i] for i in members]
        for index in members:
            found[index] = _storage(
                uses, FORMATS[name], small, (kernel, name) in roomy, is_whole=readers[kernel] == len(uses)
            )
    return found


def reported(operators: Sequence[Computed], stored: Sequence[StoredOperator]) -> tuple[Skipped, ...]:
    """The operators whose format differs from the requested one, each with the reason."""
    return tuple(
        Skipped(operator.layer, f"{operator.kind} gets {one.format.description}: {one.reason}")
        for operator, one in zip(operators, stored, strict=True)
        if one.reason
    )


def _has_few_small(operators: Sequence[Computed], groups: Mapping[tuple[str, str], list[int]]) -> bool:
    values = [operators[members[0]].values for members in groups.values()]
    return sum(count for count in values if count < MIN_VALUES) <= MAX_SMALL_SHARE * sum(values)


def _storage(
    uses: Sequence[Computed], format: Format, small: str, has_room: bool, *, is_whole: bool
) -> StoredOperator:
    """The format of the operators that read one kernel.

    small: the format of kernels below MIN_VALUES in `dynamic`. has_room: a 4-bit kernel gets 8 bits.

    is_whole: no operator with another format also reads this kernel.
    """
    first = uses[0]
    if format.name == "dynamic" and can_have(first.kind, format):
        return _in_eight_bits(uses, small)
    if format.name == "dynamic4":
        if not can_have(first.kind, format):
            eight = FORMATS["dynamic"]
            return _in_eight_bits(uses) if can_have(first.kind, eight) else StoredOperator(format)
        if has_room:
            return _with_room(_in_eight_bits(uses))
        return StoredOperator(format, as_product=is_whole and all(u.is_pointwise for u in uses))
    if format.name == "weight_only4" and has_room:
        return _with_room(StoredOperator(FORMATS["weight_only"]))
    return StoredOperator(format)


def _with_room(stored: StoredOperator) -> StoredOperator:
    reason = "LiteRT runs it slower with 4-bit weights, and 8 bits add few bytes here"
    return StoredOperator(stored.format, reason=reason)


def _in_eight_bits(uses: Sequence[Computed], small: str = "weight_only") -> StoredOperator:
    """dynamic if that is faster; otherwise weights that are unpacked when the file is loaded."""
    first = uses[0]
    if first.values < MIN_VALUES:
        reason = (
            f"its kernel has fewer than {MIN_VALUES:,} values, so 8 bits would save little and cost accuracy"
        )
        if small == "float16" and can_have(first.kind, FORMATS[small]):
            return StoredOperator(FORMATS[small], reason=reason)
        reason = (
            f"its kernel has fewer than {MIN_VALUES:,} values, too few to save time with quantized "
            "activations"
        )
        return StoredOperator(FORMATS["weight_only"], reason=reason)
    reason = _slower_quantized(uses)
    return StoredOperator(FORMATS["weight_only" if reason else "dynamic"], reason=reason)


def _slower_quantized(uses: Sequence[Computed]) -> str:
    """Reason why floats are faster than dynamic quantization of activations; empty if they are not."""
    first = uses[0]
    if first.kind == "DEPTHWISE_CONV_2D":
        return "LiteRT has no fast kernel for it with quantized activations"
    if first.kind == "FULLY_CONNECTED" or all(u.is_pointwise for u in uses):
        if first.values < MIN_POINTWISE_VALUES and max(u.positions for u in uses) > 1:
            return f"with {first.values:,} weights, quantizing each position's activations costs more than it saves"
    elif first.kind in ("CONV_2D", "TRANSPOSE_CONV") and len(first.kernel_shape) == 4:
        _, height, width, channels = first.kernel_shape
        is_few = channels < MIN_FEW_CHANNELS or height * width * channels < MIN_FEW_PRODUCTS
        if channels < MIN_CHANNELS and is_few:
            return f"LiteRT's kernel with quantized activations is slow with {channels} input channels"
    return ""


def _given_room(
    operators: Sequence[Computed], groups: Mapping[tuple[str, str], list[int]], size_bytes: int
) -> set[tuple[str, str]]:
    """The 4-bit kernels that get 8 bits: those that save most time per byte, until MAX_GROWTH is used up."""
    kernels = {key: operators[members[0]] for key, members in groups.items()}
    stored = sum(one.values * _bits(one.kind, FORMATS[name]) // 8 for (_, name), one in kernels.items())
    floats = 4 * sum(one.values for one in kernels.values())
    left = MAX_GROWTH * (size_bytes - floats + stored)
    gains = {}
    for key, members in groups.items():
        uses = [operators[i] for i in members]
        if key[1] not in FOUR_BITS or not can_have(uses[0].kind, FORMATS[key[1]]):
            continue
        nanoseconds = _four_bit_nanoseconds(uses, key[1])
        if nanoseconds > 0:
            size = uses[0].values / 2 + DEQUANTIZE_BYTES * (key[1] == "dynamic4") * len(uses)
            gains[key] = (nanoseconds / size, size)
    chosen = set()
    for key, (_, size) in sorted(gains.items(), key=lambda item: -item[1][0]):
        if size <= left:
            chosen.add(key)
            left -= size
    return chosen


def _four_bit_nanoseconds(uses: Sequence[Computed], name: str) -> float:
    """Approximate additional time of an inference compared with 8-bit weights."""
    values, positions = uses[0].values, sum(use.positions for use in uses)
    is_product = uses[0].kind == "FULLY_CONNECTED"
    if name == "weight_only4":
        return positions * values * UNPACKED_NS_PER_PRODUCT
    if is_product and positions == len(uses):
        return 0.0
    if is_product or all(use.is_pointwise for use in uses):
        return positions * max(0.0, POINTWISE_NS_PER_POSITION - values * POINTWISE_NS_SAVED_PER_PRODUCT)
    return positions * values * SPATIAL_NS_PER_PRODUCT


def _bits(kind: str, format: Format) -> int:
    if format.weights == "int4" and not can_have(kind, format):
        return 8
    return {"int4": 4, "int8": 8, "float16": 16, "float32": 32}[format.weights]
