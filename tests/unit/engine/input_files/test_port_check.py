"""A .tflite from elsewhere fits an experiment, or the difference is named."""

from typing import Any

import pytest

from lwdash.engine.input_files.port_check import check_ports
from lwdash.errors import DataRefused
from lwdash.keras_models.model_facts import ModelFacts, TensorFacts

MODEL = ModelFacts(
    format="keras", keras_version="3.0", library="keras", name="kws", class_name="Functional",
    inputs=(TensorFacts("audio", (16, 1), "float32"),), outputs=(TensorFacts("class", (3,), "float32"),),
    parameters=10, layers=(),
)  # fmt: skip


def port(name: str, shape: list[int | None], dtype: str = "float32", **values: Any) -> dict[str, Any]:
    return {
        "name": name,
        "shape": shape,
        "batch": 1,
        "dtype": dtype,
        "scale": None,
        "zero_point": None,
        **values,
    }


def file(**ports: dict[str, Any]) -> dict[str, Any]:
    given = {"input": port("x", [16, 1]), "output": port("y", [3]), **ports}
    return {"inputs": [given["input"]], "outputs": [given["output"]]}


@pytest.mark.parametrize(
    "ports",
    [
        {},
        {"input": port("x", [None, 1], batch=-1)},
        {"input": port("x", [16, 1], "int8", scale=0.5, zero_point=-3)},
        {
            "input": port("x", [16, 1], "uint8", scale=0.5, zero_point=128),
            "output": port("y", [3], "float16"),
        },
    ],
)
def test_a_file_of_the_same_network_fits(ports: dict[str, Any]) -> None:
    check_ports(file(**ports), MODEL)


@pytest.mark.parametrize(
    ("ports", "words"),
    [
        ({"input": port("x", [16])}, r"'x' of the \.tflite has shape \(16,\), but .* audio \(16, 1\)"),
        ({"output": port("y", [4])}, r"\(4,\), but the experiment's model has class \(3,\)"),
        ({"input": port("x", [16, 1], "int8")}, "int8 without a scale"),
        ({"output": port("y", [3], "int64")}, "without an operator that picks the class"),
        ({"input": port("x", [16, 1], "int32")}, "takes the same numbers"),
        ({"output": port("y", [3], batch=None)}, "single number"),
    ],
)
def test_what_differs_is_named(ports: dict[str, Any], words: str) -> None:
    with pytest.raises(DataRefused, match=words):
        check_ports(file(**ports), MODEL)


def test_another_number_of_ports_is_refused() -> None:
    both = {"inputs": [port("x", [16, 1]), port("z", [2])], "outputs": [port("y", [3])]}
    with pytest.raises(
        DataRefused, match=r"has 2 inputs \(x, z\), but the experiment's model has 1 \(audio\)"
    ):
        check_ports(both, MODEL)
