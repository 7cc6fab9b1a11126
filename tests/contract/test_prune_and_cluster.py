"""Every way to prune and to cluster that is lwdash's own, on models of both Keras, held against the .tflite.

Most tests replace the fine-tuning by one that only stirs the weights, which takes no time; that of TFMOT, and with
either Keras' own training, is in test_techniques.py and in one test here.
"""

import dataclasses
import functools
import hashlib
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lwdash.contract import Packed, Training, Treated
from lwdash.errors import RecipeError
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES, float32
from lwdash.tflite.reader import read_tflite
from lwdash.training.kernels import choose
from lwdash.training.model_copies import clone_live
from lwdash.training.pruning.pruning_masks import Masks

pytestmark = pytest.mark.tensorflow

SHAPE = (8, 8, 1)
LIBRARIES = ["tf_keras", "keras"]
DEPTHWISE = {"tf_keras": "depthwise_kernel", "keras": "kernel"}
PLAIN = ("first", "second", "up", "hidden", "answer")
KIND = {
    "first": "CONV_2D",
    "depthwise": "DEPTHWISE_CONV_2D",
    "second": "CONV_2D",
    "up": "TRANSPOSE_CONV",
    "hidden": "FULLY_CONNECTED",
    "answer": "FULLY_CONNECTED",
}


@functools.cache
def model_of(library_name: str) -> Any:
    """An untrained model of either Keras with a kernel of each kind; shared, so tests must leave it as it is."""
    library = importlib.import_module(library_name)
    library.utils.set_random_seed(1)
    layers = library.layers
    inputs = library.Input(SHAPE, name="input")
    x = layers.Conv2D(6, 3, activation="relu", name="first")(inputs)
    x = layers.DepthwiseConv2D(3, activation="relu", name="depthwise")(x)
    x = layers.Conv2D(8, 1, activation="relu", name="second")(x)
    x = layers.Conv2DTranspose(5, 2, activation="relu", name="up")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dense(18, activation="relu", name="hidden")(x)
    return library.Model(inputs, layers.Dense(3, activation="softmax", name="answer")(x))


@functools.cache
def training_for(library_name: str, seed: int = 3) -> Training:
    rows = np.random.default_rng(2).normal(size=(32, *SHAPE)).astype("float32")
    return Training(
        inputs=[rows],
        labels=(np.arange(len(rows)) % 3).astype("int64"),
        teacher=[np.eye(3, dtype="float32")[np.arange(len(rows)) % 3]],
        task="classification",
        seed=seed,
        progress=lambda doing, share: None,
    )


def stirred(model: Any, training: Training, *, callbacks: Sequence[Any] = (), **_: Any) -> dict[str, Any]:
    """Eight steps that add noise to every weight, with the callbacks of a training."""
    chance = np.random.default_rng(training.seed)
    for callback in callbacks:
        callback.on_train_begin()
    for step in range(8):
        model.set_weights([w + chance.normal(0, 0.03, w.shape).astype(w.dtype) for w in model.get_weights()])
        for callback in callbacks:
            callback.on_train_batch_end(step)
    return {"training_curve": {"loss": [[1, 0.5]], "held_out": []}}


@pytest.fixture(autouse=True)
def _is_stirred(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "trained" not in request.fixturenames:
        monkeypatch.setattr("lwdash.training.fine_tuning.finetune", stirred)


@pytest.fixture
def trained() -> None:
    """For tests that fine-tune in earnest."""


@functools.cache
def treated(recipe: str, library_name: str = "tf_keras") -> Treated:
    """The model after all steps of a recipe, and the report of the last."""
    done = Treated(model_of(library_name))
    for step in parse_recipe(recipe).keras_steps:
        params = dataclasses.replace(step.params, batch_size=4, epochs=1)
        done = TECHNIQUES[step.name].apply(done.model, params, training_for(library_name))
    return done


@functools.cache
def file_after(recipe: str, library_name: str = "tf_keras") -> bytes:
    return float32.apply(treated(recipe, library_name).model, ["input"], [SHAPE])


def int8_after(recipe: str) -> bytes:
    packed: Packed = TECHNIQUES["int8"].apply(
        file_after(recipe), TECHNIQUES["int8"].Params(), {"input": training_for("tf_keras").inputs[0]}
    )
    return packed.data


def in_file(data: bytes) -> dict[str, np.ndarray]:
    """Each layer's kernel as the file has it: outputs first, inputs last; depthwise (1, height, width, channels)."""
    facts = read_tflite(data)
    found = {}
    for layer, operator in zip(KIND, (o for o in facts.operators if o.type in KIND.values()), strict=True):
        kernel = facts.stored(facts.tensor(operator, operator.inputs[1]))
        assert kernel is not None
        assert operator.type == KIND[layer]
        found[layer] = kernel.values()
    return found


def in_model(model: Any) -> dict[str, np.ndarray]:
    """The same from a live model: Dense (inputs, outputs), convolutions (height, width, inputs, outputs)."""
    kernels = {layer: model.get_layer(layer).get_weights()[0] for layer in KIND}
    axes = {"up": (2, 0, 1, 3), "depthwise": (3, 0, 1, 2)}
    return {
        layer: np.transpose(kernel, axes[layer] if layer in axes else (-1, *range(kernel.ndim - 1)))
        for layer, kernel in kernels.items()
    }


def zeros(values: np.ndarray) -> float:
    return float(np.mean(values == 0))


def channels(layer: str, kernel: np.ndarray) -> np.ndarray:
    """(channels, weights)."""
    return kernel.reshape(-1, kernel.shape[-1]).T if layer == "depthwise" else kernel.reshape(len(kernel), -1)


def digest(model: Any) -> str:
    return hashlib.sha256(b"".join(values.tobytes() for values in model.get_weights())).hexdigest()


# Pruning.

WAYS = [
    "scope=global",
    "criterion=random",
    "scope=global, criterion=random",
    "schedule=constant, depthwise=true",
    "scope=global, depthwise=true",
    "rounds=3",
    "schedule=constant, rounds=2, rewind=uploaded",
    "schedule=constant, rounds=2, rewind=early",
]


@pytest.mark.parametrize("library_name", LIBRARIES)
@pytest.mark.parametrize("way", WAYS)
def test_the_sparsity_is_reached(way: str, library_name: str) -> None:
    before = digest(model_of(library_name))
    report = treated(f"prune(sparsity=0.7, {way})", library_name)
    kernels = in_model(report.model)
    taken = tuple(KIND) if "depthwise=true" in way else PLAIN
    if "global" in way:
        together = np.concatenate([kernels[layer].ravel() for layer in taken])
        assert zeros(together) == pytest.approx(0.7, abs=1 / together.size)
        assert len({round(zeros(kernels[layer]), 3) for layer in taken}) > 1
    else:
        for layer in taken:
            assert zeros(kernels[layer]) == pytest.approx(0.7, abs=1 / kernels[layer].size), layer
    skipped = {s.layer: s.reason for s in report.skipped}
    if "depthwise=true" not in way:
        assert zeros(kernels["depthwise"]) == 0
        assert "depthwise=true" in skipped.pop("depthwise/" + DEPTHWISE[library_name])
    assert skipped == {}
    assert {path.partition("/")[0] for path in report.facts["sparsity"]} == set(taken)
    assert report.facts["done_by"] == "lwdash"
    assert digest(model_of(library_name)) == before


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("way", "done_by"),
    [
        ("method=magnitude", "TFMOT"),
        ("method=magnitude, scope=global", "lwdash"),
        ("method=magnitude, rounds=2", "lwdash"),
        ("method=obs", "lwdash"),
    ],
)
def test_the_sparsity_is_measured_epoch_by_epoch(way: str, done_by: str) -> None:
    [step] = parse_recipe(f"prune(sparsity=0.7, {way}, epochs=4, validate=false)").keras_steps
    params = dataclasses.replace(step.params, batch_size=4)
    report = TECHNIQUES["prune"].apply(model_of("tf_keras"), params, training_for("tf_keras"))
    assert report.facts["done_by"] == done_by
    curve = report.facts["training_curve"]
    epochs, shares = zip(*curve["sparsity"], strict=True)
    assert epochs == (0, 1, 2, 3, 4)
    if "rounds" in way:
        [first] = curve["earlier_rounds"]
        assert first["sparsity"][0] == [0, 0]
        assert shares[0] == pytest.approx(first["sparsity"][-1][1]) == pytest.approx(1 - 0.3**0.5, abs=0.01)
        assert len(first["loss"]) == len(curve["loss"]) == 4
        assert shares[-1] == pytest.approx(0.7, abs=0.01)
    elif "obs" in way:
        assert shares == pytest.approx([0.7] * 5, abs=0.01)
    else:
        assert shares[0] == 0
        assert list(shares) == sorted(shares)
        assert len(set(shares)) > 2
        assert shares[-1] == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_layers_in_wrappers_are_pruned_and_clustered_without_asking(library_name: str) -> None:
    """TFMOT prunes no Bidirectional and knows no TimeDistributed, which would leave most of such a model as it is."""
    library = importlib.import_module(library_name)
    library.utils.set_random_seed(1)
    inputs = library.Input((8, 8), name="input")
    x = library.layers.Bidirectional(library.layers.LSTM(5, return_sequences=True), name="both")(inputs)
    x = library.layers.TimeDistributed(library.layers.Dense(6), name="each")(x)
    x = library.layers.Dense(3, activation="softmax", name="answer")(library.layers.Flatten()(x))
    done = Treated(library.Model(inputs, x))
    training = dataclasses.replace(
        training_for(library_name), inputs=[training_for(library_name).inputs[0][..., 0]]
    )
    for step in parse_recipe("prune(sparsity=0.6) + cluster(clusters=4)").keras_steps:
        params = dataclasses.replace(step.params, batch_size=4, epochs=1)
        done = TECHNIQUES[step.name].apply(done.model, params, training)
        assert done.skipped == ()
    kernels = [w for w in done.model.get_weights() if w.ndim > 1]
    assert len(kernels) == 6
    for kernel in kernels:
        assert zeros(kernel) == pytest.approx(0.6, abs=1 / kernel.size)
        assert len(np.unique(kernel)) <= 4


def test_the_file_has_the_zeros_of_the_model() -> None:
    recipe = "prune(sparsity=0.7, scope=global, depthwise=true)"
    kernels = in_file(file_after(recipe))
    together = np.concatenate([kernel.ravel() for kernel in kernels.values()])
    assert zeros(together) == pytest.approx(0.7, abs=1 / together.size)
    for layer, kernel in in_model(treated(recipe).model).items():
        assert zeros(kernels[layer]) == zeros(kernel), layer
    assert zeros(kernels["depthwise"]) > 0.2


@pytest.mark.parametrize("library_name", LIBRARIES)
@pytest.mark.usefixtures("trained")
def test_a_training_keeps_the_zeros_and_the_shared_values(library_name: str) -> None:
    recipe = "prune(sparsity=0.6, scope=global, depthwise=true) + cluster(clusters=4, depthwise=true)"
    done = Treated(model_of(library_name))
    for step in parse_recipe(recipe).keras_steps:
        params = dataclasses.replace(step.params, batch_size=16, epochs=2)
        before = done.model
        done = TECHNIQUES[step.name].apply(before, params, training_for(library_name))
        assert done.facts["loss"] > 0
    kernels, pruned = in_model(done.model), in_model(before)
    for layer in KIND:
        assert (kernels[layer][pruned[layer] == 0] == 0).all()
        assert len(np.unique(kernels[layer])) <= 4, layer
    together = np.concatenate([kernel.ravel() for kernel in kernels.values()])
    assert zeros(together) >= 0.6 - 1 / together.size


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_two_of_four_neighbours_along_the_inputs_are_zero_in_the_file(library_name: str) -> None:
    recipe = "prune(sparsity=0.5, structure=2:4)"
    assert str(parse_recipe("prune(structure=2:4)")) == recipe
    kernels = in_file(file_after(recipe, library_name))
    for layer in ("second", "up", "hidden", "answer"):
        rows = kernels[layer].reshape(-1, kernels[layer].shape[-1])
        for start in range(0, rows.shape[1], 4):
            neighbours = rows[:, start : start + 4]
            assert ((neighbours != 0).sum(axis=1) == min(2, neighbours.shape[1])).all(), (layer, start)
    assert zeros(kernels["up"]) == 0.5
    skipped = {s.layer: s.reason for s in treated(recipe, library_name).skipped}
    assert "only 1 input channel," in skipped["first/kernel"]
    assert zeros(kernels["first"]) == zeros(kernels["depthwise"]) == 0


def test_two_of_four_outlives_int8() -> None:
    for layer in ("second", "up"):
        kernel = in_file(int8_after("prune(sparsity=0.5, structure=2:4)"))[layer]
        assert kernel.dtype == np.int8
        assert ((kernel[..., :4] != 0).sum(axis=-1) <= 2).all()


@pytest.mark.parametrize("pattern", ["4x1", "16x1", "1x4", "1x16", "4x4"])
def test_whole_blocks_of_inputs_by_outputs_are_zero(pattern: str) -> None:
    recipe = f"prune(sparsity=0.4, structure={pattern})"
    kernels = in_file(file_after(recipe)) if pattern == "4x4" else in_model(treated(recipe).model)
    inputs, outputs = map(int, pattern.split("x"))
    for layer in PLAIN:
        kernel = np.moveaxis(kernels[layer], 0, -2)
        kernel = kernel.reshape(-1, *kernel.shape[-2:])
        for o in range(0, kernel.shape[1], outputs):
            for i in range(0, kernel.shape[2], inputs):
                share = (kernel[:, o : o + outputs, i : i + inputs] == 0).mean(axis=(1, 2))
                assert np.isin(share, (0, 1)).all(), layer
        assert 0.4 - inputs * outputs / kernel.size < zeros(kernel) <= 0.4 + 1 / kernel.size, layer


@pytest.mark.parametrize(
    "way", ["scope=global, criterion=random, rounds=2", "structure=2:4, criterion=random"]
)
def test_the_same_seed_prunes_the_same(way: str) -> None:
    params = parse_recipe(f"prune(sparsity=0.5, {way})").steps[0].params
    params = dataclasses.replace(params, epochs=1, batch_size=4)
    first, again, other = (
        digest(TECHNIQUES["prune"].apply(model_of("tf_keras"), params, training_for("tf_keras", seed)).model)
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("rewind", ["no", "uploaded", "early"])
def test_rewinding_sets_what_is_left_to_early_values(rewind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a training that only adds one, it is seen what each round begins with."""
    begun = []

    def add_one(model: Any, *_: Any, callbacks: Sequence[Any] = (), **__: Any) -> dict[str, Any]:
        for callback in callbacks:
            callback.on_train_begin()
        begun.append(model.get_layer("hidden").get_weights()[0])
        model.set_weights([values + 1 for values in model.get_weights()])
        for callback in callbacks:
            callback.on_train_batch_end(0)
        return {"training_curve": {"loss": [[1, 0.5]], "held_out": []}}

    monkeypatch.setattr("lwdash.training.fine_tuning.finetune", add_one)
    recipe = f"prune(sparsity=0.75, schedule=constant, rounds=2, rewind={rewind})"
    params = parse_recipe(recipe).steps[0].params
    done = TECHNIQUES["prune"].apply(model_of("tf_keras"), params, training_for("tf_keras"))
    uploaded = model_of("tf_keras").get_layer("hidden").get_weights()[0]
    if rewind == "early":
        np.testing.assert_array_equal(begun.pop(0), uploaded)
    first, second = begun
    assert zeros(first) == pytest.approx(0.5, abs=0.01)
    assert zeros(second) == pytest.approx(0.75, abs=0.01)
    assert not (second[first == 0] != 0).any()
    left = second != 0
    expected = {"no": first + 1, "uploaded": uploaded, "early": uploaded + 1}[rewind]
    np.testing.assert_allclose(second[left], expected[left], atol=1e-6)
    assert done.facts["rounds"] == 2


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("prune(sparsity=0.8, structure=2:4)", "needs sparsity=0.5 and scope=layer, but got sparsity=0.8"),
        ("prune(structure=2:4, scope=global)", "but got sparsity=0.5 and scope=global"),
        (
            "prune(rewind=uploaded)",
            "rounds=2 and schedule=constant, but got rounds=1 and schedule=polynomial",
        ),
        ("prune(rewind=early, rounds=3)", "but got rounds=3 and schedule=polynomial"),
        ("prune(structure=2:5)", "structure must be one of none | 2:4 | .*Did you mean '2:4'"),
        ("prune + cluster(clusters=2)", "clusters must be at least 3 after prune"),
    ],
)
def test_what_excludes_one_another_is_said(recipe: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said.replace("|", r"\|")):
        parse_recipe(recipe)


def test_a_pattern_without_any_layer_for_it_is_refused() -> None:
    library = importlib.import_module("tf_keras")
    model = library.Sequential([library.Input((2,)), library.layers.Dense(3)])
    params = parse_recipe("prune(structure=2:4)").steps[0].params
    with pytest.raises(RecipeError, match=r"there is no layer to treat .*only 2 input channels"):
        TECHNIQUES["prune"].apply(model, params, training_for("tf_keras"))


def test_a_kernel_that_a_global_threshold_empties_is_reported() -> None:
    model = importlib.import_module("tf_keras").models.clone_model(model_of("tf_keras"))
    model.set_weights(model_of("tf_keras").get_weights())
    model.get_layer("hidden").set_weights([w * 1e-6 for w in model.get_layer("hidden").get_weights()])
    params = parse_recipe("prune(sparsity=0.6, scope=global, schedule=constant)").steps[0].params
    done = TECHNIQUES["prune"].apply(model, params, training_for("tf_keras"))
    assert done.facts["sparsity"]["hidden/kernel"] == 1
    assert {s.layer: s.reason for s in done.skipped}["hidden/kernel"].startswith("every weight is zero")


# Pruning without training.


@functools.cache
def pruned_at_once(settings: str, library_name: str = "tf_keras", seed: int = 3) -> Treated:
    params = parse_recipe(f"prune({settings}, method=obs)").steps[0].params
    return TECHNIQUES["prune"].apply(model_of(library_name), params, training_for(library_name, seed))


def output_error(model: Any, library_name: str) -> float:
    rows = training_for(library_name).inputs[0]
    return float(np.mean((np.asarray(model(rows)) - np.asarray(model_of(library_name)(rows))) ** 2))


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_the_sparsity_is_reached_at_once_without_labels(library_name: str) -> None:
    before = digest(model_of(library_name))
    params = parse_recipe("prune(sparsity=0.7, method=obs)").steps[0].params
    unlabelled = dataclasses.replace(training_for(library_name), labels=None)
    done = TECHNIQUES["prune"].apply(model_of(library_name), params, unlabelled)
    kernels = in_file(float32.apply(done.model, ["input"], [SHAPE]))
    for layer in PLAIN:
        assert zeros(kernels[layer]) == pytest.approx(0.7, abs=1 / kernels[layer].size), layer
        assert 0 < done.facts["output_change"][f"{layer}/kernel"] < 1, layer
    assert zeros(kernels["depthwise"]) == 0
    assert [s.layer for s in done.skipped] == ["depthwise/" + DEPTHWISE[library_name]]
    assert "epochs" not in done.facts
    assert done.facts["moment_rows"] == 32
    assert digest(model_of(library_name)) == before
    assert digest(done.model) == digest(pruned_at_once("sparsity=0.7", library_name).model)


@pytest.mark.parametrize("library_name", LIBRARIES)
@pytest.mark.parametrize(
    "settings", ["sparsity=0.5", "sparsity=0.5, structure=2:4", "sparsity=0.5, structure=4x1"]
)
def test_the_outputs_change_less_than_without_the_correction(settings: str, library_name: str) -> None:
    """Compared with the smallest weights set to zero, in the same layers and structure."""
    params = parse_recipe(f"prune({settings}, method=obs)").steps[0].params
    at_once = pruned_at_once(settings, library_name)
    smallest = clone_live(model_of(library_name))
    kernels = choose(
        smallest, (), lambda kernel: None if kernel.path in at_once.facts["sparsity"] else "left"
    )
    masks = Masks(kernels.chosen, scope="layer", criterion="magnitude", structure=params.structure, seed=0)
    masks.raise_to(0.5)
    assert output_error(at_once.model, library_name) < 0.8 * output_error(smallest, library_name)


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_depthwise_kernels_are_pruned_at_once_when_asked(library_name: str) -> None:
    done = pruned_at_once("sparsity=0.5, depthwise=true", library_name)
    assert done.skipped == ()
    for layer, kernel in in_model(done.model).items():
        assert zeros(kernel) == pytest.approx(0.5, abs=1 / kernel.size), layer


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_two_of_four_neighbours_are_zero_at_once(library_name: str) -> None:
    done = pruned_at_once("sparsity=0.5, structure=2:4", library_name)
    kernels = in_model(done.model)
    for layer in ("second", "up", "hidden", "answer"):
        rows = kernels[layer].reshape(-1, kernels[layer].shape[-1])
        for start in range(0, rows.shape[1], 4):
            neighbours = rows[:, start : start + 4]
            assert ((neighbours != 0).sum(axis=1) == min(2, neighbours.shape[1])).all(), (layer, start)
    assert "only 1 input channel," in {s.layer: s.reason for s in done.skipped}["first/kernel"]


@pytest.mark.parametrize("pattern", ["4x1", "1x4", "4x4"])
def test_whole_blocks_are_zero_at_once(pattern: str) -> None:
    kernels = in_model(pruned_at_once(f"sparsity=0.4, structure={pattern}").model)
    inputs, outputs = map(int, pattern.split("x"))
    for layer in PLAIN:
        kernel = np.moveaxis(kernels[layer], 0, -2)
        kernel = kernel.reshape(-1, *kernel.shape[-2:])
        for o in range(0, kernel.shape[1], outputs):
            for i in range(0, kernel.shape[2], inputs):
                share = (kernel[:, o : o + outputs, i : i + inputs] == 0).mean(axis=(1, 2))
                assert np.isin(share, (0, 1)).all(), layer
        assert 0.4 - inputs * outputs / kernel.size < zeros(kernel) <= 0.4 + 1 / kernel.size, layer


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_recurrent_and_wrapped_layers_are_pruned_at_once_or_reported(library_name: str) -> None:
    library = importlib.import_module(library_name)
    library.utils.set_random_seed(1)
    inputs = library.Input((8, 8), name="input")
    x = library.layers.Bidirectional(library.layers.LSTM(5, return_sequences=True), name="both")(inputs)
    x = library.layers.TimeDistributed(library.layers.Dense(6), name="each")(x)
    x = library.layers.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = library.layers.GRU(4, name="last")(x)
    model = library.Model(inputs, library.layers.Dense(3, name="answer")(x))
    training = dataclasses.replace(
        training_for(library_name), inputs=[training_for(library_name).inputs[0][..., 0]]
    )
    params = parse_recipe("prune(sparsity=0.5, method=obs)").steps[0].params
    done = TECHNIQUES["prune"].apply(model, params, training)
    skipped = {s.layer: s.reason for s in done.skipped}
    left = {path.partition("/")[0] for path in skipped}
    assert "attention" in left
    assert left <= {"attention", "each"}
    assert set(done.facts["sparsity"]).isdisjoint(skipped)
    for path, share in done.facts["sparsity"].items():
        assert share == pytest.approx(0.5, abs=0.02), path
    assert sum(path.startswith(("both/", "last/")) for path in done.facts["sparsity"]) == 6


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_batch_normalization_follows_what_pruning_at_once_makes_of_its_inputs(library_name: str) -> None:
    """Each channel keeps the mean and the variance that it had after the normalization."""
    library = importlib.import_module(library_name)
    library.utils.set_random_seed(1)
    inputs = library.Input(SHAPE, name="input")
    x = library.layers.Conv2D(6, 3, use_bias=False, name="first")(inputs)
    x = library.layers.BatchNormalization(name="norm")(x)
    outputs = library.layers.Dense(3, name="answer")(library.layers.Flatten()(x))
    model = library.Model(inputs, outputs)
    chance = np.random.default_rng(5)
    model.get_layer("norm").set_weights([chance.uniform(0.5, 1.5, 6).astype("float32") for _ in range(4)])
    training = dataclasses.replace(
        training_for(library_name), inputs=[training_for(library_name).inputs[0] + 1]
    )
    params = parse_recipe("prune(sparsity=0.7, method=obs)").steps[0].params
    done = TECHNIQUES["prune"].apply(model, params, training)
    before, after = (
        np.asarray(m.get_layer("norm")(m.get_layer("first")(training.inputs[0]))) for m in (model, done.model)
    )
    np.testing.assert_allclose(after.mean((0, 1, 2)), before.mean((0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(after.var((0, 1, 2)), before.var((0, 1, 2)), rtol=0.02)


def test_what_belongs_to_magnitude_is_refused_with_obs() -> None:
    for setting in ("scope=global", "criterion=random", "rounds=2", "schedule=constant", "teacher=0.5"):
        with pytest.raises(RecipeError, match=f"{setting}, which belongs to method=magnitude"):
            parse_recipe(f"prune(method=obs, {setting})")


def test_recipes_without_a_method_are_written_as_before() -> None:
    assert str(parse_recipe("prune(sparsity=0.8, epochs=3)")) == "prune(sparsity=0.8, epochs=3)"
    assert str(parse_recipe("prune(method=auto)")) == "prune(sparsity=0.5)"
    assert str(parse_recipe("prune(method=magnitude)")) == "prune(sparsity=0.5, method=magnitude)"
    assert str(parse_recipe("prune(method=obs)")) == "prune(sparsity=0.5, method=obs)"


# Clustering.


@pytest.mark.parametrize("init", ["linear", "density", "random", "kmeans++"])
def test_a_kernel_has_no_more_values_than_clusters(init: str) -> None:
    report = treated(f"cluster(clusters=6, init={init})", "keras")
    kernels = in_model(report.model)
    for layer in PLAIN:
        assert 2 <= len(np.unique(kernels[layer])) <= 6, layer
    assert len(np.unique(kernels["depthwise"])) > 6
    assert [s.layer for s in report.skipped] == ["depthwise/kernel"]
    assert "depthwise=true" in report.skipped[0].reason
    assert report.facts["distinct_values"] == {
        f"{layer}/kernel": len(np.unique(kernels[layer])) for layer in PLAIN
    }


@pytest.mark.parametrize("library_name", LIBRARIES)
def test_a_channel_has_no_more_values_than_clusters_in_the_file(library_name: str) -> None:
    recipe = "cluster(clusters=3, per_channel=true, depthwise=true)"
    before = digest(model_of(library_name))
    files = [file_after(recipe, library_name)]
    if library_name == "tf_keras":
        files.append(int8_after(recipe))
    for data in files:
        for layer, kernel in in_file(data).items():
            assert max(len(np.unique(channel)) for channel in channels(layer, kernel)) <= 3, layer
            assert len(np.unique(kernel)) > 3, layer
    assert treated(recipe, library_name).skipped == ()
    assert digest(model_of(library_name)) == before


def test_channels_with_few_weights_are_left_and_reported() -> None:
    done = treated("cluster(clusters=8, per_channel=true)")
    skipped = {s.layer: s.reason for s in done.skipped}
    assert skipped["second/kernel"] == "its channels have only 6 weights each"
    assert "depthwise=true" in skipped["depthwise/depthwise_kernel"]
    assert set(done.facts["distinct_values"]) == {"first/kernel", "up/kernel", "answer/kernel"}


@pytest.mark.parametrize(
    "way", ["depthwise=true", "per_channel=true, depthwise=true", "init=kmeans++, depthwise=true"]
)
def test_zeros_stay_zeros_when_values_are_shared(way: str) -> None:
    pruned = treated("prune(sparsity=0.5, depthwise=true)").model
    kernels = in_model(treated(f"prune(sparsity=0.5, depthwise=true) + cluster(clusters=4, {way})").model)
    for layer, before in in_model(pruned).items():
        assert (kernels[layer][before == 0] == 0).all(), layer
        parts = channels(layer, kernels[layer]) if "per_channel" in way else [kernels[layer]]
        assert max(len(np.unique(part)) for part in parts) <= 4, layer
        assert len(np.unique(kernels[layer])) > 2, layer


def test_the_same_seed_shares_the_same_values() -> None:
    params = parse_recipe("cluster(clusters=3, init=kmeans++, per_channel=true)").steps[0].params
    first, again, other = (
        digest(TECHNIQUES["cluster"].apply(model_of("keras"), params, training_for("keras", seed)).model)
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_only_kernels_are_reported_as_left_by_tfmot() -> None:
    """Attention's biases have two axes, as kernels have, and nobody expects them to be pruned."""
    import tf_keras

    from lwdash.training.pruning.tfmot_pruning import select_layers

    inputs = tf_keras.Input((8, 4))
    x = tf_keras.layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    x = tf_keras.layers.SeparableConv1D(5, 3, name="separable")(x)
    skipped = select_layers(tf_keras.Model(inputs, x), ()).skipped
    assert [(s.layer, s.reason.partition(",")[0]) for s in skipped] == [
        ("separable", "depthwise_kernel stays unchanged")
    ]
