"""A .tflite as the model of an experiment: its facts, and the steps that it cannot go through."""

from pathlib import Path

import numpy as np
import pytest
from support.measure_models import Model, dense_model, int8_dense_model

from lwdash.compress.tflite_model import baseline_file, is_tflite_file, tflite_model_facts
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.obstacles import obstacle
from lwdash.measure.runner import Runner
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


def fixed_file(path: Path, *, does_mix_rows: bool = False) -> Path:
    """A file for eight rows: a kernel of eight equal rows, a reshape to eight rows, a constant state for each row."""
    model = Model()
    x, y = model.tensor("x", (8, 2, 4)), model.tensor("y", (8, 8))
    shape = model.tensor("shape", (2,), dtype="int32", data=np.array([8, 8], np.int32))
    kernel = model.tensor("kernel", (8, 8), data=np.tile(np.arange(8, dtype=np.float32), (8, 1)))
    bias = model.tensor("bias", (8,), data=np.arange(8, dtype=np.float32))
    state = model.tensor("state", (8, 8), data=np.full((8, 8), 0.5, np.float32))
    flat, dense = model.tensor("flat", (8, 8)), model.tensor("dense", (8, 8))
    model.operator("RESHAPE", [x, shape], [flat])
    model.operator("FULLY_CONNECTED", [flat, kernel, bias], [dense], table="FullyConnectedOptions")
    if does_mix_rows:
        axis, mean = (
            model.tensor("axis", (1,), dtype="int32", data=np.array([0], np.int32)),
            model.tensor("mean", (1, 8)),
        )
        model.operator("MEAN", [dense, axis], [mean], table="ReducerOptions", keepDims=True)
        model.operator("ADD", [dense, mean], [y], table="AddOptions")
    else:
        model.operator("ADD", [dense, state], [y], table="AddOptions")
    path.write_bytes(model.build([x], [y]))
    return path


def test_a_file_for_several_rows_is_rewritten_for_one(tmp_path: Path) -> None:
    path = fixed_file(tmp_path / "batch.tflite")
    assert tflite_model_facts(path, path.name).inputs[0].shape == (2, 4)
    rows = {"x": RNG.normal(size=(5, 2, 4)).astype(np.float32)}
    data = baseline_file(path, rows)
    expected = rows["x"].reshape(5, 8) @ np.arange(8, dtype=np.float32)[:, None] + np.arange(8) + 0.5
    np.testing.assert_allclose(Runner(data).run(rows)["y"], expected, rtol=1e-5)
    assert len(data) < path.stat().st_size


def test_a_file_whose_rows_depend_on_each_other_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = fixed_file(tmp_path / "batch.tflite", does_mix_rows=True)
    with pytest.raises(TfliteRefused, match=r"takes 8 rows at once .* depend on the other rows.* batch of 1"):
        tflite_model_facts(path, path.name)
