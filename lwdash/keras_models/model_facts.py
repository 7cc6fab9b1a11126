"""Facts of a model, read from its file alone: plain data, the same for every format and Keras version."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lwdash.errors import ModelRefused
from lwdash.keras_models.output_heads import labelled_task

Shape = tuple[int | None, ...]
Port = tuple[str, Shape, str]
OTHER_FLOATS = frozenset({"float16", "bfloat16", "float64"})


@dataclass(frozen=True)
class TensorFacts:
    """An input or output of the model; `shape` is without the batch axis, None where the length varies."""

    name: str
    shape: Shape | None
    dtype: str


@dataclass(frozen=True)
class LayerFacts:
    """A layer, or an operation between layers (`class_name` then begins with "ops.").

    path: "outer/inner" inside a nested model, equal to `name` otherwise.
    output_shape: without the batch axis; None where the file does not tell and the layer's rule is not known.
    sources: paths of the layers whose outputs this one takes, in order.
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
    """Whether a technique treats a layer; `reason` says why not, or what is special about how."""

    path: str
    treated: bool
    reason: str | None = None


@dataclass(frozen=True)
class InputScaling:
    """What the model itself makes of the values of one input: scale·x + offset.

    layers: paths of the layers that do it, none where the first layer with weights takes the values as they are.
    scale, offset: one number for all values, or one a channel (last axis); a scale of 0 tells nothing.
    is_learnt: scale and offset come from the rows that it was trained on (Normalization, a first batch norm), so
    that those rows become mean 0, deviation 1. is_told: False where the file does not tell, or values are indices.
    """

    input: str
    layers: tuple[str, ...] = ()
    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    is_learnt: bool = False
    is_told: bool = True


@dataclass(frozen=True)
class ModelFacts:
    """Everything the dashboard shows of a model before anything is run.

    format: "keras", "h5" or "savedmodel"; library: "keras" (Keras 3), "tf_keras" (Keras 2) or "none" (a
    SavedModel without Keras metadata, which has no layers and can only be quantized after training).
    parameters: numbers stored as weights, whether trained or not; the layers' parameters add up to it.
    loss: as compiled, None when the model was saved without; task: "classification", "binary", "multi-label",
    "regression", "reconstruction", or None when neither loss nor activation tells.
    support: per technique ("prune", "cluster", "qat") the layers it is asked about, in model order.
    scaling: per input, None in facts that were stored before it was looked for.
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

    @property
    def ports(self) -> tuple[list[Port], list[Port]]:
        """(name, shape, dtype) of the file's inputs and outputs. Raises ModelRefused where a shape is not told."""
        return _ports(self.inputs, "input", self.layers), _ports(self.outputs, "output", self.layers)

    @property
    def labelled_task(self) -> str | None:
        """The first output's task where there are labels for it, see `heads.labelled_task`."""
        return labelled_task(
            self.loss, self.output_activation, self.outputs[0].shape if self.outputs else None
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dict; `ModelFacts.from_dict` gives back an equal object, also after JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ModelFacts:
        """The inverse of `to_dict`; lists (from JSON) become tuples again, and what is none of the fields is left out."""
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
                f"the file does not tell the shape of the {kind} '{tensor.name}'"
                + (_unknown_after(layers) if kind == "output" else "")
                + ". Give the model an Input layer with a shape and save it again"
                + (", as .keras of Keras 3 if it has one" if kind == "output" else "")
            )
        # A .tflite takes float32 where the Keras model takes another float type.
        ports.append((tensor.name, tensor.shape, "float32" if tensor.dtype in OTHER_FLOATS else tensor.dtype))
    return ports


def _unknown_after(layers: tuple[LayerFacts, ...]) -> str:
    """The first layer whose output shape is not known though those of its inputs are, as a part of a sentence."""
    known = {layer.path for layer in layers if layer.output_shape is not None}
    for layer in layers:
        if layer.output_shape is None and layer.sources and known.issuperset(layer.sources):
            return f": it is lost at the layer '{layer.path}' ({layer.class_name})"
    return ""
