"""Vela's answers are read as it prints them; where it is installed, also from the program itself."""

import importlib.util
import math
import subprocess

import numpy as np
import pytest
from support.measure_models import Model, dense_model, int8_dense_model

from lwdash.targets.target_programs import PROGRAMS
from lwdash.targets.target_result import TargetResult
from lwdash.targets.vela import CONFIGURATIONS, USUAL_NPU, EthosU
from lwdash.targets.vela_report import NPU_OPERATOR, compiled_result, summary_metrics
from lwdash.tflite.reader import read_tflite

PRINTED = """
Warning (supported operators) operator: SOFTMAX, ofm: 'dense_2/output'
Reason: Operation has tensor with unsupported DataType Float32 (dense_2/MatMul_1)

Total SRAM used                                  6.61 KiB

CPU operators = {cpu} (2.4%)
NPU operators = {npu} (97.6%)
"""
SUMMARY = (
    "experiment,network,core_clock,weights_storage_area,inferences_per_second,sram_memory_used,"
    "on_chip_flash_memory_used,off_chip_flash_memory_used,cycles_total,total_original_weights,total_npu_encoded_weights\n"
    "default,net,500000000.0,Off-chip Flash,{rate},6.609375,0.0,8.796875,21788,9000,4500\n"
)
BY_LAYER = """Original Operator,NNG Operator,Target,Op Cycles,MAC Count,Name
Conv2D,Conv2D,NPU,26201,320000,net/conv
Conv2D,Relu,NPU,0,0,net/conv
Softmax,MaxPool,NPU,134,12,net/out_softmax_0
Softmax,Sub,NPU,24,0,net/out_softmax_2
Sin,Sin,CPU,0,0,net/sin
"""
KERNEL = np.arange(-6, 6).reshape(3, 4)


def read(cpu: int, npu: int, operators: dict[str, int], rate: float = 22948.41) -> TargetResult:
    compiled = Model()
    x = compiled.tensor("x", (1, 4))
    for kind, count in operators.items():
        for number in range(count):
            is_npu = kind == NPU_OPERATOR
            compiled.operator(
                "CUSTOM" if is_npu else kind, [x], [compiled.tensor(f"{kind} {number}", (1, 4))]
            )
            compiled.codes[-1].customCode = kind.encode() if is_npu else None
    facts = read_tflite(compiled.build([x], [x]))
    printed = PRINTED.format(cpu=cpu, npu=npu)
    return compiled_result(printed, SUMMARY.format(rate=rate), BY_LAYER, facts, version="5.2")


def values(result: TargetResult) -> dict[str, float | int | None]:
    return {metric.name: metric.value for metric in result.metrics}


def test_the_summary_is_read_in_bytes_and_cycles() -> None:
    result = read(1, 40, {"ethos-u": 1, "SOFTMAX": 1})
    assert result.state == "runs"
    assert values(result) == {
        "npu_cycles": 21788, "clock_mhz": 500, "inferences_per_second": 22948.4, "sram_bytes": 6768, "flash_bytes": 9008,
        "dram_bytes": None, "weight_bytes": 9000, "encoded_weight_bytes": 4500, "npu_operators": 40, "cpu_operators": 1,
    }  # fmt: skip
    assert result.operators == {"SOFTMAX": 1, "ethos-u": 1}


def test_the_parts_of_an_operator_are_added_up_and_the_cpu_s_operators_are_named() -> None:
    layers = read(1, 40, {"ethos-u": 1, "SIN": 1}).layers
    assert [(layer.name, layer.operator, layer.unit, layer.cycles, layer.macs) for layer in layers] == [
        ("net/conv", "Conv2D", "NPU", 26201, 320000),
        ("net/out", "Softmax", "NPU", 158, 12),
        ("SIN 0", "SIN", "CPU", None, None),
    ]


def test_memory_that_a_system_does_not_have_is_not_measured() -> None:
    in_dram = SUMMARY.format(rate=1).replace("off_chip_flash_memory_used", "dram_memory_used")
    found = {metric.name: metric.value for metric in summary_metrics(in_dram)}
    assert (found["flash_bytes"], found["dram_bytes"]) == (None, 9008)


def test_a_rate_that_is_not_a_number_is_not_measured() -> None:
    assert values(read(0, 1, {"ethos-u": 1}, math.nan))["inferences_per_second"] is None


def test_a_file_that_stays_on_the_cpu_is_refused_with_the_first_reason() -> None:
    result = read(12, 0, {"CONV_2D": 12})
    assert (result.state, result.metrics) == ("refused", ())
    assert "int8" in (result.remedy or "")
    assert "unsupported DataType Float32" in (result.message or "")


def test_a_file_that_vela_does_not_compile_names_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sparse weights are the reason where the file has any; a crash is named by its signal."""
    sparse, dense = Model(), Model()
    for model, kind in ((sparse, "DENSIFY"), (dense, "RELU")):
        x, y = model.tensor("x", (1, 4)), model.tensor("y", (1, 4))
        model.operator(kind, [x], [y])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    ended = subprocess.CompletedProcess([], -8, "", "first\nRuntimeError: no NPU\n")
    monkeypatch.setattr(PROGRAMS, "run", lambda *call, **options: ended)
    for model, remedy in ((sparse, "leave out the storage step sparse"), (dense, "use int8")):
        result = USUAL_NPU.run(model.build([0], [1]), {})
        assert (result.state, result.reason) == ("refused", "Vela crashed on this file (SIGFPE)")
        assert result.message == "RuntimeError: no NPU"
        assert (result.remedy or "").startswith(remedy)


@pytest.mark.processes
def test_vela_itself_takes_int8_and_leaves_floats_to_the_cpu() -> None:
    pytest.importorskip("ethosu")
    file = int8_dense_model(
        KERNEL, np.arange(3), np.full(3, 0.1, np.float32),
        input_scale=0.05, input_zero_point=3, output_scale=0.1, output_zero_point=-5,
    )  # fmt: skip
    found = values(USUAL_NPU.run(file, {}))
    assert (found["cpu_operators"], found["clock_mhz"]) == (0, 500)
    assert found["npu_cycles"]
    assert found["flash_bytes"]
    assert int(found["encoded_weight_bytes"] or 0) > 0
    floats = USUAL_NPU.run(dense_model(KERNEL / 8, np.ones(3)), {})
    assert floats.state == "refused"
    assert "stay on the CPU" in (floats.reason or "")


@pytest.mark.processes
@pytest.mark.parametrize("npu", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_every_configuration_compiles_an_int8_file(npu: EthosU) -> None:
    pytest.importorskip("ethosu")
    file = int8_dense_model(
        KERNEL, np.arange(3), np.full(3, 0.1, np.float32),
        input_scale=0.05, input_zero_point=3, output_scale=0.1, output_zero_point=-5,
    )  # fmt: skip
    result = npu.run(file, {})
    found = values(result)
    assert result.state == "runs", result.message
    assert found["clock_mhz"] == npu.clock_mhz
    assert (found["flash_bytes"] is None) != (found["dram_bytes"] is None)
    assert sum(layer.cycles or 0 for layer in result.layers) > 0
