"""The float export that every other file is compared with: Keras model → .tflite, batch size 1, clean names."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from lwdash.errors import ConversionFailed
from lwdash.export.fused_names import name_fused_layers
from lwdash.export.kernel_names import name_kernels
from lwdash.export.lite_forms import in_lite_forms
from lwdash.export.traced_function import traced_function
from lwdash.failure_causes import explain_failure
from lwdash.keras_models.ports import is_network, library_of
from lwdash.keras_models.saved_model.function import SavedFunction
from lwdash.tflite.flatbuffer import read_model, text, write_model
from lwdash.tflite.rewrites.bounded_exponents import bound_unselected_exponents
from lwdash.tflite.rewrites.cell_clips import remove_cell_clips
from lwdash.tflite.rewrites.copied_constants import fit_copied_constants
from lwdash.tflite.rewrites.equal_splits import write_equal_splits
from lwdash.tflite.rewrites.masks import write_masks_as_selections
from lwdash.tflite.rewrites.products import write_as_products
from lwdash.tflite.rewrites.reversals import write_reversals_as_gathers
from lwdash.tflite.rewrites.sequence_updates import write_updates_in_place
from lwdash.tflite.rewrites.softplus import write_softplus_in_range

MARK = "."
"""Suffix of each layer's name during conversion, so that layer names can be found in the tensor names afterwards."""


CONVERTER_NOTES = "CONVERSION_METADATA"
"""The converter's own version and options. No interpreter reads them, and they enlarge a small model."""


def float_file(
    model: Any,
    input_names: Sequence[str],
    input_shapes: Sequence[Sequence[int]],
    *,
    through_saved_model: bool = False,
) -> bytes:
    """The .tflite of a live Keras model of either library, or of a SavedModel's function.

    input_names, input_shapes: in the model's order; shapes without the batch axis, every axis known.
    through_saved_model: convert as in TensorFlow's documentation, ten times slower. It is for models whose
    traced function cannot be converted or differs from the model.
    Tensors are named `layer/operation`, inputs by `input_names`. Raises ConversionFailed.
    """
    with converter_for(model, input_shapes, through_saved_model=through_saved_model) as converter:
        data = converter.convert()
    return clean_names(data, input_names, model)


@contextmanager
def converter_for(
    model: Any, input_shapes: Sequence[Sequence[int]], *, through_saved_model: bool = False
) -> Iterator[Any]:
    """Context with a `tf.lite.TFLiteConverter` of a live model at batch size 1; configure and run it inside.

    Its inputs are named `traced.ARGUMENT` and their position, unless it goes through a SavedModel. Exceptions
    of TensorFlow inside become ConversionFailed.
    """
    import tensorflow as tf

    captured = StringIO()
    library = library_of(model).__name__
    with marked_layers(model), in_lite_forms(library), redirect_stdout(captured), redirect_stderr(captured):
        try:
            if isinstance(model, SavedFunction):
                function, trackable = model.concrete(input_shapes), model.loaded
                yield tf.lite.TFLiteConverter.from_concrete_functions([function], trackable)
            elif through_saved_model:
                fixed = with_batch_of_one(library_of(model), model, input_shapes)
                yield tf.lite.TFLiteConverter.from_keras_model(fixed)
            else:
                function, trackable = traced_function(model, input_shapes)
                yield tf.lite.TFLiteConverter.from_concrete_functions([function], trackable)
        except ConversionFailed:
            raise
        except Exception as error:  # the converter raises any exception of its passes
            raise ConversionFailed(explain_failure(str(error))) from error


def with_batch_of_one(library: Any, model: Any, shapes: Sequence[Sequence[int]]) -> Any:
    """The same layers on inputs of batch size 1; `shapes` are without the batch axis, in the model's order."""
    inputs = [
        library.Input(batch_shape=(1, *shape), dtype=tensor.dtype)
        if library.__name__ == "keras"
        else library.Input(shape=tuple(shape), batch_size=1, dtype=tensor.dtype)
        for tensor, shape in zip(model.inputs, shapes, strict=True)
    ]
    return library.Model(inputs, model(inputs if len(inputs) > 1 else inputs[0], training=False))


@contextmanager
def marked_layers(model: Any) -> Iterator[None]:
    """Context in which each layer's name ends in MARK, including nested models' layers and each part of a path."""
    if isinstance(model, SavedFunction):
        yield
        return
    layers = list(dict.fromkeys(_all_layers(model)))
    names = [layer.name for layer in layers]
    attribute = "_name" if library_of(model).__name__ == "tf_keras" else "name"
    try:
        for layer, name in zip(layers, names, strict=True):
            setattr(layer, attribute, name.replace("/", f"{MARK}/") + MARK)
        yield
    finally:
        for layer, name in zip(layers, names, strict=True):
            setattr(layer, attribute, name)


def _all_layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield layer
        if is_network(layer):
            yield from _all_layers(layer)


def clean_names(data: bytes, input_names: Sequence[str], live: Any = None) -> bytes:
    """The same .tflite with short unique tensor names `layer/operation`, and inputs named as in the model.

    The signature's inputs too: Keras numbers them per process, so equal models would give unequal files.
    live: the Keras model it was exported from; fused recurrent layers get its layer names; None leaves them
    unnamed.
    Fused names of the converter (`m/a/Relu;m/a/BiasAdd;…`) can be a fifth of a small file. Operators that
    quantizers do not support are replaced by operators that they do, if the result has the same bits. The converter's bound
    of an LSTM's state is removed.
    """
    model = read_model(data)
    if live is not None and not isinstance(live, SavedFunction):
        name_fused_layers(model, live, MARK)
        name_kernels(model, live, MARK)
    remove_cell_clips(model)
    write_equal_splits(model)
    write_updates_in_place(model)
    write_as_products(model)
    write_masks_as_selections(model)
    bound_unselected_exponents(model)
    write_softplus_in_range(model)
    write_reversals_as_gathers(model)
    fit_copied_constants(model)
    model.metadata = [entry for entry in model.metadata or () if text(entry.name) != CONVERTER_NOTES]
    all_names: list[str] = []
    for number, graph in enumerate(model.subgraphs):
        names = [_short_name(text(tensor.name)) for tensor in graph.tensors]
        if number == 0:
            inputs = named_inputs(model, graph, input_names)
            for index, name in inputs.items():
                names[index] = name
            for entry in (e for signature in model.signatureDefs or () for e in signature.inputs):
                entry.name = inputs[entry.tensorIndex].encode()
            for position, index in enumerate(graph.outputs):
                if index not in graph.inputs:
                    names[index] = _output_name(graph, names, index, position)
        all_names += names
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    for tensor, name in zip(tensors, _unique(all_names), strict=True):
        tensor.name = name.encode()
    return write_model(model)


def with_output_order(data: bytes, order: Sequence[int]) -> bytes:
    """The same .tflite with its outputs in another order: `order[i]` is now at i."""
    if list(order) == sorted(order):
        return data
    model = read_model(data)
    graph = model.subgraphs[0]
    graph.outputs = [graph.outputs[i] for i in order]
    return write_model(model)


def named_inputs(model: Any, graph: Any, input_names: Sequence[str]) -> dict[int, str]:
    """Tensor index → model input name: by the signature where it names them, otherwise by order."""
    by_signature = {
        text(entry.name): entry.tensorIndex
        for signature in model.signatureDefs or ()
        for entry in signature.inputs
    }
    if set(by_signature) == set(input_names):
        return {index: name for name, index in by_signature.items()}
    ordered = sorted(by_signature, key=_trailing_number) if len(by_signature) == len(input_names) else []
    indices = [by_signature[key] for key in ordered] or list(graph.inputs)
    return dict(zip(indices, input_names, strict=True))


def _trailing_number(key: str) -> tuple[int, str]:
    match = re.search(r"(\d+)$", key)
    return (int(match.group(1)) if match else -1, key)


def _output_name(graph: Any, names: list[str], index: int, position: int) -> str:
    """An output's tensor is named after the call that computed it; the weights of its operator identify the layer."""
    if "/" in names[index]:
        return names[index]
    maker = next((op for op in graph.operators if index in op.outputs), None)
    for source in (
        reversed(maker.inputs) if maker is not None else ()
    ):  # weights come after their input tensors
        if source >= 0 and "/" in names[source]:
            return f"{names[source].rpartition('/')[0]}/output"
    return f"output_{position}"


def _short_name(name: str) -> str:
    """`model_1/model/conv1d./Relu;model_1/model/conv1d./BiasAdd` → `conv1d/Relu`."""
    for part in name.split(";"):
        layers, last = [], 0
        pieces = part.split("/")
        for i, piece in enumerate(pieces):
            match = re.fullmatch(rf"(.+?){re.escape(MARK)}(_\d+)?", piece)
            if match:
                layers.append(match.group(1))
                last = i
        if layers:
            operation = pieces[last + 1 : last + 2] if last + 1 < len(pieces) else ["output"]
            return "/".join(layers + operation)
    return name.split(";")[0].rpartition("/")[2].removesuffix(":0")


def _unique(names: Sequence[str]) -> list[str]:
    used = set(names)
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        candidate = name
        while seen[candidate] and (candidate in used or seen[candidate]):
            seen[name] += 1
            candidate = f"{name}_{seen[name] - 1}"
        seen[candidate] += 1
        unique.append(candidate)
    return unique
