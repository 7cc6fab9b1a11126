"""Weights of 1 to 4 bits against as many clusters: accuracy with few rows, and the bytes of each storage form."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bench_few_rows import NETWORKS, SEEDS, Trained

from lwdash.compress.storage_stage import store
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES, coded, float32, int8, lut

ROWS = 120
RECIPES = (
    *(f"cluster(clusters={2**bits})" for bits in (4, 3, 2, 1)),
    *(f"lowbit(bits={bits})" for bits in (4, 3, 2, 1)),
    "lowbit(bits=3, spacing=powers)",
    "lowbit(bits=2, spacing=sums)",
)


def treated(network: Trained, recipe: str, seed: int) -> Any:
    def outputs_of(inputs: Any) -> list[np.ndarray]:
        return [network.model.predict(inputs[0], verbose=0)]

    (step,) = parse_recipe(recipe).steps
    training = replace(network.training(ROWS, seed), outputs_of=outputs_of)
    return TECHNIQUES[step.name].apply(network.model, step.params, training).model


def stored_bytes(network: Trained, model: Any) -> tuple[int, int, int]:
    """Bytes of the int8 file, as look-up tables, and coded."""
    shape = network.rows.shape[1:]
    exported = float32.apply(model, ["image"], [shape])
    rows = dict.fromkeys(input_names(exported), network.rows[:100])
    data = int8.apply(exported, int8.Params(), rows).data
    few = {name: values[:4] for name, values in rows.items()}
    forms = [store(form, form.Params(), data, few) for form in (lut, coded)]
    return len(data), len(forms[0].data), len(forms[1].data)


def input_names(data: bytes) -> list[str]:
    from lwdash.tflite.reader import read_tflite

    return [port.name for port in read_tflite(data).inputs]


@pytest.mark.parametrize("name", NETWORKS)
def test_few_bits_against_few_clusters(name: str) -> None:
    """Three bits lose less than two points; the rest is only reported."""
    network = NETWORKS[name]()
    before = network.accuracy(network.model)
    print(f"\n{name}: {before:.1%}; int8, as tables, coded: {stored_bytes(network, network.model)}")
    for recipe in RECIPES:
        models = [treated(network, recipe, seed) for seed in SEEDS[:2]]
        found = [network.accuracy(model) for model in models]
        sizes = " | ".join(f"{size:,}" for size in stored_bytes(network, models[0]))
        cells = f"{np.mean(found):.1%} ({min(found):.1%}–{max(found):.1%})"
        print(f"| {name} | `{recipe}` | {cells} | {sizes} |", flush=True)
        assert recipe != "lowbit(bits=3)" or np.mean(found) > before - 0.02
