"""A project to flash compiles, its rows and outputs are those of TensorFlow Lite Micro, and it notices wrong outputs."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from support.measure_models import Model, dense_model, int8_dense_model

from lwdash.capsule.flash.operators import resolver_function
from lwdash.capsule.flash.project import MAX_ROWS, write_project
from lwdash.errors import NotFlashable

STUB = ROOT / "tests/support/tflm_stub"
KERNEL = np.arange(-6, 6).reshape(3, 4)
INT8 = int8_dense_model(
    KERNEL, np.arange(3), np.full(3, 0.1, np.float32),
    input_scale=0.05, input_zero_point=3, output_scale=0.1, output_zero_point=-5,
)  # fmt: skip
FLOAT = dense_model(KERNEL / 8, np.ones(3))
ROWS = {"x": np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)}
WHEEL = """
import sys, numpy as np
from tflite_micro.python.tflite_micro.runtime import Interpreter
interpreter = Interpreter.from_bytes(open(sys.argv[1], 'rb').read(), arena_size=1 << 20)
rows = np.load(sys.argv[2])
for row in rows:
    interpreter.set_input(row[None], 0)
    interpreter.invoke()
    print(*interpreter.get_output(0).reshape(-1).tolist())
"""


def project(tmp_path: Path, data: bytes, title: str = "beats") -> Path:
    (tmp_path / "model.tflite").write_bytes(data)
    write_project(tmp_path / "p.zip", tmp_path / "model.tflite", ROWS, title=title, notes={"Recipe": "int8"})
    with zipfile.ZipFile(tmp_path / "p.zip") as packed:
        packed.extractall(tmp_path)
    return tmp_path / title


def values_of(folder: Path, name: str) -> list[float]:
    text = (folder / "src/test_rows.cc").read_text()
    body = re.search(rf"{name}\[\d+\] = {{(.*?)}};", text, re.DOTALL)
    assert body is not None
    return [float(part.strip().rstrip("f")) for part in body[1].split(",") if part.strip()]


@pytest.mark.processes
@pytest.mark.parametrize("data", [INT8, FLOAT], ids=["int8", "float"])
def test_the_project_compiles_and_tells_equal_from_different_outputs(tmp_path: Path, data: bytes) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    folder = project(tmp_path, data)
    sources = [str(path) for path in sorted((folder / "src").glob("*.cc"))]
    for flags, code, said in (([], 0, "0 of 4 rows differ"), (["-DWRONG"], 1, "4 of 4 rows differ")):
        program = tmp_path / f"program{code}"
        command = [
            "g++",
            "-std=c++17",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-I",
            str(STUB),
            "-I",
            str(folder / "src"),
            *flags,
        ]
        built = subprocess.run([*command, *sources, "-o", str(program)], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        ran = subprocess.run([str(program)], capture_output=True, text=True)
        assert (ran.returncode, said in ran.stdout) == (code, True), ran.stdout


@pytest.mark.processes
def test_the_rows_and_outputs_are_those_of_the_wheel(tmp_path: Path) -> None:
    folder = project(tmp_path, INT8)
    stored = np.array(values_of(folder, "kInput0Rows"), np.int8).reshape(MAX_ROWS, 4)
    expected = np.clip(np.floor(np.abs(ROWS["x"][:4] / 0.05) + 0.5) * np.sign(ROWS["x"][:4]) + 3, -128, 127)
    assert stored.tolist() == expected.tolist()
    np.save(tmp_path / "rows.npy", stored)
    ran = subprocess.run(
        [sys.executable, "-c", WHEEL, str(tmp_path / "model.tflite"), str(tmp_path / "rows.npy")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    outputs = [float(value) for line in ran.stdout.splitlines() for value in line.split()]
    assert values_of(folder, "kOutput0Rows") == outputs
    settings = (folder / "src/model_settings.h").read_text()
    assert "kInput0ZeroPoint = 3;" in settings
    assert "kOutput0Scale = 0.100000001f;" in settings
    arena = int(re.search(r"kArenaBytes = (\d+)", settings)[1])  # type: ignore[index]
    assert arena % 16 == 0
    assert 1000 < arena < 20_000
    main = (folder / "src/main.cc").read_text()
    assert re.findall(r"resolver\.(\w+)\(\)", main) == ["AddFullyConnected"]


@pytest.mark.processes
def test_a_file_that_the_library_refuses_has_no_project(tmp_path: Path) -> None:
    model = Model()
    x, y = model.tensor("x", (1, 4)), model.tensor("y", (1, 4))
    model.operator("GELU", [x], [y])
    with pytest.raises(NotFlashable, match="no kernel for GELU"):
        project(tmp_path, model.build([x], [y]))


@pytest.mark.parametrize(
    ("operator", "function"),
    [
        ("CONV_2D", "AddConv2D"),
        ("RELU6", "AddRelu6"),
        ("L2_POOL_2D", "AddL2Pool2D"),
        ("SPACE_TO_BATCH_ND", "AddSpaceToBatchNd"),
        ("PADV2", "AddPadV2"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "AddUnidirectionalSequenceLSTM"),
        ("TFLM_DECODE", "AddDecode"),
    ],
)
def test_a_resolver_function_has_the_library_s_name(operator: str, function: str) -> None:
    assert resolver_function(operator) == function


def test_an_operator_of_an_application_is_refused() -> None:
    with pytest.raises(NotFlashable, match="ethos-u"):
        resolver_function("ethos-u")
