"""Storage forms over the zoo and all number formats: the same outputs, never more bytes, files that lwdash reads."""

# ruff: noqa: F811 - pytest takes a fixture by the name of a parameter, here the imported `zoo`

import functools
import gzip
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Sample, call_lwdash
from support.zeroed import with_zeros
from support.zoo import Zoo, random_inputs, zoo  # noqa: F401

from lwdash.compress.storage_stage import store
from lwdash.errors import ResultRejected
from lwdash.measure.byte_ledger import byte_ledger
from lwdash.measure.layers import layer_table
from lwdash.measure.runner import Runner
from lwdash.measure.size import tensor_statistics
from lwdash.packing.coded_file import decode
from lwdash.recipe import parse_recipe
from lwdash.targets.micro import run_on_micro
from lwdash.techniques import TECHNIQUES, coded, float32, lut, needs_rows, sparse
from lwdash.tflite.flatbuffer import read_model, write_model
from lwdash.tflite.reader import TfliteFacts, read_tflite

pytestmark = pytest.mark.tensorflow

MODELS = (
    "sequential_cnn", "residual", "depthwise_separable", "heartbeat", "autoencoder", "lstm", "gru", "bidirectional",
    "time_distributed", "embedding", "two_inputs_two_outputs", "shared_layers", "attention", "volume", "rarer_layers",
)  # fmt: skip
FORMATS = (
    "float32",
    "float16",
    "int8",
    "int16x8",
    "weight_only",
    "weight_only(bits=4)",
    "dynamic",
    "mixed(default=int8)",
)

Rows = Mapping[str, np.ndarray]


def float_file(zoo: Zoo, name: str) -> tuple[bytes, dict[str, np.ndarray]]:
    """A model of the zoo as float .tflite, and rows for it."""
    model = zoo.model("tf_keras", name)
    arrays = random_inputs(model, rows=8)
    names = [tensor.name for tensor in model.inputs]
    data = float32.apply(model, names, [array.shape[1:] for array in arrays])
    ports = [port.name for port in read_tflite(data).inputs]
    by_shape = {port: names.index(port) if port in names else number for number, port in enumerate(ports)}
    return data, {port: arrays[number] for port, number in by_shape.items()}


def in_format(data: bytes, text: str, rows: Rows) -> bytes:
    step = parse_recipe(text).tflite_step
    if step is None:
        return data
    some = rows if needs_rows(step.name, step.params) else None
    return TECHNIQUES[step.name].apply(data, step.params, some).data


def outputs(data: bytes, rows: Rows) -> list[np.ndarray]:
    return list(Runner(data).run(rows).values())


def nonzero(facts: TfliteFacts) -> int:
    tensors = [t for g in facts.subgraphs for t in g.tensors if t.is_constant]
    weights = [t for t in tensors if t.dtype in ("float32", "float16", "int8")]
    return sum(int(np.count_nonzero(t.values())) for t in weights)


@pytest.mark.parametrize("name", MODELS)
def test_every_format_stores_sparse_with_the_same_outputs(name: str, zoo: Zoo) -> None:
    data, rows = float_file(zoo, name)
    smaller = []
    for text in FORMATS:
        for zeros, block in ((0.9, 1), (0.8, 4)):
            try:
                dense = in_format(with_zeros(data, zeros, block), text, rows)
            except Exception as error:  # a format that this model does not have is another test's subject
                pytest.fail(f"{text}: {error}")
            stored = store(sparse, sparse.Params(), dense, rows)
            facts = read_tflite(stored.data)
            assert len(stored.data) <= len(dense), text
            for before, after in zip(outputs(dense, rows), outputs(stored.data, rows), strict=True):
                np.testing.assert_array_equal(before, after, err_msg=text)
            assert nonzero(facts) == nonzero(read_tflite(dense)), text
            assert sum(byte_ledger(facts).by_category.values()) == len(stored.data)
            table = layer_table(facts)
            assert sum(row["bytes"] for row in table.rows) + table.totals()["overhead_bytes"] == len(
                stored.data
            )
            assert table.totals()["sparsity"] == layer_table(read_tflite(dense)).totals()["sparsity"]
            smaller.append(len(stored.data) < len(dense))
    assert any(smaller) or all(values.nbytes < 4096 for values in zoo.model("tf_keras", name).get_weights())


@functools.cache
def dense_network(size: int = 16) -> tuple[bytes, dict[str, np.ndarray]]:
    """A dense layer, a convolution and a bias: what the paths of the writer differ in."""
    import tf_keras

    tf_keras.utils.set_random_seed(2)
    layers = tf_keras.layers
    inputs = tf_keras.Input((size, size, 3), name="input")
    hidden = layers.Conv2D(32, 3, activation="relu", name="conv")(inputs)
    hidden = layers.Flatten(name="flatten")(hidden)
    hidden = layers.Dense(64, activation="relu", name="hidden", bias_initializer="ones")(hidden)
    model = tf_keras.Model(inputs, layers.Dense(10, activation="softmax", name="answer")(hidden))
    rows = {"input": np.random.default_rng(1).normal(size=(32, size, size, 3)).astype("float32")}
    return float32.apply(model, ["input"], [(size, size, 3)]), rows


@pytest.mark.parametrize(
    ("text", "share"), [("float32", 0.30), ("float16", 0.37), ("int8", 0.50), ("weight_only", 0.50)]
)
def test_a_pruned_file_takes_the_bytes_of_its_weights_that_are_left(text: str, share: float) -> None:
    data, rows = dense_network()
    dense = in_format(with_zeros(data, 0.8), text, rows)
    stored = store(sparse, sparse.Params(), dense, rows)
    assert len(stored.data) < share * len(dense)
    assert stored.skipped == ()
    assert stored.facts["saved_bytes"] == len(dense) - len(stored.data)
    assert stored.facts["sparse_tensors"] >= 2
    assert stored.facts["checked_rows"] == 32


def test_blocks_are_used_where_pruning_made_them() -> None:
    data, rows = dense_network()
    one, four = (in_format(with_zeros(data, 0.8, block), "int8", rows) for block in (1, 4))
    single, blocks = (store(sparse, sparse.Params(), dense, rows) for dense in (one, four))
    assert blocks.facts["blocks"]
    assert len(blocks.data) < 0.75 * len(single.data)


def test_weights_of_hybrid_operators_stay_dense_and_are_listed() -> None:
    data, rows = dense_network()
    dense = in_format(with_zeros(data, 0.9), "dynamic", rows)
    stored = store(sparse, sparse.Params(), dense, rows)
    assert any("quantizes its inputs at run time" in skipped.reason for skipped in stored.skipped)


def test_a_network_without_zeros_is_left_as_it_is() -> None:
    data, rows = dense_network()
    stored = store(sparse, sparse.Params(), data, rows)
    assert stored.data == data
    assert [skipped.layer for skipped in stored.skipped] == ["all layers"]


def test_statistics_of_a_sparse_tensor_are_those_of_the_dense_one() -> None:
    data, rows = dense_network()
    dense = with_zeros(data, 0.8)
    stored = store(sparse, sparse.Params(), dense, rows).data

    def kernel(file: bytes) -> Any:
        return max(
            (t for t in read_tflite(file).subgraphs[0].tensors if t.is_constant), key=lambda t: t.elements
        )

    before, after = (tensor_statistics(kernel(file)) for file in (dense, stored))
    assert (before.values, before.zeros, before.distinct) == (after.values, after.zeros, after.distinct)
    assert after.stored_bytes < before.stored_bytes
    np.testing.assert_array_equal(kernel(stored).real(), kernel(dense).real())


def test_a_storage_form_that_changes_outputs_is_refused() -> None:
    data, rows = dense_network()

    class Wrong:
        NAME, RUNTIME = "wrong", "litert"

        @staticmethod
        def apply(source: bytes, params: Any, accepts: Any) -> Any:
            return sparse.apply(with_zeros(source, 0.5), params, lambda data: None)

    with pytest.raises(ResultRejected, match="differs by up to"):
        store(Wrong, None, data, rows)  # type: ignore[arg-type]


# Look-up tables, for TensorFlow Lite Micro.


def clustered(data: bytes, values: int) -> bytes:
    """A float .tflite whose kernels have that many different weights."""
    from ai_edge_litert import schema_py_generated as schema

    model = read_model(data)
    for tensor in model.subgraphs[0].tensors:
        stored = model.buffers[tensor.buffer].data
        if tensor.type == schema.TensorType.FLOAT32 and stored is not None and len(tensor.shape) > 1:
            weights = np.frombuffer(np.asarray(stored, np.uint8).tobytes(), np.float32)
            levels = np.linspace(weights.min(), weights.max(), values, dtype=np.float32)
            nearest = levels[np.abs(weights[:, None] - levels).argmin(axis=1)]
            model.buffers[tensor.buffer].data = nearest.view(np.uint8)
    return write_model(model)


@pytest.mark.parametrize("text", ["int8", "int8(per_channel=false)", "int16x8"])
@pytest.mark.parametrize(("values", "bits"), [(16, 4), (4, 2)])
def test_clustered_kernels_become_short_indices_with_the_same_outputs_in_micro(
    text: str, values: int, bits: int
) -> None:
    data, rows = dense_network()
    some = {"input": rows["input"][:6]}
    dense = in_format(clustered(data, values), text, rows)
    stored = store(lut, lut.Params(), dense, some)
    share = (bits + 0.6 if "per_channel=false" in text else bits + 1.5) / 8
    assert len(stored.data) < share * len(dense)
    assert set(stored.facts["index_bits"]) == {str(bits)}
    assert stored.facts["saved_bytes"] == len(dense) - len(stored.data)
    before, after = run_on_micro(dense, some), run_on_micro(stored.data, some)
    assert before.refusal is after.refusal is None
    np.testing.assert_array_equal(*(next(iter(run.outputs.values())) for run in (before, after)))
    assert after.arena is not None
    assert stored.facts["micro_arena_bytes"] == after.arena.total_bytes
    assert stored.facts["micro_arena_bytes"] > stored.facts["micro_arena_bytes_before"], (
        "kernels are unpacked into RAM"
    )


def test_kernels_without_clusters_stay_as_they_are() -> None:
    data, rows = dense_network()
    dense = in_format(data, "int8(per_channel=false)", rows)
    stored = store(lut, lut.Params(), dense, {"input": rows["input"][:2]})
    assert stored.data == dense
    assert any("more than 128 different values" in skipped.reason for skipped in stored.skipped)


@pytest.mark.parametrize("text", ["dynamic", "float16"])
def test_a_file_that_micro_refuses_gets_no_tables(text: str) -> None:
    data, rows = dense_network()
    with pytest.raises(
        ResultRejected, match="TensorFlow Lite Micro does not run the file before its storage form"
    ):
        store(lut, lut.Params(), in_format(data, text, rows), {"input": rows["input"][:2]})


def test_a_file_with_an_operator_that_micro_lacks_is_refused_with_the_operator() -> None:
    import keras

    inputs = keras.Input((4, 4, 2), name="x")
    tiled = keras.ops.tile(keras.layers.Conv2D(3, 1)(inputs), (1, 2, 1, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(tiled))
    rows = {"x": np.random.default_rng(0).normal(size=(6, 4, 4, 2)).astype(np.float32)}
    data = in_format(TECHNIQUES["float32"].apply(model, ["x"], [(4, 4, 2)]), "int8", rows)
    with pytest.raises(ResultRejected, match=r"no kernel for TILE\. What to do: .*, or leave lut out"):
        store(lut, lut.Params(), data, rows)


# Coded files: a storage form that is decoded before use.


@pytest.mark.parametrize("text", ["float32", "float16", "int8", "int16x8", "weight_only(bits=4)", "dynamic"])
def test_a_coded_file_of_any_format_is_checked_by_decoding(text: str) -> None:
    data, rows = dense_network(6)
    dense = in_format(clustered(with_zeros(data, 0.8), 9), text, rows)
    stored = store(coded, coded.Params(), dense, rows)
    assert decode(stored.data) == dense
    assert len(stored.data) < 0.9 * len(gzip.compress(dense, 9))


def test_a_coded_file_that_does_not_give_its_source_is_refused() -> None:
    data, rows = dense_network(6)

    class Wrong:
        NAME, RUNTIME = "wrong", None

        @staticmethod
        def apply(source: bytes, params: Any, accepts: Any) -> Any:
            return coded.apply(with_zeros(source, 0.9), params, accepts)

    with pytest.raises(ResultRejected, match="the decoded file is another one"):
        store(Wrong, None, data, rows)  # type: ignore[arg-type]


def test_runs_keep_their_storage_form_and_the_command_line_writes_it(tmp_path: Path, sample: Sample) -> None:
    recipes = ("int8(per_channel=false) + lut", "int8 + coded", "int8 + sparse")
    options = [part for recipe in recipes for part in ("--recipe", recipe)]
    called = call_lwdash(tmp_path, "run", sample.model, "--data", sample.data, "--json", *options)
    assert called.code == 0, called.err
    runs = {run["recipe"]: run for run in called.json["runs"]}
    assert set(recipes) == set(runs)

    lut_run, coded_run, sparse_run = (runs[recipe] for recipe in recipes)
    assert coded_run["stored_bytes"] < coded_run["gzip_bytes"] < coded_run["size_bytes"]
    assert lut_run["stored_bytes"] <= lut_run["size_bytes"]
    assert sparse_run["stored_bytes"] == sparse_run["size_bytes"]

    tflite, stored, zipped = (tmp_path / name for name in ("plain.tflite", "tables.tflite", "coded.zip"))
    for run, out, more in (
        (coded_run, tflite, ()),
        (lut_run, stored, ("--stored",)),
        (coded_run, zipped, ("--stored",)),
    ):
        assert call_lwdash(tmp_path, "export", str(run["id"]), "--out", out, *more).code == 0
    assert stored.stat().st_size == lut_run["stored_bytes"]
    with zipfile.ZipFile(zipped) as archive:
        assert set(archive.namelist()) == {"coded.tflite.coded", "decoder.c", "decoder.py", "README.txt"}
        data = archive.read("coded.tflite.coded")
    assert len(data) == coded_run["stored_bytes"]
    assert decode(data) == tflite.read_bytes()
    refused = call_lwdash(tmp_path, "export", str(sparse_run["id"]), "--out", tflite, "--stored")
    assert (refused.code, "no file in another storage form" in refused.err) == (2, True)
