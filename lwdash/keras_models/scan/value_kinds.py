"""Kinds of values in a model's config: each function checks one JSON value and returns it in a canonical
type.

A kind raises Unfit, whose text states the required value. Numbers are finite and bounded; lists become
tuples.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from lwdash.keras_models.scan.allowed_classes import names

Kind = Callable[[Any], Any]

MAX_WHOLE = 1 << 53
"""Larger whole numbers are not exact in JSON readers that use floats."""
MAX_AXES = 32
MAX_WORD = 500
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
DTYPES = names(
    """
    float16 float32 float64 bfloat16 half double int4 int8 int16 int32 int64 uint4 uint8 uint16 uint32 uint64 bool string
    complex64 complex128 mixed_float16 mixed_bfloat16 infer _infer float8_e4m3fn float8_e5m2
    """
)
LAYER_ACTIVATIONS = {
    "ReLU": "relu",
    "Softmax": "softmax",
    "ELU": "elu",
    "LeakyReLU": "leaky_relu",
    "PReLU": "prelu",
}
"""Layers that are activations, by class."""


class Unfit(ValueError):
    """A value is not of its kind; the text states the required value."""


def whole(value: Any) -> int:
    """An integer, also one written as 3.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or abs(value) > MAX_WHOLE:
        raise Unfit("a whole number")
    return value


def count(value: Any) -> int:
    """A positive integer."""
    try:
        number = whole(value)
    except Unfit:
        number = 0
    if number < 1:
        raise Unfit("a positive whole number")
    return number


def natural(value: Any) -> int:
    """An integer from 0 on."""
    try:
        number = whole(value)
    except Unfit:
        number = -1
    if number < 0:
        raise Unfit("a whole number from 0 on")
    return number


def number(value: Any) -> float:
    """A finite number; an integer stays one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unfit("a number")
    if abs(value) > 1e300 or not math.isfinite(value):
        raise Unfit("a finite number")
    return value


def flag(value: Any) -> bool:
    """true or false, also as 1 or 0; null counts as false."""
    if value is not None and value not in (0, 1):
        raise Unfit("true or false")
    return bool(value)


def word(value: Any) -> str:
    """A short text without control characters: a name, a mode."""
    if not isinstance(value, str) or not value or len(value) > MAX_WORD or UNPRINTABLE.search(value):
        raise Unfit(f"a text of 1 to {MAX_WORD} printable characters")
    return value


def one_of(*allowed: str) -> Kind:
    """One of `allowed`."""

    def kind(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise Unfit(" or ".join(f"'{word}'" for word in allowed))
        return value

    return kind


def optional(kind: Kind) -> Kind:
    """The same kind, or null."""
    return lambda value: None if value is None else kind(value)


def items(value: Any) -> list[Any] | None:
    """The items of a list, or of a tuple or shape in Keras's notation; None for anything else."""
    if isinstance(value, dict) and value.get("class_name") in ("__tuple__", "TensorShape"):
        inner = value.get("config")
        value = value.get("items", inner.get("value") if isinstance(inner, dict) else inner)
    return list(value) if isinstance(value, (list, tuple)) else None


def per_axis(kind: Kind) -> Kind:
    """A list with one value per axis."""

    def listed(value: Any) -> tuple[Any, ...]:
        found = items(value)
        if found is None or len(found) > MAX_AXES:
            raise Unfit(f"a list of at most {MAX_AXES} values")
        try:
            return tuple(kind(item) for item in found)
        except Unfit as fault:
            raise Unfit(f"a list, of which each is {fault}") from None

    return listed


def one_or_per_axis(kind: Kind) -> Kind:
    """One value for all axes, or a list with one value per axis."""
    listed = per_axis(kind)

    def either(value: Any) -> Any:
        try:
            return kind(value) if items(value) is None else listed(value)
        except Unfit as fault:
            raise Unfit(f"{fault}, for all axes or for each") from None

    return either


def shape(value: Any) -> tuple[int | None, ...]:
    """Axis lengths, null for a variable length."""
    try:
        found: tuple[int | None, ...] = per_axis(optional(count))(value)
    except Unfit:
        found = ()
    if not found:
        raise Unfit("a list of axis lengths (positive whole numbers, or null)")
    return found


def borders(value: Any) -> Any:
    """Cells added or removed: `2`, `[1, 2]` or `[[1, 2], [3, 4]]`."""
    try:
        return one_or_per_axis(one_or_per_axis(natural))(value)
    except Unfit:
        raise Unfit("a number of cells for each side (whole numbers from 0 on)") from None


def numbers(value: Any) -> tuple[float, ...]:
    """A number, an array as Keras serialises it, or nested lists of numbers, as one flat tuple."""
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        value = value["config"].get("value")
    flat: list[float] = []
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, (list, tuple)):
            pending.extend(reversed(one))
        else:
            flat.append(number(one))
    if not flat:
        raise Unfit("one number or more")
    return tuple(flat)


def length(value: Any) -> int:
    """Number of entries of a list, for example a vocabulary."""
    found = items(value)
    if found is None:
        raise Unfit("a list")
    return len(found)


def dtype(value: Any) -> str:
    """The name of a dtype or of a policy, also of a serialised policy of Keras 2 or 3."""
    found = value
    for _ in range(3):  # a policy map contains its default policy
        if not isinstance(found, dict):
            break
        config = found.get("config")
        config = config if isinstance(config, dict) else {}
        found = config.get("default_policy") or config.get("name")
    if found is None:
        found = "float32"
    if not isinstance(found, str) or found not in DTYPES:
        raise Unfit("the name of a dtype, such as 'float32'")
    return found


def activation(value: Any) -> str | None:
    """The name of an activation: of a function, a serialised function, or a layer that is an activation."""
    if isinstance(value, dict):
        inner = value.get("config")
        if not isinstance(inner, str):
            return LAYER_ACTIVATIONS.get(str(value.get("class_name")))
        value = inner
    return None if value is None else word(value)
