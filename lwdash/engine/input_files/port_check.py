"""Inputs and outputs of a .tflite from somewhere else, held against those of an experiment's model."""

from collections.abc import Mapping, Sequence
from typing import Any

from lwdash.errors import DataRefused
from lwdash.keras_models.model_facts import ModelFacts

QUANTIZED = frozenset({"int8", "uint8", "int16"})
FLOATS = frozenset({"float32", "float16"})

Shape = tuple[int | None, ...]


def check_ports(file: Mapping[str, Any], model: ModelFacts) -> None:
    """Raises DataRefused, with both sides, where the file cannot be measured on the model's rows.

    file: facts of the .tflite, see `tflite.port_facts`. Shapes are without the batch axis; a length that one side leaves
    open fits any. Numbers may be float, or integers with a scale, whatever the model has; integers without a scale
    only where the model has integers as well.
    """
    inputs, outputs = model.ports
    for kind, ours, theirs in (("input", inputs, file["inputs"]), ("output", outputs, file["outputs"])):
        _check_count(kind, [(name, shape) for name, shape, _ in ours], theirs)
        for port in theirs:
            _check_batch(kind, port)
            fitting = [one for one in ours if _is_alike(one[1], port["shape"])]
            if not fitting:
                raise DataRefused(
                    f"{kind} '{port['name']}' of the .tflite has shape {_text(port['shape'])}, but the experiment's model "
                    f"has {', '.join(f'{name} {_text(shape)}' for name, shape, _ in ours)}. Add a file of the same network, "
                    "which takes the same rows"
                )
            _check_numbers(kind, port, {dtype for _, _, dtype in fitting})


def _check_count(kind: str, ours: Sequence[tuple[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> None:
    if len(ours) != len(theirs):
        names = ", ".join(port["name"] for port in theirs)
        raise DataRefused(
            f"the .tflite has {len(theirs)} {kind}s ({names}), but the experiment's model has {len(ours)} "
            f"({', '.join(name for name, _ in ours)})"
        )


def _check_batch(kind: str, port: Mapping[str, Any]) -> None:
    if port["batch"] is None:
        raise DataRefused(
            f"{kind} '{port['name']}' of the .tflite is a single number without an axis for rows"
        )


def _check_numbers(kind: str, port: Mapping[str, Any], dtypes: set[str]) -> None:
    """A quantized port is filled, or read, by its scale; other integers have no meaning as real numbers."""
    dtype = port["dtype"]
    if dtype in dtypes or dtype in FLOATS or (dtype in QUANTIZED and port["scale"]):
        return
    if dtype in QUANTIZED:
        raise DataRefused(
            f"{kind} '{port['name']}' of the .tflite is {dtype} without a scale, so it is not known which real numbers its "
            "integers are. Convert the model again with quantization parameters"
        )
    advice = (
        "Give the file that ends in probabilities or logits, without an operator that picks the class"
        if kind == "output"
        else "Give a file that takes the same numbers"
    )
    raise DataRefused(
        f"{kind} '{port['name']}' of the .tflite is {dtype}, but the experiment's model has "
        f"{', '.join(sorted(dtypes))}. {advice}"
    )


def _is_alike(ours: Shape, theirs: Sequence[int | None]) -> bool:
    return len(ours) == len(theirs) and all(
        a is None or b is None or a == b for a, b in zip(ours, theirs, strict=True)
    )


def _text(shape: Sequence[int | None]) -> str:
    inner = ", ".join("any" if n is None else str(n) for n in shape)
    return f"({inner}{',' if len(shape) == 1 else ''})"
