"""Seconds of `auto` on networks of 60 layers and more, beside those of measuring each layer.

The networks are of keras.applications with random weights, since only the time counts here.
"""

import time
from typing import Any

import pytest
from networks import built, rows_for

from lwdash.quantize.layer_choices import LayerChoices
from lwdash.techniques import auto, float32
from lwdash.tflite.reader import read_tflite

MIN_LAYERS, MAX_SECONDS, ROWS = 60, 30, 100


@pytest.mark.parametrize("limit", ["max_drop", "max_size"])
@pytest.mark.parametrize("name", ["EfficientNetB0", "DenseNet121"])
def test_auto_takes_seconds_after_the_layers_are_measured(
    name: str, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = built(name)
    names, shapes = [model.inputs[0].name], [tuple(model.inputs[0].shape[1:])]
    source = float32.apply(model, names, shapes)
    rows = {read_tflite(source).inputs[0].name: rows_for(model, ROWS)[names[0]]}
    measured: dict[str, Any] = {}

    def timed(*arguments: Any) -> LayerChoices:
        start = time.perf_counter()
        choices = LayerChoices(*arguments)
        measured["seconds"], measured["layers"] = time.perf_counter() - start, len(choices.choices)
        return choices

    monkeypatch.setattr(auto, "LayerChoices", timed)
    params = auto.Params(max_size=len(source) / 5000) if limit == "max_size" else auto.Params(max_drop=5.0)
    start = time.perf_counter()
    packed = auto.apply(source, params, rows)
    after = time.perf_counter() - start - measured["seconds"]
    print(
        f"\n{name}, {limit}: {measured['layers']} layers, {len(source):,} B → {len(packed.data):,} B, layers measured in "
        f"{measured['seconds']:.1f} s, then {after:.1f} s and {len(packed.facts['auto']['attempts'])} files"
    )
    assert measured["layers"] >= MIN_LAYERS
    assert after < MAX_SECONDS
