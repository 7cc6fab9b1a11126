"""Facts of a model, read from its file alone: plain data, the same for every format and Keras version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lwdash.errors import ModelRefused
from lwdash.keras_models.output_heads import labelled_task

Shape = tuple[int | None, ...]
Port = tuple[str, Shape, str]
TFLITE_FORMAT = "tflite"
OTHER_FLOATS = frozenset({"float16", "bfloat16", "float64"})


@dataclass(frozen=True)
class TensorFacts:
    """An input or output of the model; `shape` is without the batch axis, None for a variable length."""

    name: str
    shape: Shape | None
    dtype: str


@dataclass(frozen=True)
class LayerFacts:
    """A layer, or an operation between layers (`class_name` then begins with "ops.").

    path: "outer/inner" inside a nested model, equal to `name` otherwise.
    output_shape: without the batch axis; None where the file does not state it and the layer's rule is not
    known.
    sources: paths of the layers whose outputs this layer takes, in order.
    """

    name: str
    class_name: str
    parameters: int
    output_shape: Shape | None
    path: str
    activation: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Support:
    """Support of a technique for a layer; `reason` explains why it is not supported, or what is special about it."""

    path: str
    treated: bool
    reason: str | None = None


@dataclass(frozen=True)
class InputScaling:
    """The scaling of one input by the model itself: scale·x + offset.

    layers: paths of the layers that do it; empty where the first layer with weights takes the values
    unchanged.
    scale, offset: one number for all values, or one per channel (last axis); a scale of 0 means unknown.
    is_learnt: True if scale and offset come from the training rows (Normalization, a first batch norm). Those
    rows then have mean 0 and deviation 1. is_told: False where the file does not state it, or values are
    indices.
    """

    input: str
    layers: tuple[str, ...] = ()
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    is_learnt: bool = False
    is_told: bool = True


@dataclass(frozen=True)
class CodeFacts:
    """The code file that the model was inspected with. network: why its code can reach a network; None: it cannot."""

    name: str
    sha256: str
    network: str | None = None


@dataclass(frozen=True)
class ModelFacts:
    """All facts of a model that the dashboard shows before any run.

    format: "keras", "h5", "savedmodel" or "tflite"; library: "keras" (Keras 3), "tf_keras" (Keras 2) or "none" (a
    SavedModel without Keras metadata, or a .tflite: no layers, and can only be quantized after training). A .tflite has
    "" as keras_version.
    parameters: count of the stored weights, trained or not; it is the sum over the layers.
    loss: as compiled, None when the model was saved without; task: "classification", "binary", "multi-label",
    "regression", "reconstruction", or None when neither loss nor activation determines it.
    support: per technique ("prune", "cluster", "qat") the layers it may treat, in model order.
    scaling: per input, None in facts that older versions stored.
    code: the user's code file, None for a model without custom code.
    """

    format: str
    keras_version: str
    library: str
    name: str
    class_name: str
    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    parameters: int
    layers: tuple[LayerFacts, ...]
    loss: str | None = None
    task: str | None = None
    output_activation: str | None = None
    support: dict[str, tuple[Support, ...]] = field(default_factory=dict)
    scaling: tuple[InputScaling, ...] | None = None
    code: CodeFacts | None = None

    @property
    def is_tflite(self) -> bool:
        """True for a model that was converted before it came here."""
        return self.format == TFLITE_FORMAT

    @property
    def is_quantized(self) -> bool:
        """True for a .tflite whose weights are integers or half floats already."""
        return self.is_tflite and self.class_name.startswith("quantized")

    @property
    def written_by(self) -> str:
        """The library that wrote the file, for users."""
        return f"Keras {self.keras_version}" if self.keras_version else "a converter to .tflite"

    @property
    def ports(self) -> tuple[list[Port], list[Port]]:
        """(name, shape, dtype) of the file's inputs and outputs. Raises ModelRefused where a shape is unknown."""
        return _ports(self.inputs, "input", self.layers), _ports(self.outputs, "output", self.layers)

    @property
    def labelled_task(self) -> str | None:
        """The first output's task for labelled data, see `heads.labelled_task`."""
        return labelled_task(
            self.loss, self.output_activation, self.outputs[0].shape if self.outputs else None
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dict; `ModelFacts.from_dict` restores an equal object, also after JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelFacts:
        """The inverse of `to_dict`; lists (from JSON) become tuples again; unknown keys are ignored."""
        return cls(
            **{
                **{one.name: data[one.name] for one in fields(cls) if one.name in data},
                "inputs": tuple(_tensor(entry) for entry in data["inputs"]),
                "outputs": tuple(_tensor(entry) for entry in data["outputs"]),
                "layers": tuple(_layer(entry) for entry in data["layers"]),
                "support": {
                    technique: tuple(Support(**entry) for entry in entries)
                    for technique, entries in data["support"].items()
                },
                "scaling": _scalings(data.get("scaling")),
                "code": CodeFacts(**data["code"]) if data.get("code") else None,
            }
        )


def _scalings(entries: list[dict[str, Any]] | None) -> tuple[InputScaling, ...] | None:
    if entries is None:
        return None
    return tuple(
        InputScaling(**{**entry, **{key: tuple(entry[key]) for key in ("layers", "scale", "offset")}})
        for entry in entries
    )


def _shape(value: Any) -> Shape | None:
    return None if value is None else tuple(value)


def _tensor(entry: dict[str, Any]) -> TensorFacts:
    return TensorFacts(**{**entry, "shape": _shape(entry["shape"])})


def _layer(entry: dict[str, Any]) -> LayerFacts:
    shape, sources = _shape(entry["output_shape"]), tuple(entry["sources"])
    return LayerFacts(**{**entry, "output_shape": shape, "sources": sources})


def _ports(tensors: tuple[TensorFacts, ...], kind: str, layers: tuple[LayerFacts, ...]) -> list[Port]:
    ports = []
    for tensor in tensors:
        if tensor.shape is None:
            raise ModelRefused(
                f"the file does not state the shape of the {kind} '{tensor.name}'"
                + (_unknown_after(layers) if kind == "output" else "")
                + ". Give the model an Input layer with a shape and save it again"
                + (", as .keras of Keras 3 if it has one" if kind == "output" else "")
            )
        # A .tflite takes float32 where the Keras model takes another float type.
        ports.append((tensor.name, tensor.shape, "float32" if tensor.dtype in OTHER_FLOATS else tensor.dtype))
    return ports


def _unknown_after(layers: tuple[LayerFacts, ...]) -> str:
    """The first layer with an unknown output shape but known input shapes, as a part of a sentence."""
    known = {layer.path for layer in layers if layer.output_shape is not None}
    for layer in layers:
        if layer.output_shape is None and layer.sources and known.issuperset(layer.sources):
            return f": it becomes unknown at the layer '{layer.path}' ({layer.class_name})"
    return ""
