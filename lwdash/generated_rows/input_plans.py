"""The values that each input of a model takes, as far as its file tells."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lwdash.datasets.linter.scaling_check import input_range
from lwdash.errors import DataRefused
from lwdash.keras_models.model_facts import InputScaling, ModelFacts, TensorFacts

GIVE_SAMPLES = "Give samples"
STATE_RANGE = "or state the range of the values (--input-range LOW HIGH; on the page: Range of the values)"
DEVIATIONS_IN_RANGE = 4.0
"""A range is this many deviations wide, so that normal values reach both ends."""
MAX_DEVIATIONS = 4.0
"""Values further from the mean are cut off, where only mean and deviation are known."""
BYTES = frozenset({"uint8", "int8"})
WHOLE = BYTES | {"int16", "uint16", "int32", "uint32", "int64", "uint64"}


@dataclass(frozen=True)
class InputPlan:
    """The values of one input, as they will be made.

    shape: of one row. vocabulary: number of ids, for an input that takes ids; None otherwise.
    mean, deviation: one number or one per channel (last axis). reach: values further from the mean, in deviations, are cut
    off; None: the scale is unknown, and found with the batch normalizations.
    source: origin of these facts, as a clause.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    source: str
    vocabulary: int | None = None
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    reach: float | None = None

    @property
    def is_whole(self) -> bool:
        return self.dtype in WHOLE


def plan_inputs(
    facts: ModelFacts,
    *,
    vocabularies: Mapping[str, int],
    has_statistics: bool,
    stated: tuple[float, float] | None,
) -> list[InputPlan]:
    """One plan per input, in the order of the model.

    vocabularies: input → number of ids, for inputs of embeddings. has_statistics: the model has batch normalizations with
    statistics. stated: the range of all values, from the user. Raises DataRefused where nothing tells the values.
    """
    scalings = {scaling.input: scaling for scaling in facts.scaling or ()}
    return [
        _plan(tensor, scalings.get(tensor.name), vocabularies.get(tensor.name), has_statistics, stated)
        for tensor in facts.inputs
    ]


def _plan(
    tensor: TensorFacts,
    scaling: InputScaling | None,
    vocabulary: int | None,
    has_statistics: bool,
    stated: tuple[float, float] | None,
) -> InputPlan:
    name, dtype = tensor.name, tensor.dtype
    if tensor.shape is None or None in tensor.shape:
        raise DataRefused(
            f"rows cannot be generated: input '{name}' takes any length, and only data can tell which. {GIVE_SAMPLES}."
        )
    shape = tuple(length for length in tensor.shape if length is not None)
    if dtype in ("string", "bool"):
        raise DataRefused(f"rows cannot be generated: input '{name}' takes {dtype} values. {GIVE_SAMPLES}.")
    if vocabulary is not None:
        return InputPlan(name, shape, dtype, f"ids below {vocabulary:,}, as its embedding has", vocabulary)
    if stated is not None:
        return _in_range(name, shape, dtype, *stated, f"the stated range {stated[0]:g} … {stated[1]:g}")
    if scaling is not None and scaling.is_told and scaling.layers:
        by = f"'{scaling.layers[-1]}'"
        if scaling.is_learnt:
            mean, deviation = _learnt(scaling)
            source = f"the mean and deviation stored in {by}"
            return InputPlan(name, shape, dtype, source, None, mean, deviation, MAX_DEVIATIONS)
        if scaling.scale[0]:
            low, high = input_range(scaling.scale[0], scaling.offset[0])
            return _in_range(name, shape, dtype, low, high, f"the range {low:g} … {high:g} of the layer {by}")
    if dtype in BYTES:
        low, high = (0.0, 255.0) if dtype == "uint8" else (-128.0, 127.0)
        return _in_range(name, shape, dtype, low, high, f"the range of {dtype}")
    if dtype in WHOLE:
        raise DataRefused(
            f"rows cannot be generated: input '{name}' takes whole numbers ({dtype}), and the model's file does not tell "
            f"which. {GIVE_SAMPLES}, {STATE_RANGE}."
        )
    if has_statistics:
        return InputPlan(name, shape, dtype, "a scale found with the batch normalizations")
    raise DataRefused(
        f"rows cannot be generated: the model's file tells nothing about the values of input '{name}'. It has no "
        f"Rescaling, Normalization or batch normalization that would. {GIVE_SAMPLES}, {STATE_RANGE}."
    )


def _in_range(
    name: str, shape: tuple[int, ...], dtype: str, low: float, high: float, source: str
) -> InputPlan:
    deviation = (high - low) / DEVIATIONS_IN_RANGE
    reach = DEVIATIONS_IN_RANGE / 2
    return InputPlan(name, shape, dtype, source, None, ((low + high) / 2,), (deviation,), reach)


def _learnt(scaling: InputScaling) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation by channel. A channel that was constant in training gets the middle of the others."""
    scale, offset = np.broadcast_arrays(np.asarray(scaling.scale, float), np.asarray(scaling.offset, float))
    is_known = scale != 0
    if not is_known.any():
        return (0.0,), (1.0,)
    divisor = np.where(is_known, scale, 1.0)
    mean, deviation = -offset / divisor, 1 / np.abs(divisor)
    mean = np.where(is_known, mean, np.median(mean[is_known]))
    deviation = np.where(is_known, deviation, np.median(deviation[is_known]))
    return tuple(mean.tolist()), tuple(deviation.tolist())
