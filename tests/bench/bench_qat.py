"""Quantization-aware training against rounding alone: accuracy and error of the integer file, with 8-bit and 4-bit weights.

The networks of `bench_few_rows` and one with an LSTM. The error is against the outputs of the float network, on rows that
nothing else has seen.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from bench_few_rows import Trained, beats, on_digits, recurrent, residual_2d, separable_2d

from lwdash.compress.quantizer_choice import pack
from lwdash.export.keras_converter import convert_with
from lwdash.export.unrolled_loops import recurrent_layers, without_loops
from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES, float32
from lwdash.tflite.reader import read_tflite

ROWS, SEEDS = (100, 300), (0, 1)
RECIPES = ("int8", "qat + int8", "int8(bits=4)", "qat + int8(bits=4)")


def lstm(keras: Any) -> Any:
    """About 8,000 parameters: an LSTM over the lines of images of 8 × 8."""
    layers = keras.layers
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.LSTM(40, name="lines")(layers.Reshape((8, 8))(inputs))
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="answer")(x))


NETWORKS = {
    "digits, separable": functools.partial(on_digits, separable_2d),
    "digits, residual": functools.partial(on_digits, residual_2d),
    "digits, GRU": functools.partial(on_digits, recurrent),
    "digits, LSTM": functools.partial(on_digits, lstm),
    "heartbeats, 1-D": beats,
}


def compressed(network: Trained, recipe: str, count: int, seed: int) -> tuple[bytes, bool]:
    """The file of a recipe, and whether its training was kept."""
    parsed = parse_recipe(recipe)
    training, model, kept = network.training(count, seed), network.model, False
    for step in parsed.keras_steps:
        treated = TECHNIQUES[step.name].apply(model, step.params, training, formats=step.formats)
        model, kept = treated.model, treated.facts.get("kept_epoch") != 0
    names, shapes = [model.inputs[0].name], [network.rows.shape[1:]]
    exported = float32.apply(model, names, shapes)
    rows = {read_tflite(exported).inputs[0].name: training.inputs[0]}
    step = parsed.tflite_step
    assert step is not None
    packed, _ = pack(
        TECHNIQUES[step.name],
        step.params,
        exported,
        rows,
        compared={name: values[:16] for name, values in rows.items()},
        convert=lambda configure, some: convert_with(model, names, shapes, configure=configure, rows=some),
        unroll=lambda: (
            float32.apply(without_loops(model), names, shapes) if recurrent_layers(model) else None
        ),
    )
    return packed.data, kept


def outputs(network: Trained, data: bytes) -> np.ndarray:
    """The real outputs of an integer file on the evaluation rows."""
    facts = read_tflite(data)
    rows = network.rows[network.evaluated]
    return next(iter(Runner(data).run({facts.inputs[0].name: rows}).values()))


@pytest.mark.parametrize("name", NETWORKS)
def test_training_for_the_rounding_loses_no_more_than_rounding_alone(name: str) -> None:
    network = NETWORKS[name]()
    labels = network.labels[network.evaluated]
    expected = network.outputs([network.rows[network.evaluated]])[0]
    print(f"\n{name}: {np.mean(expected.argmax(axis=1) == labels):.2%} of {len(labels):,} unseen rows")
    for count in ROWS:
        sqnr: dict[str, float] = {}
        for recipe in RECIPES:
            made = [compressed(network, recipe, count, seed) for seed in SEEDS]
            found = [outputs(network, data) for data, _ in made]
            accuracy = np.mean([np.mean(each.argmax(axis=1) == labels) for each in found])
            sqnr[recipe] = float(np.mean([sqnr_db(expected, each) for each in found]))
            kept = sum(is_kept for _, is_kept in made) if "qat" in recipe else "–"
            print(
                f"| {name} | {count} | `{recipe}` | {sqnr[recipe]:.1f} | {accuracy:.2%} | {kept} |",
                flush=True,
            )
        for plain in ("int8", "int8(bits=4)"):
            assert sqnr[f"qat + {plain}"] > sqnr[plain] - 1
