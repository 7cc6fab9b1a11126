"""Techniques that give a model other layers: nothing but what was removed is missing, and the file is smaller."""

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lwdash.compress.hopeless import Hopeless
from lwdash.contract import Skipped, Training, Treated
from lwdash.errors import InternalFault, RecipeError
from lwdash.keras_models.bridge.flatten import flatten_model
from lwdash.keras_models.bridge.restructure import with_structure_of
from lwdash.keras_models.bridge.transfer import transfer_weights
from lwdash.keras_models.stored_model import read_model, write_model
from lwdash.measure.runner import Runner
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES, channels, float32, low_rank
from lwdash.tflite.reader import read_tflite
from lwdash.training.low_rank_factors import candidates, macs_of

pytestmark = pytest.mark.tensorflow

Network = tuple[tuple[int, ...], Callable[[Any, Any], Any]]


def residual(layers: Any, x: Any) -> Any:
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, name="stem")(x)))
    y = layers.Conv2D(12, 3, padding="same", activation="relu", name="inner")(x)
    y = layers.BatchNormalization(name="norm_2")(layers.Conv2D(8, 3, padding="same", name="back")(y))
    x = layers.MaxPooling2D(name="pool")(layers.Add(name="add")([x, y]))
    return layers.Dense(3, name="answer")(layers.GlobalAveragePooling2D(name="average")(x))


def separable(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(6, 3, strides=2, activation="sigmoid", name="stem")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="depthwise")(x)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu")(layers.BatchNormalization(name="norm")(x))
    x = layers.SeparableConv2D(8, 3, padding="same", depth_multiplier=2, name="separable")(x)
    x = layers.UpSampling2D(name="up")(layers.Conv2DTranspose(6, 2, strides=2, name="transposed")(x))
    return layers.Dense(3, name="answer")(layers.GlobalMaxPooling2D(name="highest")(x))


def curves(layers: Any, x: Any) -> Any:
    x = layers.BatchNormalization(name="norm")(layers.Conv1D(8, 3, padding="causal", name="conv")(x))
    x = layers.MaxPooling1D(name="pool")(layers.ReLU(name="relu")(x))
    x = layers.Reshape((-1, 8), name="reshape")(layers.ZeroPadding1D(1, name="pad")(x))
    x = layers.Dense(10, activation="tanh", name="hidden")(layers.Flatten(name="flatten")(x))
    return layers.Dense(3, name="answer")(x)


def concatenated(layers: Any, x: Any) -> Any:
    left = layers.Conv2D(6, 3, name="left")(x)
    right = layers.Conv2D(10, 3, activation="tanh", name="right")(x)
    x = layers.Concatenate(name="join")([left, right])
    x = layers.Subtract(name="minus")([x, layers.Conv2D(16, 1, name="both")(x)])
    scale = layers.Dense(16, activation="sigmoid", name="gate")(
        layers.GlobalAveragePooling2D(keepdims=True)(x)
    )
    x = layers.Flatten(name="flatten")(layers.Multiply(name="times")([x, scale]))
    return layers.Dense(3, activation="softmax", name="answer")(x)


def nested(layers: Any, x: Any) -> Any:
    library = __import__(layers.__name__.partition(".")[0])
    inside = library.Input(x.shape[1:], name="inside")
    inner = layers.BatchNormalization(name="norm")(layers.Conv2D(8, 3, name="conv")(inside))
    backbone = library.Model(inside, layers.GlobalAveragePooling2D(name="average")(inner), name="backbone")
    shared = layers.Dense(8, activation="relu", name="twice")
    return layers.Dense(3, name="answer")(shared(shared(backbone(x))))


def stubborn(layers: Any, x: Any) -> Any:
    """Layers that cannot be cut, each for a reason of its own."""
    x = layers.Dense(6, name="into_lstm")(x)
    x = layers.LSTM(6, return_sequences=True, name="lstm")(x)
    x = layers.LayerNormalization(name="layer_norm")(layers.Dense(6, name="into_norm")(x))
    x = layers.Add(name="add")([x, layers.Dense(6, name="tied")(x)])
    x = layers.Permute((2, 1), name="permute")(layers.Dense(4, name="into_permute")(x))
    x = layers.Dense(5, activation="softmax", name="compared")(layers.Flatten(name="flatten")(x))
    x = layers.Dense(1, name="lonely")(layers.Dense(8, name="free")(x))
    return layers.Dense(3, name="answer")(x)


NETWORKS: dict[str, Network] = {
    "residual": ((10, 10, 2), residual),
    "separable": ((12, 12, 1), separable),
    "curves": ((16, 2), curves),
    "concatenated": ((7, 7, 1), concatenated),
    "nested": ((8, 8, 1), nested),
    "stubborn": ((6, 4), stubborn),
}
CUT = [name for name in NETWORKS if name != "stubborn"]
QUICK = {"epochs": 1, "batch_size": 16}


@functools.cache
def model_of(name: str, library: str = "tf_keras") -> Any:
    """A small model whose every weight is drawn, batch normalization's too: defaults would hide a mix-up."""
    module = __import__(library)
    module.utils.set_random_seed(1)
    shape, build = NETWORKS[name]
    inputs = module.Input(shape, name="input")
    model = module.Model(inputs, build(module.layers, inputs), name=name)
    chance = np.random.default_rng(5)
    model.set_weights([chance.uniform(0.2, 1.0, w.shape) * chance.choice([-1, 1], w.shape) * 0.5
                       if w.ndim > 1 else chance.uniform(0.2, 1.0, w.shape) for w in model.get_weights()])  # fmt: skip
    return model


def answers(model: Any, name: str) -> np.ndarray:
    """The outputs on `rows_of(name)`, without the graph that `predict` would compile."""
    return np.asarray(model(rows_of(name), training=False))


@functools.cache
def rows_of(name: str) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(48, *NETWORKS[name][0])).astype("float32")


def training_for(name: str) -> Training:
    rows = rows_of(name)
    return Training(
        inputs=[rows],
        labels=None,
        teacher=[answers(model_of(name), name)],
        task="classification",
        seed=3,
        progress=lambda doing, share: None,
    )


@functools.cache
def treated_with(technique: str, name: str) -> Treated:
    given = {"channels": {"ratio": 0.5}, "low_rank": {"energy": 0.5}}[technique]
    params = TECHNIQUES[technique].Params(**given, **QUICK)
    return TECHNIQUES[technique].apply(model_of(name), params, training_for(name))


def exported(name: str, model: Any) -> bytes:
    return float32.apply(model, ["input"], [NETWORKS[name][0]])


@functools.cache
def baseline(name: str) -> bytes:
    return exported(name, model_of(name))


# Channels: what is removed is what nothing hears any more.


@pytest.mark.parametrize(("criterion", "ratio"), [("l1", 0.75), ("bn_scale", 0.25)])
@pytest.mark.parametrize("name", CUT)
def test_a_cut_model_computes_what_the_silenced_one_does(name: str, criterion: str, ratio: float) -> None:
    flat = flatten_model(model_of(name))
    graph = channels.graph_of(flat, ())
    removed, _ = channels.choose(graph, channels.Params(ratio=ratio, criterion=criterion))
    assert removed
    silent, narrowed = channels.silenced(flat, graph, removed), channels.cut(flat, graph, removed)
    expected = answers(silent, name)
    np.testing.assert_allclose(answers(narrowed, name), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected - answers(model_of(name), name)).max() > 1e-3
    assert [w.shape for w in silent.get_weights()] == [w.shape for w in flat.get_weights()]
    assert narrowed.count_params() < flat.count_params()


@pytest.mark.parametrize("name", CUT)
def test_every_maker_of_channels_shrinks_by_the_ratio_or_says_why_not(name: str) -> None:
    treated = treated_with("channels", name)
    shrunk = treated.facts["channels"]
    assert [s.layer for s in treated.skipped] == ["answer"]
    assert all(s.reason for s in treated.skipped)
    makers = {
        layer.name: channels.filter_l1(layer).size
        for layer in flatten_model(model_of(name)).layers
        if type(layer).__name__ in channels.MAKERS and layer.name != "answer"
    }
    assert {layer: before for layer, (before, _) in shrunk.items()} == makers
    if name == "concatenated":  # "both" and "gate" lose what "left" and "right" lose together
        assert shrunk["left"][1] + shrunk["right"][1] == shrunk["both"][1] == shrunk["gate"][1] == 8
        assert min(shrunk["left"][1], shrunk["right"][1]) >= 1
    else:
        assert all(after == before // 2 for before, after in shrunk.values())


def test_the_weakest_channels_go_first() -> None:
    import tf_keras

    model = tf_keras.models.clone_model(model_of("curves"))
    weights = model_of("curves").get_weights()
    weights[0][..., [1, 4, 6]] *= 1e-3  # of the convolution's eight filters
    model.set_weights(weights)
    flat = flatten_model(model)
    graph = channels.graph_of(flat, ("hidden",))
    numbers = graph.layers["conv"].outputs
    for ratio, expected in ((0.375, {1, 4, 6}), (0.13, set())):
        removed, _ = channels.choose(graph, channels.Params(ratio=ratio))
        gone = {place for place, root in enumerate(graph.roots(numbers)) if int(root) in removed}
        assert gone == expected if expected else gone < {1, 4, 6}


def test_batch_normalization_can_judge() -> None:
    flat = flatten_model(model_of("curves"))
    scale = np.array([3, 0.01, 2, 0.02, 5, 4, 0.03, 1], np.float32)
    flat.get_layer("norm").gamma.assign(scale)
    graph = channels.graph_of(flat, ())
    removed, unscaled = channels.choose(graph, channels.Params(ratio=0.375, criterion="bn_scale"))
    gone = [int(root) in removed for root in graph.roots(graph.layers["conv"].outputs)]
    assert gone == list(scale < 0.1)
    assert unscaled == ["hidden"]


def test_layers_that_cannot_shrink_are_listed_with_the_reason() -> None:
    treated = treated_with("channels", "stubborn")
    assert treated.facts["channels"] == {"free": [8, 4]}
    reasons = {s.layer: s.reason for s in treated.skipped}
    assert reasons.keys() == {layer.name for layer in model_of("stubborn").layers if layer.weights} - {"free"}
    for layer, said in {
        "into_lstm": "'lstm' (LSTM) needs all its input channels",
        "lstm": "LSTM uses its channels in an unknown way",
        "into_norm": "'layer_norm' (LayerNormalization) needs all",
        "layer_norm": "LayerNormalization uses its channels in an unknown way",
        "tied": "tied to the output of 'layer_norm'",
        "into_permute": "'permute' (Permute) needs all its input channels",
        "compared": "its activation softmax compares all its channels",
        "lonely": "the ratio leaves none of its 1 channels to remove",
        "answer": "its channels are an output of the model",
    }.items():
        assert said in reasons[layer]


def test_a_layer_left_alone_keeps_its_channels_and_those_tied_to_it() -> None:
    params = channels.Params(skip=("ste?",), **QUICK)
    treated = channels.apply(model_of("residual"), params, training_for("residual"))
    assert treated.facts["channels"] == {"inner": [12, 6]}
    left = {s.layer: s.reason for s in treated.skipped}
    assert left["stem"] == left["back"] == "skipped by the recipe"


def test_a_nested_model_can_be_left_alone_by_its_name() -> None:
    """Its convolution feeds a layer that hears itself too: then that one cannot shrink either."""
    graph = channels.graph_of(flatten_model(model_of("nested")), ("backbone",))
    for layer in ("backbone/conv", "twice"):
        reasons = {graph.reason(int(root)) for root in graph.roots(graph.layers[layer].outputs)}
        assert reasons == {"skipped by the recipe"}


def test_a_wrong_cut_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate: outputs are compared before any training could hide a mistake."""
    whole = channels.narrow

    def mixed_up(known: Any, takes: np.ndarray, makes: np.ndarray) -> Any:
        changed, weights = whole(known, takes, makes)
        return changed, [w[::-1] if known.layer.name == "norm" else w for w in weights]

    monkeypatch.setattr(channels, "narrow", mixed_up)
    with pytest.raises(InternalFault, match="removing channels changed the model's outputs"):
        channels.apply(model_of("curves"), channels.Params(**QUICK), training_for("curves"))


def test_a_model_with_nothing_to_cut_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"no layer to treat.*conv: skipped"):
        channels.apply(model_of("curves"), channels.Params(skip=("*",), **QUICK), training_for("curves"))


# Low rank: the product of the chain keeps the energy, and the chain computes with it.


@pytest.mark.parametrize("energy", [0.3, 0.8, 0.99])
@pytest.mark.parametrize("name", CUT)
def test_the_error_of_a_kernel_is_bounded_by_the_energy(name: str, energy: float) -> None:
    flat = flatten_model(model_of(name))
    chosen = {layer.name: low_rank.factorized(layer, energy) for layer in flat.layers if layer.weights}
    for layer, factors in chosen.items():
        if isinstance(factors, Skipped):
            assert factors.reason
            continue
        kernel = flat.get_layer(layer).get_weights()[0]
        lost = ((factors.product().reshape(kernel.shape) - kernel) ** 2).sum() / (kernel**2).sum()
        assert lost <= 1 - energy + 1e-6
        assert factors.kept == pytest.approx(1 - lost, abs=1e-5)
    assert energy > 0.5 or any(not isinstance(f, Skipped) for f in chosen.values())


@pytest.mark.parametrize("name", CUT)
def test_a_chain_computes_what_the_layer_with_its_product_does(name: str) -> None:
    """Strides, padding, dilation, bias and activation are where they were."""
    flat = flatten_model(model_of(name))
    found = {layer.name: low_rank.factorized(layer, 0.5) for layer in flat.layers if layer.weights}
    factors = {layer: f for layer, f in found.items() if not isinstance(f, Skipped)}
    assert factors

    def product(layer: Any, path: str) -> Any:
        if path not in factors:
            return None
        kernel, *bias = layer.get_weights()
        return [
            (
                type(layer).from_config(layer.get_config()),
                [factors[path].product().reshape(kernel.shape), *bias],
            )
        ]

    chains = flatten_model(
        flat, lambda layer, path: low_rank.chain(layer, factors[path]) if path in factors else None
    )
    expected = answers(flatten_model(flat, product), name)
    np.testing.assert_allclose(answers(chains, name), expected, rtol=1e-4, atol=1e-4)


def test_every_kind_of_chain_is_made() -> None:
    """Reduced inputs, reduced outputs, both; strided: the reduction runs on more places than the rest."""
    chance = np.random.default_rng(0)

    def kernel(taps: int, wide: int, rank_in: int, rank_out: int, out: int) -> np.ndarray:
        core = chance.normal(size=(taps, rank_in, rank_out))
        return np.einsum("ir,trs,so->tio", chance.normal(size=(wide, rank_in)), core,
                         chance.normal(size=(rank_out, out)))  # fmt: skip

    for ranks, parts in {(2, 2): (True, True), (2, 32): (True, False), (32, 2): (False, True)}.items():
        made = min(candidates(kernel(9, 32, *ranks, 32), 1 - 1e-9), key=lambda f: macs_of(f, 1))
        assert (made.reduce is not None, made.restore is not None) == parts
        assert made.ranks == list(ranks)
    both = next(f for f in candidates(kernel(9, 32, 4, 4, 32), 0.999999) if f.reduce is not None)
    assert macs_of(both, 4) - macs_of(both, 1) == 3 * 32 * 4


def test_a_layer_whose_chain_would_cost_more_stays_whole() -> None:
    flat = flatten_model(model_of("curves"))
    found = low_rank.factorized(flat.get_layer("answer"), 0.999)
    assert isinstance(found, Skipped)
    assert "no chain that keeps 0.999 of its energy has fewer MACs" in found.reason
    assert isinstance(low_rank.factorized(flat.get_layer("norm"), 0.5), Skipped)


@pytest.mark.parametrize("name", ["residual", "curves"])
def test_ranks_chosen_by_loss_keep_the_limit_of_operations(name: str) -> None:
    treated = low_rank.apply(model_of(name), low_rank.Params(macs=0.75, **QUICK), training_for(name))
    assert treated.facts["ranks"]
    assert treated.facts["macs_after"] <= 0.75 * treated.facts["macs_before"]


def test_operations_that_no_ranks_reach_are_refused_with_the_least() -> None:
    with pytest.raises(RecipeError, match=r"macs=0.001: chains leave at least 0\.\d+ of the operations"):
        low_rank.apply(model_of("curves"), low_rank.Params(macs=0.001, **QUICK), training_for("curves"))


def test_the_layer_that_matters_less_for_the_outputs_is_split() -> None:
    import tf_keras

    tf_keras.utils.set_random_seed(4)
    layers = tf_keras.layers
    inputs = tf_keras.Input((32,), name="input")
    loud = layers.Dense(32, activation="tanh", name="loud")(inputs)
    quiet = layers.Rescaling(0.01)(layers.Dense(32, activation="tanh", name="quiet")(inputs))
    model = tf_keras.Model(inputs, layers.Dense(3, name="answer")(layers.Add()([loud, quiet])))
    rows = np.random.default_rng(3).normal(size=(64, 32)).astype("float32")
    training = Training(
        [rows], None, [model.predict(rows, verbose=0)], "regression", 3, lambda doing, share: None
    )
    treated = low_rank.apply(model, low_rank.Params(macs=0.7, skip=("answer",), **QUICK), training)
    assert set(treated.facts["ranks"]) == {"quiet"}
    reasons = {s.layer: s.reason for s in treated.skipped}
    assert "changes the outputs less" in reasons["loud"]


def test_low_rank_says_what_it_left_and_what_it_saved() -> None:
    treated = treated_with("low_rank", "residual")
    done = set(treated.facts["ranks"])
    assert done | {s.layer for s in treated.skipped} == {
        layer.name for layer in model_of("residual").layers if layer.weights
    }
    assert min(treated.facts["energy"].values()) >= 0.5


# Both.


@pytest.mark.parametrize("name", CUT)
@pytest.mark.parametrize("technique", ["channels", "low_rank"])
def test_the_file_is_smaller_and_its_facts_are_true(technique: str, name: str) -> None:
    from lwdash.measure.layers import layer_table

    treated = treated_with(technique, name)
    facts = treated.facts
    before, after = baseline(name), exported(name, treated.model)
    tables = [layer_table(read_tflite(data)).totals() for data in (before, after)]
    assert tables[1]["macs"] < tables[0]["macs"]
    assert tables[1]["parameters"] < tables[0]["parameters"]
    assert facts["parameters_after"] == treated.model.count_params() < facts["parameters_before"]
    assert (facts["macs_before"], facts["macs_after"]) == (tables[0]["macs"], tables[1]["macs"])
    if technique == "channels":
        assert len(after) < len(before)
    rows = rows_of(name)
    got = next(iter(Runner(after).run({"input": rows}).values()))
    np.testing.assert_allclose(got, answers(treated.model, name), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("technique", ["channels", "low_rank"])
def test_the_model_passed_in_is_unchanged_and_the_same_seed_gives_the_same_bytes(technique: str) -> None:
    name = "nested"
    first = exported(name, treated_with(technique, name).model)
    weights = [w.copy() for w in model_of(name).get_weights()]
    again = treated_with.__wrapped__(technique, name)
    assert exported(name, again.model) == first
    assert all((a == b).all() for a, b in zip(weights, model_of(name).get_weights(), strict=True))
    params = TECHNIQUES[technique].Params(**QUICK, skip=("nowhere",))
    with pytest.raises(RecipeError, match=r"skip: no layer is named 'nowhere'"):
        TECHNIQUES[technique].apply(model_of(name), params, training_for(name))


@pytest.mark.parametrize("technique", ["channels", "low_rank"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_stored_model_is_the_same_model(technique: str, name: str) -> None:
    model = treated_with(technique, name).model
    stored = read_model(write_model(model))
    np.testing.assert_array_equal(answers(stored, name), answers(model, name))
    assert [layer.name for layer in stored.layers] == [layer.name for layer in model.layers]
    assert write_model(stored) == write_model(model)


@pytest.mark.parametrize("technique", ["channels", "low_rank"])
@pytest.mark.parametrize("name", CUT)
def test_the_keras_3_original_takes_the_structure(technique: str, name: str) -> None:
    original = model_of(name, "keras")
    original.set_weights([w.copy() for w in original.get_weights()])
    treated = treated_with(technique, name).model
    restructured = with_structure_of(treated, original)
    transfer_weights(treated, restructured)
    expected = answers(treated, name)
    np.testing.assert_allclose(answers(restructured, name), expected, rtol=1e-4, atol=1e-4)
    assert original.count_params() > restructured.count_params()


def test_a_nested_model_whose_input_would_shrink_is_exported_as_treated() -> None:
    """A nested Keras 3 model has an input of its own, of the old width; the treated twin has none."""
    import keras

    from lwdash.keras_models.bridge.model import to_tf_keras

    inputs = keras.Input((6,))
    head = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, name="answer")], name="head")
    original = keras.Model(inputs, head(keras.layers.Dense(8, name="hidden")(inputs)))
    flat = flatten_model(to_tf_keras(original).model)
    graph = channels.graph_of(flat, ())
    narrowed = channels.cut(flat, graph, channels.choose(graph, channels.Params())[0])
    assert [w.shape for w in narrowed.get_weights()] == [(6, 4), (4,), (4, 3), (3,)]
    assert with_structure_of(narrowed, original) is None
    assert with_structure_of(flat, original) is original


def test_structure_comes_before_pruning_and_clustering() -> None:
    recipe = "channels(ratio=0.5) + low_rank(energy=0.95) + prune(sparsity=0.5) + cluster(clusters=16) + int8"
    assert str(parse_recipe(recipe)) == recipe
    with pytest.raises(RecipeError, match="channels"):
        parse_recipe("prune + channels")


class Kept:
    """A cache in memory, with its files in a folder."""

    def __init__(self, folder: Path):
        self.folder, self.facts = folder, {}

    def get(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        return (self.folder / key, self.facts[key]) if key in self.facts else None

    def put(self, key: str, kind: str, data: bytes | Path, facts: Any, seconds: float) -> None:
        (self.folder / key).write_bytes(data if isinstance(data, bytes) else data.read_bytes())
        self.facts[key] = dict(facts)

    def making(self, key: str) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_a_narrower_model_is_kept_and_then_pruned_and_quantized(library: str, tmp_path: Path) -> None:
    """The step after a change of structure goes on from the model that was kept."""
    bench = bench_of(library, tmp_path)
    first = bench.compress(parse_recipe("channels(epochs=1) + int8"), lambda doing, share: None)
    recipe = "channels(epochs=1) + prune(epochs=2, batch_size=8) + int8"
    second = bench.compress(parse_recipe(recipe), lambda doing, share: None)
    cached = {stage.name.partition("(")[0]: stage.cached for stage in second.stages}
    assert cached == {"float32": True, "channels": True, "prune": False,
                      "float32 after channels + prune": False, "outputs of prune": False, "int8": False}  # fmt: skip
    assert max(len(first.tflite), len(second.tflite)) < len(second.baseline) / 2
    facts = read_tflite(second.tflite)
    kernels = [
        facts.stored(facts.tensor(operator, operator.inputs[1])).values()
        for operator in facts.operators
        if operator.type in ("CONV_2D", "FULLY_CONNECTED")
    ]
    assert [kernel.size for kernel in kernels] == [72, 216, 216, 12]
    assert {kernel.dtype.name for kernel in kernels} == {"int8"}
    assert min(float((kernel == 0).mean()) for kernel in kernels) >= 0.48


def test_the_formats_that_auto_chooses_are_those_that_qat_trains_for(tmp_path: Path) -> None:
    """They are chosen for the model before the training, and the file is made in them after it."""
    bench = bench_of("keras", tmp_path)
    recipe = parse_recipe("qat(epochs=1, batch_size=8, validate=false) + auto(max_drop=50)")
    done = bench.compress(recipe, lambda doing, share: None)
    stages = {stage.name.partition("(")[0]: stage for stage in done.stages}
    mixed = stages["auto"].facts["auto"]["recipe"]
    assert mixed in [stage.name for stage in done.stages]
    assert "int8x4" in mixed, "half of the rows may change, so the smallest file is chosen"
    bits = stages["qat"].facts["weight_bits"]
    assert bits
    assert 4 in bits.values()
    formats = stages["mixed"].facts["formats"]
    assert {path.partition("/")[0] for path, count in bits.items() if count == 4}.isdisjoint(
        layer for layer, format in formats.items() if format != "int8x4"
    )
    assert len(done.tflite) < len(bench.compress(parse_recipe("int8"), lambda doing, share: None).tflite)


def test_a_hopeless_recipe_is_stopped_after_the_step_that_loses_too_much(tmp_path: Path) -> None:
    bench = bench_of("keras", tmp_path)
    recipe = parse_recipe("channels(epochs=1) + prune(epochs=1, batch_size=8) + int8")
    with pytest.raises(
        Hopeless, match=r"^stopped after channels\(ratio=0.5, epochs=1\): the accuracy on 8 evaluat"
    ):
        bench.compress(recipe, lambda doing, share: None, max_drop=-3.0)
    made = {report.name.partition("(")[0] for report in bench.stages.reports}
    assert made == {"float32", "channels", "outputs of the Keras model", "outputs of channels"}
    done = bench.compress(recipe, lambda doing, share: None, max_drop=1.0)
    assert done.tflite == bench.compress(recipe, lambda doing, share: None).tflite
    trained = parse_recipe("channels(epochs=1) + qat(epochs=1, batch_size=8, validate=false) + auto")
    with pytest.raises(Hopeless, match="stopped after channels"):
        bench.compress(trained, lambda doing, share: None, max_drop=-3.0)
    assert not any(report.name.startswith("auto") for report in bench.stages.reports)


def bench_of(library: str, folder: Path) -> Any:
    from lwdash.compress.workbench import Workbench
    from lwdash.datasets.dataset import Dataset
    from lwdash.keras_models.inspection import inspect_model

    path = folder / f"{library}.keras"
    model_of("residual", library).save(path)
    facts = inspect_model(path)
    rows = rows_of("residual")
    name = facts.inputs[0].name
    dataset = Dataset(
        inputs={name: rows},
        labels=(np.arange(len(rows)) % 3).astype("int64"),
        classes=("a", "b", "c"),
        parts={
            "train": np.arange(0, 32),
            "calibration": np.arange(32, 40),
            "evaluation": np.arange(40, 48),
        },
        warnings=(),
    )
    return Workbench(
        model_path=path, model_sha256=library, facts=facts, dataset=dataset, dataset_key="rows",
        task="classification", seed=3, cache=Kept(folder),
    )  # fmt: skip
