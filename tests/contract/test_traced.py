"""The traced function gives the same .tflite as TensorFlow's documented way through a SavedModel, without its detour."""

# ruff: noqa: F811 - pytest takes a fixture by the name of a parameter, here the imported `zoo`

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import support_matrix
from support.zoo import Zoo, random_inputs, zoo  # noqa: F401
from support.zoo_models import SMALL

from lwdash.errors import ConversionFailed
from lwdash.export import float_file, traced_function
from lwdash.keras_models.canonical.form import canonical_form
from lwdash.measure.runner import Runner
from lwdash.recipe import parse_recipe
from lwdash.techniques import float32
from lwdash.tflite.reader import TfliteFacts, read_tflite

pytestmark = pytest.mark.tensorflow

QUICK = frozenset(
    {
        ("keras", "depthwise_separable"),
        ("keras", "lstm"),
        ("keras", "masked_embedding"),
        ("keras", "two_inputs_two_outputs"),
        ("tf_keras", "embedding"),
        ("tf_keras", "lstm"),
        ("tf_keras", "nested"),
    }
)
"""Loops and fused LSTMs, look-ups, masks, several inputs and outputs; the others are slow tests."""


def operators(facts: TfliteFacts) -> Counter[str]:
    return Counter(operator.type for graph in facts.subgraphs for operator in graph.operators)


def layers(facts: TfliteFacts) -> set[str]:
    return {tensor.name.rpartition("/")[0] for graph in facts.subgraphs for tensor in graph.tensors}


@pytest.mark.parametrize(
    ("library", "name"),
    [
        pytest.param(library, name, marks=[] if (library, name) in QUICK else pytest.mark.slow)
        for library in ("keras", "tf_keras")
        for name in SMALL
    ],
)
def test_the_file_is_that_of_the_documented_way(zoo: Zoo, library: str, name: str) -> None:
    model = canonical_form(zoo.model(library, name)).model
    arrays = random_inputs(model)
    rows = {f"input {position}": values for position, values in enumerate(arrays)}
    shapes = [values.shape[1:] for values in arrays]
    ours, documented = (
        float32.apply(model, list(rows), shapes, through_saved_model=through) for through in (False, True)
    )
    facts, expected = read_tflite(ours), read_tflite(documented)
    assert operators(facts) == operators(expected)
    assert layers(facts) == layers(expected)
    assert {port.name for port in facts.inputs} == set(rows)
    by_size = [
        sorted(Runner(data).run(rows).values(), key=lambda v: (v.size, float(np.abs(v).sum())))
        for data in (ours, documented)
    ]
    for got, wanted in zip(*by_size, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6)
    assert len(ours) <= len(documented) + 64


def test_weights_of_a_model_are_unchanged_and_stay_variables(zoo: Zoo) -> None:
    model = zoo.model("keras", "residual")
    before = [np.array(values) for values in model.get_weights()]
    float32.apply(model, ["input"], [(32, 32, 3)])
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 2)
    np.testing.assert_array_equal(model.get_weights()[-2], 2 * before[-2])
    model.set_weights(before)


def test_large_weights_are_tracked_instead_of_copied(monkeypatch: pytest.MonkeyPatch, zoo: Zoo) -> None:
    """A limit of 100 values leaves the larger kernels as variables; the file is the same."""
    model = zoo.model("keras", "sequential_cnn")
    constant = float32.apply(model, ["input"], [(28, 28, 1)])
    monkeypatch.setattr(traced_function, "MAX_CONSTANT_VALUES", 100)
    _, trackable = traced_function.traced_function(model, [(28, 28, 1)])
    assert len(trackable.variables_in_use) == 2  # the second convolution's kernel and the dense layer's
    tracked = float32.apply(model, ["input"], [(28, 28, 1)])
    assert operators(read_tflite(tracked)) == operators(read_tflite(constant))
    rows = {"input": random_inputs(model)[0]}
    for got, wanted in zip(
        Runner(tracked).run(rows).values(), Runner(constant).run(rows).values(), strict=True
    ):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("fault", ["fails", "disagrees"])
def test_a_model_whose_function_is_no_use_goes_through_a_saved_model(
    fault: str, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = traced_function.traced_function

    def other_function(model: Any, shapes: Any) -> Any:
        if fault == "fails":
            raise ConversionFailed("no function today")
        kept = model.get_weights()
        model.set_weights([values + 1 for values in kept])
        try:
            return trace(model, shapes)
        finally:
            model.set_weights(kept)

    monkeypatch.setattr(float_file, "traced_function", other_function)
    bench = support_matrix.workbench(zoo.file("keras", "autoencoder"), tmp_path)
    made = bench.compress(parse_recipe("float32"), lambda doing, share: None)
    stage = next(stage for stage in made.stages if stage.name == "float32")
    assert stage.facts["through_saved_model"] is True
    assert stage.facts["largest_difference"] < 1e-4
