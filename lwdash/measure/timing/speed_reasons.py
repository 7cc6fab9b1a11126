"""Reasons why a compressed model is not faster on this host, from facts of the file and the host."""

from __future__ import annotations

from collections.abc import Sequence

from lwdash.measure.timing.delegation import Delegation, listed
from lwdash.measure.timing.host_facts import Host
from lwdash.measure.timing.latency import Latency
from lwdash.percent_text import as_percent
from lwdash.tflite.reader import Operator, TfliteFacts
from lwdash.tflite.tensor import is_float, is_integer
from lwdash.tflite.trained_parameters import kernel_of

_TINY_MS = 0.05
_MANY_ZEROS = 0.3
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_THREADED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")
"""Types whose built-in kernels use several threads."""


def why_not_faster(
    facts: TfliteFacts,
    host: Host,
    *,
    delegation: Delegation | None = None,
    latency: Latency | None = None,
    sparsity: float | None = None,
) -> list[str]:
    """Reasons that this file gives speed away on this host; empty where none is found.

    delegation: what XNNPACK took over of this file. sparsity: share of zeros among the kernels.
    """
    operators = [o for o in facts.operators if not facts.unpacks_a_constant(o)]
    reasons = [
        *_outside_xnnpack(facts, delegation, latency),
        *_waiting_threads(delegation, host),
        *_float_islands(facts, operators),
        *_wide_activations(facts, operators),
        *_float_arithmetic(facts, operators, delegation),
        *_integer_on_plain_host(facts, host, operators),
    ]
    if sparsity is not None and sparsity >= _MANY_ZEROS:
        reasons.append(
            f"{as_percent(sparsity)} of the weights are zero, but they are stored and multiplied like any other: "
            "a .tflite holds dense tensors. Pruning shrinks the gzipped file, not the time."
        )
    if latency is not None and max(latency.ms_p50, latency.baseline_ms_p50) < _TINY_MS:
        reasons.append(
            f"One inference takes {1000 * latency.ms_p50:.0f} µs: at this size the fixed cost of starting "
            "each operator weighs more than the arithmetic."
        )
    return reasons


def float_operators(facts: TfliteFacts) -> list[Operator]:
    """Operators that compute in float: a float input or output, and no mere conversion between the two."""
    return [
        o
        for o in facts.operators
        if o.type not in _CONVERSIONS and any(is_float(dtype) for dtype in _activations(facts, o))
    ]


def _float_islands(facts: TfliteFacts, operators: Sequence[Operator]) -> list[str]:
    islands = float_operators(facts)
    if not islands or not any(_is_integer_operator(facts, o) for o in operators):
        return []
    conversions = sum(o.type in _CONVERSIONS for o in operators)
    return [
        f"{_count(len(islands), 'operator runs', 'operators run')} in float among integer ones "
        f"({listed(islands)}), with {_count(conversions, 'conversion', 'conversions')} (QUANTIZE, "
        "DEQUANTIZE) at the borders."
    ]


def _wide_activations(facts: TfliteFacts, operators: Sequence[Operator]) -> list[str]:
    wide = [o for o in operators if "int16" in _activations(facts, o) and o.type not in _CONVERSIONS]
    if not wide:
        return []
    return [
        f"{_count(len(wide), 'operator has', 'operators have')} int16 activations ({listed(wide)}), for "
        "which LiteRT has plain reference kernels: correct, and many times slower than float."
    ]


def _float_arithmetic(
    facts: TfliteFacts, operators: Sequence[Operator], delegation: Delegation | None
) -> list[str]:
    unpacked: list[Operator] = []
    hybrid: list[Operator] = []
    half: list[Operator] = []
    outside = {o.index for o in delegation.outside} if delegation else set()
    for operator in operators:
        kernel = kernel_of(facts, operator)
        if kernel is None or not any(is_float(dtype) for dtype in _activations(facts, operator)):
            continue
        is_slow = operator.subgraph == 0 and operator.index in outside  # what it costs is told there
        if kernel.dtype == "float16":
            half.extend([] if is_slow else [operator])
        elif is_integer(kernel.dtype):
            is_unpacked = all(i != kernel.index for i in operator.inputs)
            if not is_unpacked:
                hybrid.append(operator)
            elif not is_slow:
                unpacked.append(operator)
    reasons = []
    if half:
        reasons.append(
            f"The float16 weights of {_count(len(half), 'operator', 'operators')} are turned into float32 "
            "when the file is loaded: the file is smaller, the arithmetic is the same."
        )
    if unpacked:
        reasons.append(
            f"The integer weights of {_count(len(unpacked), 'operator', 'operators')} are unpacked to "
            "float32 when the file is loaded: the file is smaller, the arithmetic is the same."
        )
    if hybrid:
        reasons.append(
            f"{_count(len(hybrid), 'operator quantizes its', 'operators quantize their')} activations anew "
            f"in every inference ({listed(hybrid)}): on small layers that costs more than integer "
            "arithmetic saves."
        )
    return reasons


def _outside_xnnpack(
    facts: TfliteFacts,
    delegation: Delegation | None,
    latency: Latency | None,
) -> list[str]:
    """What runs on built-in kernels, with what that was measured to take."""
    if delegation is None or not delegation.outside:
        return []
    outside = delegation.outside
    measured = ""
    if latency is not None and latency.speedup < 1:
        measured = f" The whole file was measured at {latency.speedup:.2f} times the original's speed."
    four = [o for o in outside if (kernel := kernel_of(facts, o)) is not None and kernel.dtype == "int4"]
    if four:
        measured += (
            f" {_count(len(four), 'of them has', 'of them have')} 4-bit weights: LiteRT's fast kernels take these only in "
            "FULLY_CONNECTED, with activations quantized while running."
        )
    if not delegation.inside:
        return [
            f"XNNPACK, LiteRT's fast kernels, took over none of the {len(outside)} operators; all run on "
            f"the built-in kernels.{measured}"
        ]
    parts = _count(delegation.partitions, "part", "parts")
    return [
        f"XNNPACK, LiteRT's fast kernels, runs {parts} of the graph and left "
        f"{_count(len(outside), 'operator', 'operators')} to the built-in kernels ({listed(outside)}).{measured}"
    ]


def _waiting_threads(delegation: Delegation | None, host: Host) -> list[str]:
    threaded = [o for o in delegation.outside if o.type in _THREADED] if delegation else []
    if host.threads < 2 or not threaded:
        return []
    return [
        f"The built-in kernels of {_count(len(threaded), 'operator', 'operators')} ({listed(threaded)}) share their "
        f"work among {host.threads} threads that wait for each other in a loop. Beside another busy process such files "
        "were measured at up to 100 times their time on one thread: one thread is the safer choice."
    ]


def _integer_on_plain_host(facts: TfliteFacts, host: Host, operators: Sequence[Operator]) -> list[str]:
    multiplying = [o for o in operators if kernel_of(facts, o) is not None and _is_integer_operator(facts, o)]
    if not multiplying or host.has_integer_dot_product:
        return []
    missing = "VNNI" if host.architecture.lower() in ("x86_64", "amd64") else "integer dot product"
    return [
        f"This processor ({host.cpu}) has no {missing} instructions, which make int8 products cheaper than "
        "float ones; without them both cost about the same."
    ]


def _activations(facts: TfliteFacts, operator: Operator) -> set[str]:
    """Types of what flows through `operator`: its computed inputs and its outputs."""
    flowing = [
        *(
            facts.tensor(operator, i)
            for i in operator.inputs
            if facts.stored(facts.tensor(operator, i)) is None
        ),
        *(facts.tensor(operator, i) for i in operator.outputs),
    ]
    return {tensor.dtype for tensor in flowing if tensor is not None}


def _is_integer_operator(facts: TfliteFacts, operator: Operator) -> bool:
    dtypes = _activations(facts, operator)
    return any(is_integer(dtype) for dtype in dtypes) and operator.type not in _CONVERSIONS


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
