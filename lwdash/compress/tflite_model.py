"""A .tflite as the model of an experiment: its facts, and the file as the baseline of all runs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lwdash.errors import ResultRejected
from lwdash.keras_models.model_facts import TFLITE_FORMAT, ModelFacts, TensorFacts
from lwdash.measure.runner import Runner
from lwdash.tflite.graph_scan import scan_tflite
from lwdash.tflite.layout_scan import TfliteRefused
from lwdash.tflite.reader import Port, TfliteFacts, is_tflite
from lwdash.tflite.rewrites.single_row import RowsNotAlone, with_single_row
from lwdash.tflite.tensor import is_float, is_integer
from lwdash.tflite.trained_parameters import find_owners

FLOAT, QUANTIZED = "float .tflite", "quantized .tflite"
"""Class names of such models."""
ACTIVATIONS = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}
MAX_FIXED_ROWS = 4096
CONVERSIONS = ("DEQUANTIZE", "QUANTIZE", "RESHAPE")
"""Operators behind an activation that keep its meaning."""


def is_tflite_file(path: Path) -> bool:
    """True for a file that begins like a .tflite."""
    with path.open("rb") as file:
        return is_tflite(file.read(8))


def tflite_model_facts(path: Path, name: str) -> ModelFacts:
    """The facts of a .tflite as a model without layers that could be trained. Raises TfliteRefused.

    Quantized inputs and outputs count as float32: rows are converted by the file's scale. A file for a fixed number of
    rows is refused if it cannot be rewritten for one.
    """
    data = path.read_bytes()
    facts = scan_tflite(data)
    if (fixed := _fixed_rows(facts)) is not None:
        facts = scan_tflite(_single_row(data, fixed))
    inputs = tuple(_tensor(facts, port) for port in facts.inputs)
    outputs = tuple(_tensor(facts, port) for port in facts.outputs)
    return ModelFacts(
        format=TFLITE_FORMAT,
        keras_version="",
        library="none",
        name=Path(name).stem[:100] or "model",
        class_name=QUANTIZED if is_quantized(facts) else FLOAT,
        inputs=inputs,
        outputs=outputs,
        parameters=_parameters(facts),
        layers=(),
        output_activation=_activation(facts),
    )


def baseline_file(path: Path, rows: Mapping[str, np.ndarray]) -> bytes:
    """The content of a .tflite, for one row at a time, after one inference. rows: input name → (rows, *shape).

    Raises TfliteRefused, ConversionFailed where LiteRT refuses it, ResultRejected where an output is not finite.
    """
    data = path.read_bytes()
    facts = scan_tflite(data)
    if (fixed := _fixed_rows(facts)) is not None:
        data = _single_row(data, fixed)
        facts = scan_tflite(data)
    outputs = Runner(data, facts=facts).run(rows)
    if not outputs:
        raise ResultRejected("the .tflite gives no output")
    return data


def _fixed_rows(facts: TfliteFacts) -> int | None:
    """The number of rows, above 1, that every input takes at once; None for other files."""
    signatures = [facts.subgraphs[0].tensors[port.tensor].shape_signature for port in facts.inputs]
    lengths = {signature[0] if signature else 0 for signature in signatures}
    rows = lengths.pop() if len(lengths) == 1 else 0
    return rows if 1 < rows <= MAX_FIXED_ROWS else None


def _single_row(data: bytes, rows: int) -> bytes:
    try:
        return with_single_row(data, rows)
    except RowsNotAlone as fault:
        raise TfliteRefused(
            f"the .tflite takes {rows} rows at once and cannot be rewritten for one: {fault}. Convert the model again with "
            "a batch of 1"
        ) from fault


def is_quantized(facts: TfliteFacts) -> bool:
    """True if weights or activations are stored as integers with a scale, or as float16."""
    return any(
        (is_integer(tensor.dtype) and tensor.quantization is not None)
        or tensor.dtype in ("float16", "bfloat16")
        for graph in facts.subgraphs
        for tensor in graph.tensors
    )


def _tensor(facts: TfliteFacts, port: Port) -> TensorFacts:
    tensor = facts.subgraphs[0].tensors[port.tensor]
    signature = tensor.shape_signature
    if not signature or signature[0] not in (1, -1):
        raise TfliteRefused(
            f"'{port.name}' of the .tflite has shape {signature}, a fixed batch or no axis for rows. Convert the model "
            "again with a batch of 1"
        )
    is_real = is_float(tensor.dtype) or (is_integer(tensor.dtype) and tensor.quantization is not None)
    shape = tuple(None if length < 0 else length for length in signature[1:])
    return TensorFacts(port.name, shape, "float32" if is_real else tensor.dtype)


def _parameters(facts: TfliteFacts) -> int:
    owners = find_owners(facts)
    tensors = {
        (parameter.tensor.subgraph, parameter.tensor.index): parameter.tensor.elements
        for parameters in owners.parameters.values()
        for parameter in parameters
        if parameter.is_trained
    }
    return sum(tensors.values())


def _activation(facts: TfliteFacts) -> str | None:
    """`softmax` or `sigmoid` where that is the last operator before the first output."""
    tensor = facts.subgraphs[0].tensors[facts.outputs[0].tensor]
    producer = facts.producer(tensor)
    while producer is not None and producer.type in CONVERSIONS:
        source = facts.tensor(producer, producer.inputs[0])
        producer = None if source is None else facts.producer(source)
    return None if producer is None else ACTIVATIONS.get(producer.type)
