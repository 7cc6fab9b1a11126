"""Reasons why a compressed model is not faster on this host, from facts of the file and the host."""

from __future__ import annotations

from collections.abc import Sequence

from lwdash.measure.timing.delegation import Delegation, listed
from lwdash.measure.timing.host_facts import Host
from lwdash.measure.timing.rotation import Latency
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
    """Reasons for lost speed of this file on this host; empty where none is found.

    delegation: the operators of this file that run in XNNPACK. sparsity: share of zeros among the kernels.
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
        is_sparse = any(tensor.is_stored_sparse for graph in facts.subgraphs for tensor in graph.tensors)
        reasons.append(
            f"{as_percent(sparsity)} of the weights are zero, but LiteRT multiplies by them like by all other numbers. "
            + (
                "The file does not store them; they are added when it is loaded."
                if is_sparse
                else "Sparse storage makes the file smaller and does not change the time."
            )
        )
    if latency is not None and max(latency.ms_p50, latency.baseline_ms_p50) < _TINY_MS:
        reasons.append(
            f"One inference takes {1000 * latency.ms_p50:.0f} µs: at this size the fixed cost of starting "
            "each operator is larger than the arithmetic."
        )
    return reasons


def float_operators(facts: TfliteFacts) -> list[Operator]:
    """Operators that compute in float: they have a float input or output and do more than convert types."""
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
        f"{_count(len(wide), 'operator has', 'operators have')} int16 activations ({listed(wide)}). "
        "LiteRT runs them in plain reference kernels, many times slower than float."
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
        is_slow = operator.subgraph == 0 and operator.index in outside  # the cost is reported there
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
            f"The float16 weights of {_count(len(half), 'operator', 'operators')} are converted to "
            "float32 when the file is loaded: they take fewer bytes, the arithmetic is the same."
        )
    if unpacked:
        reasons.append(
            f"The integer weights of {_count(len(unpacked), 'operator', 'operators')} are unpacked to "
            "float32 when the file is loaded: they take fewer bytes, the arithmetic is the same."
        )
    if hybrid:
        reasons.append(
            f"{_count(len(hybrid), 'operator quantizes its', 'operators quantize their')} activations "
            f"again in every inference ({listed(hybrid)}): on small layers that costs more than integer "
            "arithmetic saves."
        )
    return reasons


def _outside_xnnpack(
    facts: TfliteFacts,
    delegation: Delegation | None,
    latency: Latency | None,
) -> list[str]:
    """The operators on built-in kernels, with the measured speed of the file."""
    if delegation is None or not delegation.outside:
        return []
    outside = delegation.outside
    measured = ""
    if latency is not None and latency.speedup < 1:
        measured = f" The whole file ran at {latency.speedup:.2f} times the original's speed."
    four = [o for o in outside if (kernel := kernel_of(facts, o)) is not None and kernel.dtype == "int4"]
    if four:
        measured += (
            f" {_count(len(four), 'of them has', 'of them have')} 4-bit weights: LiteRT's fast kernels "
            "support these only in FULLY_CONNECTED with dynamic activations."
        )
    if not delegation.inside:
        return [
            f"XNNPACK, LiteRT's fast kernels, runs none of the {len(outside)} operators; all use the "
            f"built-in kernels.{measured}"
        ]
    parts = _count(delegation.partitions, "part", "parts")
    return [
        f"XNNPACK, LiteRT's fast kernels, runs {parts} of the graph; "
        f"{_count(len(outside), 'operator uses', 'operators use')} the built-in kernels "
        f"({listed(outside)}).{measured}"
    ]


def _waiting_threads(delegation: Delegation | None, host: Host) -> list[str]:
    threaded = [o for o in delegation.outside if o.type in _THREADED] if delegation else []
    if host.threads < 2 or not threaded:
        return []
    return [
        f"The built-in kernels of {_count(len(threaded), 'operator', 'operators')} ({listed(threaded)}) "
        f"run on {host.threads} threads that wait for each other in a loop. With another busy process "
        "such files took up to 100 times as long as on one thread. Use one thread."
    ]


def _integer_on_plain_host(facts: TfliteFacts, host: Host, operators: Sequence[Operator]) -> list[str]:
    multiplying = [o for o in operators if kernel_of(facts, o) is not None and _is_integer_operator(facts, o)]
    if not multiplying or host.has_integer_dot_product:
        return []
    missing = "VNNI" if host.architecture.lower() in ("x86_64", "amd64") else "integer dot product"
    return [
        f"This processor ({host.cpu}) has no {missing} instructions, which speed up int8 products. "
        "Without them int8 and float cost about the same."
    ]


def _activations(facts: TfliteFacts, operator: Operator) -> set[str]:
    """Types of the values that flow through `operator`: its computed inputs and its outputs."""
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
