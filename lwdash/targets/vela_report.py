"""Reads what Vela writes: its summary, its table of layers, and the operators that the compiled file leaves to the CPU."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Mapping

from lwdash.measure.micro_runtime import USE_INT8
from lwdash.targets.target_result import TargetLayer, TargetMetric, TargetResult
from lwdash.tflite.reader import TfliteFacts

NPU_OPERATOR = "ethos-u"
KIB = 1024
_PART = re.compile(r"(_softmax_\d+|_intermediate|_broadcasted)+$")
"""Endings of names of the parts into which Vela splits an operator."""


def compiled_result(
    printed: str, summary: str, by_layer: str, compiled: TfliteFacts, *, version: str | None
) -> TargetResult:
    """The result from what Vela prints, its two tables as CSV (by_layer: "" for none), and the compiled file."""
    on_cpu, on_npu = (_printed(printed, f"{unit} operators") for unit in ("CPU", "NPU"))
    operators = dict(sorted(Counter(operator.type for operator in compiled.operators).items()))
    if NPU_OPERATOR not in operators:
        return TargetResult(
            "refused",
            "the NPU takes none of the operators: all of them stay on the CPU",
            USE_INT8,
            _first_reason(printed),
            operators=operators,
            version=version,
        )
    return TargetResult(
        "runs",
        metrics=(
            *summary_metrics(summary),
            TargetMetric("npu_operators", "Operators on the NPU", "", on_npu),
            TargetMetric("cpu_operators", "Operators on the CPU", "", on_cpu),
        ),
        operators=operators,
        version=version,
        layers=(*npu_layers(by_layer), *cpu_layers(compiled)),
    )


def summary_metrics(summary: str) -> tuple[TargetMetric, ...]:
    """Cycles, clock, rate, and the bytes of each memory; None for a memory that the system does not have."""
    (row,) = csv.DictReader(summary.splitlines())

    def number(key: str) -> float:
        return float(row.get(key) or 0.0)

    rate = number("inferences_per_second")
    flash = number("off_chip_flash_memory_used") + number("on_chip_flash_memory_used")
    dram = number("dram_memory_used")
    return (
        TargetMetric("npu_cycles", "Cycles, estimated", "cycles", round(number("cycles_total"))),
        TargetMetric("clock_mhz", "Clock", "MHz", round(number("core_clock") / 1e6)),
        TargetMetric(
            "inferences_per_second",
            "Inferences a second, estimated",
            "1/s",
            round(rate, 1) if math.isfinite(rate) else None,
        ),
        TargetMetric("sram_bytes", "SRAM", "bytes", round(number("sram_memory_used") * KIB)),
        TargetMetric("flash_bytes", "Flash, weights encoded", "bytes", round(flash * KIB) if flash else None),
        TargetMetric("dram_bytes", "DRAM, weights encoded", "bytes", round(dram * KIB) if dram else None),
        TargetMetric(
            "weight_bytes", "Weights before encoding", "bytes", round(number("total_original_weights"))
        ),
        TargetMetric(
            "encoded_weight_bytes", "Weights, encoded", "bytes", round(number("total_npu_encoded_weights"))
        ),
    )


def npu_layers(by_layer: str) -> list[TargetLayer]:
    """The operators of the network with their cycles, in order; the parts of an operator are added up."""
    layers: list[TargetLayer] = []
    for row in csv.DictReader(by_layer.splitlines()):
        if row["Target"] != "NPU":
            continue
        name, kind = _PART.sub("", row["Name"]), row["Original Operator"]
        cycles, macs = round(float(row["Op Cycles"])), round(float(row["MAC Count"]))
        if layers and (layers[-1].name, layers[-1].operator) == (name, kind):
            last = layers.pop()
            cycles, macs = (
                last.cycles + cycles if last.cycles is not None else cycles,
                (last.macs or 0) + macs,
            )
        layers.append(TargetLayer(name, kind, "NPU", cycles, macs))
    return layers


def cpu_layers(compiled: TfliteFacts) -> list[TargetLayer]:
    """The operators that stay on the CPU by name; Vela does not estimate their time."""
    return [
        TargetLayer(compiled.subgraphs[o.subgraph].tensors[o.outputs[0]].name, o.type, "CPU", None, None)
        for o in compiled.operators
        if o.type != NPU_OPERATOR and o.outputs
    ]


def weight_rate(values: Mapping[str, float | None]) -> float | None:
    """Weights before encoding / encoded weights, ×; None where they were not measured."""
    before, after = values.get("weight_bytes"), values.get("encoded_weight_bytes")
    return before / after if before and after else None


def _printed(printed: str, name: str) -> int | None:
    """The count of a line such as `CPU operators = 3 (7.5%)`."""
    found = re.search(rf"^{name} = (\d+) ", printed, re.MULTILINE)
    return int(found[1]) if found else None


def _first_reason(printed: str) -> str | None:
    found = re.search(r"^Warning \(supported operators\) (.+)\nReason: (.+)$", printed, re.MULTILINE)
    return f"{found[1]}: {found[2]}"[:200] if found else None
