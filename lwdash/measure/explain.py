"""Why is the compressed model not faster here? Facts of the file and the host, in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from lwdash.measure.host import Host
from lwdash.measure.latency import Latency
from lwdash.measure.parameters import kernel_of
from lwdash.measure.tensor import is_float, is_integer
from lwdash.measure.tflite_file import Operator, TfliteFacts
from lwdash.shares import as_percent

_TINY_MS = 0.05
_MANY_ZEROS = 0.3
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def why_not_faster(
    facts: TfliteFacts,
    host: Host,
    *,
    interpreter: Any = None,
    latency: Latency | None = None,
    sparsity: float | None = None,
) -> list[str]:
    """Reasons that this file gives speed away on this host; empty where none is found.

    interpreter: a LiteRT interpreter with this file's tensors allocated, to see what XNNPACK took over.
    sparsity: share of zeros among the kernels.
    """
    operators = [o for o in facts.operators if not facts.unpacks_a_constant(o)]
    reasons = [
        *_float_islands(facts, operators),
        *_wide_activations(facts, operators),
        *_float_arithmetic(facts, operators),
        *_outside_xnnpack(facts, interpreter),
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


def delegated(facts: TfliteFacts, interpreter: Any) -> frozenset[int]:
    """Indices of the main graph's operators that XNNPACK took over, seen in an allocated interpreter."""
    graph = facts.subgraphs[0]
    producers = {tensor: operator for operator in graph.operators for tensor in operator.outputs}
    taken: set[int] = set()
    for details in interpreter._get_ops_details():
        if details["op_name"] != "DELEGATE":
            continue
        given = {int(i) for i in details["inputs"]}
        wanted = [int(i) for i in details["outputs"]]
        while wanted:
            operator = producers.get(wanted.pop())
            if operator is None or operator.index in taken:
                continue
            taken.add(operator.index)
            wanted.extend(i for i in operator.inputs if i not in given)
    return frozenset(taken)


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
        f"({_listed(islands)}), with {_count(conversions, 'conversion', 'conversions')} (QUANTIZE, "
        "DEQUANTIZE) at the borders."
    ]


def _wide_activations(facts: TfliteFacts, operators: Sequence[Operator]) -> list[str]:
    wide = [o for o in operators if "int16" in _activations(facts, o) and o.type not in _CONVERSIONS]
    if not wide:
        return []
    return [
        f"{_count(len(wide), 'operator has', 'operators have')} int16 activations ({_listed(wide)}), for "
        "which LiteRT has plain reference kernels: correct, and many times slower than float."
    ]


def _float_arithmetic(facts: TfliteFacts, operators: Sequence[Operator]) -> list[str]:
    unpacked: list[Operator] = []
    hybrid: list[Operator] = []
    half: list[Operator] = []
    for operator in operators:
        kernel = kernel_of(facts, operator)
        if kernel is None or not any(is_float(dtype) for dtype in _activations(facts, operator)):
            continue
        if kernel.dtype == "float16":
            half.append(operator)
        elif is_integer(kernel.dtype):
            is_unpacked = all(i != kernel.index for i in operator.inputs)
            (unpacked if is_unpacked else hybrid).append(operator)
    reasons = []
    if half:
        reasons.append(
            f"The float16 weights of {_count(len(half), 'operator', 'operators')} are turned into float32 "
            "before use: the file is smaller, the arithmetic is the same."
        )
    if unpacked:
        reasons.append(
            f"The integer weights of {_count(len(unpacked), 'operator', 'operators')} are unpacked to "
            "float32 before use: the file is smaller, the arithmetic is the same."
        )
    if hybrid:
        reasons.append(
            f"{_count(len(hybrid), 'operator quantizes its', 'operators quantize their')} activations anew "
            f"in every inference ({_listed(hybrid)}): on small layers that costs more than integer "
            "arithmetic saves."
        )
    return reasons


def _outside_xnnpack(facts: TfliteFacts, interpreter: Any) -> list[str]:
    if interpreter is None:
        return []
    inside = delegated(facts, interpreter)
    outside = [
        o for o in facts.subgraphs[0].operators if o.index not in inside and not facts.unpacks_a_constant(o)
    ]
    if not outside:
        return []
    if not inside:
        return [
            f"XNNPACK, LiteRT's fast kernels, took over none of the {len(outside)} operators; all run on "
            "the built-in kernels."
        ]
    return [
        f"XNNPACK, LiteRT's fast kernels, left {_count(len(outside), 'operator', 'operators')} to the "
        f"built-in kernels ({_listed(outside)})."
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


def _listed(operators: Iterable[Operator]) -> str:
    counts = Counter(operator.type for operator in operators)
    return ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in counts.most_common())


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
