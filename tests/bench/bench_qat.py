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
AUTO_ROWS, AUTO_SEEDS, AUTO_RECIPES = (120, 300), (0, 1, 2), ("auto", "auto(max_drop=5)")
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


def chosen_formats(network: Trained, recipe: str, count: int, seed: int) -> str:
    """The `mixed` recipe that `auto` chooses for the network as it is, on the rows to compress with."""
    (step,) = parse_recipe(recipe).steps
    names, shapes = [network.model.inputs[0].name], [network.rows.shape[1:]]
    exported = float32.apply(network.model, names, shapes)
    rows = {read_tflite(exported).inputs[0].name: network.training(count, seed).inputs[0]}
    return TECHNIQUES["auto"].apply(exported, step.params, rows).facts["auto"]["recipe"]


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


@pytest.mark.parametrize("name", ["digits, separable", "digits, LSTM", "heartbeats, 1-D", "digits, residual"])
def test_training_for_formats_by_layer_is_no_worse_than_rounding_alone(name: str) -> None:
    """The formats are those that `auto` chooses before the training, so that both files have the same formats."""
    network = NETWORKS[name]()
    labels = network.labels[network.evaluated]
    expected = network.outputs([network.rows[network.evaluated]])[0]
    before = np.mean(expected.argmax(axis=1) == labels)
    print(
        f"\n{name}: {before:.2%} of {len(labels):,} unseen rows; bytes, SQNR in dB, accuracy, trainings kept"
    )
    for recipe in AUTO_RECIPES:
        for count in AUTO_ROWS:
            found: dict[str, list[tuple[int, float, float, bool]]] = {"": [], "qat + ": []}
            for seed in AUTO_SEEDS:
                formats = chosen_formats(network, recipe, count, seed)
                for training, made in found.items():
                    data, kept = compressed(network, training + formats, count, seed)
                    real = outputs(network, data)
                    accuracy = float(np.mean(real.argmax(axis=1) == labels))
                    made.append((len(data), float(sqnr_db(expected, real)), accuracy, kept))
            for training, made in found.items():
                size, sqnr, accuracy, kept = np.mean(made, axis=0)
                print(
                    f"| {name} | {count} | `{training}{recipe}` | {size:,.0f} | {sqnr:.1f} | {accuracy:.2%} "
                    f"| {kept * len(AUTO_SEEDS):.0f} | {' '.join(f'{each[2]:.2%}' for each in made)} |",
                    flush=True,
                )
            print(f"formats of the last: {formats}", flush=True)
            assert np.mean(found["qat + "], axis=0)[2] > np.mean(found[""], axis=0)[2] - 0.01
