"""A .tflite as the model of an experiment: its facts, and the steps that it cannot go through."""

from pathlib import Path

import numpy as np
import pytest
from support.measure_models import Model, dense_model, int8_dense_model

from lwdash.compress.tflite_model import is_tflite_file, tflite_model_facts
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.obstacles import obstacle
from lwdash.techniques import TECHNIQUES
from lwdash.tflite.layout_scan import TfliteRefused

RNG = np.random.default_rng(0)


@pytest.fixture
def float_file(tmp_path: Path) -> Path:
    path = tmp_path / "their model.tflite"
    path.write_bytes(dense_model(RNG.normal(size=(3, 4)), RNG.normal(size=3), softmax=True, batch=None))
    return path


@pytest.fixture
def int8_file(tmp_path: Path) -> Path:
    path = tmp_path / "int8.tflite"
    path.write_bytes(
        int8_dense_model(
            np.ones((3, 4)),
            np.zeros(3),
            np.full(3, 0.1),
            input_scale=0.5,
            input_zero_point=0,
            output_scale=0.25,
            output_zero_point=0,
        )
    )
    return path


def test_a_float_file_has_ports_parameters_and_its_last_activation(float_file: Path) -> None:
    assert is_tflite_file(float_file)
    facts = tflite_model_facts(float_file, float_file.name)
    assert ModelFacts.from_dict(facts.to_dict()) == facts
    assert (facts.name, facts.class_name, facts.output_activation) == (
        "their model",
        "float .tflite",
        "softmax",
    )
    assert facts.parameters == 15
    assert [shape for _, shape, _ in (*facts.ports[0], *facts.ports[1])] == [(4,), (3,)]
    assert facts.is_tflite
    assert not facts.is_quantized


def test_real_numbers_go_into_a_quantized_file(int8_file: Path) -> None:
    facts = tflite_model_facts(int8_file, int8_file.name)
    assert facts.is_quantized
    assert {dtype for _, _, dtype in (*facts.ports[0], *facts.ports[1])} == {"float32"}


def test_steps_that_cannot_be_say_why(float_file: Path, int8_file: Path) -> None:
    floats, integers = (tflite_model_facts(path, path.name) for path in (float_file, int8_file))
    for name, technique in TECHNIQUES.items():
        reasons = [obstacle(facts, name, technique.STAGE) for facts in (floats, integers)]
        if technique.STAGE == "keras":
            assert all(reason and "no layers that could be trained" in reason for reason in reasons)
        elif technique.STAGE == "tflite":
            assert reasons[0] is None
            assert "quantized already" in (reasons[1] or "")
        else:
            assert reasons == [None, None]


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    model = Model()
    x, y = model.tensor("x", (8, 4)), model.tensor("y", (8, 4))
    model.operator("RELU", [x], [y])
    path = tmp_path / "batch.tflite"
    path.write_bytes(model.build([x], [y]))
    with pytest.raises(TfliteRefused, match="batch of 1"):
        tflite_model_facts(path, path.name)
