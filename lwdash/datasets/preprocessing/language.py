"""Pre-processing as text: `resize(500, method=area) + scale(minmax, per=row) + channel(last) +
cast(float32)`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lwdash.datasets.preprocessing.resize import METHODS
from lwdash.datasets.preprocessing.sample_steps import (
    ImageFile,
    Normalize,
    SoundFile,
    image_step,
    normalize_step,
    sound_step,
)
from lwdash.datasets.preprocessing.step_arguments import finite_number, lengths, nearest, one_of, single
from lwdash.errors import DataRefused

PER = ("row", "column", "all")
DTYPES = ("float32", "float16", "int8", "uint8", "int16", "int32", "int64")


@dataclass(frozen=True)
class Columns:
    """Keep some of the input columns, in the order of the file: names, inclusive ranges of names (t0..t139)
    or of positions (#1..#140, the first input column is #1), prefixes with a star (img_*).
    """

    which: tuple[str, ...]

    def __str__(self) -> str:
        return f"columns({', '.join(self.which)})"


@dataclass(frozen=True)
class Resize:
    """Resize along the row (500), or in two dimensions (32x32) after a reshape."""

    size: tuple[int, ...]
    method: str = "area"

    def __str__(self) -> str:
        return f"resize({_shape_text(self.size)}, method={self.method})"


@dataclass(frozen=True)
class Scale:
    """Scaling. minmax: to [low, high]; range: the fixed range [from, to] to [low, high]; zscore: mean 0,
    deviation 1.

    per: one pair of statistics for each row, each column, or all values; for column and all they come from
    the train part. A constant row or column becomes `low` (minmax) or 0 (zscore).
    """

    method: str
    per: str = "row"
    low: float = 0.0
    high: float = 1.0
    source_low: float = 0.0
    source_high: float = 255.0

    def __str__(self) -> str:
        target = (
            ""
            if (self.low, self.high) == (0, 1)
            else f", low={_number_text(self.low)}, high={_number_text(self.high)}"
        )
        if self.method == "range":
            source = f"from={_number_text(self.source_low)}, to={_number_text(self.source_high)}"
            return f"scale(range, {source}{target})"
        return f"scale({self.method}, per={self.per}{target if self.method == 'minmax' else ''})"

    @property
    def needs_train(self) -> bool:
        return self.method != "range" and self.per != "row"


@dataclass(frozen=True)
class Divide:
    """Divide every value by a number."""

    by: float

    def __str__(self) -> str:
        return f"divide({_number_text(self.by)})"


@dataclass(frozen=True)
class Reshape:
    """Give each row a shape. order: rows (the last axis changes fastest) or columns (the first does, as in MATLAB)."""

    shape: tuple[int, ...]
    order: str = "rows"

    def __str__(self) -> str:
        return f"reshape({_shape_text(self.shape)}{', order=columns' if self.order == 'columns' else ''})"


@dataclass(frozen=True)
class Axes:
    """Reorder the axes of a row: reshape(3x32x32) + axes(1, 2, 0) converts channels-first to channels-last."""

    order: tuple[int, ...]

    def __str__(self) -> str:
        return f"axes({', '.join(map(str, self.order))})"


@dataclass(frozen=True)
class Channel:
    """Add a channel axis of length 1, last or first."""

    place: str = "last"

    def __str__(self) -> str:
        return f"channel({self.place})"


@dataclass(frozen=True)
class Cast:
    """The type of the result. Integer types need values that are whole and in range."""

    dtype: str

    def __str__(self) -> str:
        return f"cast({self.dtype})"


Step = Columns | ImageFile | SoundFile | Resize | Scale | Divide | Normalize | Reshape | Axes | Channel | Cast


@dataclass(frozen=True)
class Preprocess:
    """The steps for every input, and for inputs with their own steps."""

    steps: tuple[Step, ...] = ()
    by_input: tuple[tuple[str, tuple[Step, ...]], ...] = ()

    def for_input(self, name: str) -> tuple[Step, ...]:
        return dict(self.by_input).get(name, self.steps)

    def __str__(self) -> str:
        parts = [_steps_text(self.steps)] if self.steps else []
        return "; ".join(parts + [f"{name}: {_steps_text(steps)}" for name, steps in self.by_input])


def parse_preprocess(text: str) -> Preprocess:
    """The pipeline that `text` describes; `str()` of it is the canonical text.

    Grammar: `steps`, or `steps; input: steps; …` for inputs with their own steps; steps = `step + step + …`,
    step = `name(argument, key=value, …)`. Raises DataRefused that names the step, the key and the value
    received.
    """
    steps: tuple[Step, ...] = ()
    by_input: list[tuple[str, tuple[Step, ...]]] = []
    for number, part in enumerate(p.strip() for p in text.split(";")):
        name, colon, rest = part.partition(":")
        if colon and "(" not in name:
            if name.strip() in dict(by_input):
                raise DataRefused(f"pre-processing: input '{name.strip()}' has two lists of steps. Give one.")
            by_input.append((name.strip(), _parse_steps(rest)))
        elif number and part:
            raise DataRefused(f"pre-processing: '{part}' after ';' must begin with an input's name and ':'.")
        else:
            steps = _parse_steps(part)
    return Preprocess(steps, tuple(by_input))


def _parse_steps(text: str) -> tuple[Step, ...]:
    if not text.strip():
        return ()
    steps = tuple(_parse_step(part) for part in re.split(r"\+(?![^(]*\))", text))
    for position, step in enumerate(steps):
        if isinstance(step, Columns) and position:
            raise DataRefused(
                f"pre-processing: '{step}' must be the first step: later ones have no column names."
            )
        if isinstance(step, ImageFile | SoundFile) and not all(
            isinstance(s, Columns) for s in steps[:position]
        ):
            raise DataRefused(f"pre-processing: '{step}' must be the first step: it reads the files.")
        if isinstance(step, Cast) and position != len(steps) - 1:
            raise DataRefused(
                f"pre-processing: '{step}' must be the last step: everything before it is in float64."
            )
    return steps


def _parse_step(text: str) -> Step:
    match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\))?\s*", text, re.S)
    if match is None:
        raise DataRefused(
            f"pre-processing step '{text.strip()}' cannot be read. Write steps as name(value, key=value) "
            "joined by '+', e.g. resize(500, method=area) + scale(minmax, per=row) + channel(last)."
        )
    name, inside = match[1].lower(), (match[2] or "").strip()
    if name not in _STEPS:
        raise DataRefused(
            f"pre-processing step '{name}' is unknown (known: {', '.join(_STEPS)}).{nearest(name, _STEPS)}"
        )
    values: list[str] = []
    keys: dict[str, str] = {}
    for argument in (a.strip() for a in inside.split(",")) if inside else ():
        key, equals, value = argument.partition("=")
        if equals:
            keys[key.strip()] = value.strip()
        else:
            values.append(argument)
    build, allowed = _STEPS[name]
    for key in keys:
        if key not in allowed:
            known = ", ".join(allowed) or "none"
            raise DataRefused(f"{name}: key '{key}' is unknown (known: {known}).{nearest(key, allowed)}")
    return build(values, keys)


def _columns(values: list[str], keys: Mapping[str, str]) -> Step:
    if not values:
        raise DataRefused("columns: name at least one column, e.g. columns(t0..t139).")
    return Columns(tuple(values))


def _resize(values: list[str], keys: Mapping[str, str]) -> Step:
    size = lengths("resize", values, keys, "500 or 32x32")
    if len(size) > 2:
        raise DataRefused(
            f"resize: one or two lengths must be given; received {_shape_text(size)}. Write 500 or 32x32."
        )
    return Resize(size, one_of("resize", "method", keys.get("method", "area"), METHODS))


def _scale(values: list[str], keys: Mapping[str, str]) -> Step:
    if len(values) == 1 and values[0].startswith("/") and not keys:
        return _divide([values[0][1:]], keys)
    method = one_of("scale", "method", single("scale", values, "minmax"), ("minmax", "zscore", "range"))
    allowed = {"minmax": ("per", "low", "high"), "zscore": ("per",), "range": ("from", "to", "low", "high")}[
        method
    ]
    for key in keys:
        if key not in allowed:
            raise DataRefused(
                f"scale({method}): key '{key}' has no meaning here (known: {', '.join(allowed)})."
            )
    numbers = {
        k: finite_number("scale", k, keys.get(k, d))
        for k, d in (("low", "0"), ("high", "1"), ("from", "0"), ("to", "255"))
    }
    if not numbers["low"] < numbers["high"]:
        raise DataRefused(
            f"scale: low < high must hold; received low={numbers['low']:g}, high={numbers['high']:g}."
        )
    if not numbers["from"] < numbers["to"]:
        raise DataRefused(
            f"scale: from < to must hold; received from={numbers['from']:g}, to={numbers['to']:g}."
        )
    per = "all" if method == "range" else one_of("scale", "per", keys.get("per", "row"), PER)
    return Scale(method, per, numbers["low"], numbers["high"], numbers["from"], numbers["to"])


def _divide(values: list[str], keys: Mapping[str, str]) -> Step:
    by = finite_number("divide", "number", single("divide", values, "255"))
    if by == 0:
        raise DataRefused(
            "divide: the number must not be 0; received 0. For pixels 0 … 255 write divide(255)."
        )
    return Divide(by)


def _reshape(values: list[str], keys: Mapping[str, str]) -> Step:
    order = one_of("reshape", "order", keys.get("order", "rows"), ("rows", "columns"))
    return Reshape(lengths("reshape", values, keys, "28x28 or 28x28x1"), order)


def _axes(values: list[str], keys: Mapping[str, str]) -> Step:
    if (
        not all(v.isdecimal() for v in values)
        or sorted(map(int, values)) != list(range(len(values)))
        or not values
    ):
        raise DataRefused(
            f"axes: each axis 0, 1, … must occur once; received {', '.join(values) or 'nothing'}."
        )
    return Axes(tuple(map(int, values)))


def _channel(values: list[str], keys: Mapping[str, str]) -> Step:
    return Channel(one_of("channel", "place", values[0] if values else "last", ("last", "first")))


def _cast(values: list[str], keys: Mapping[str, str]) -> Step:
    return Cast(one_of("cast", "type", single("cast", values, "float32"), DTYPES))


_STEPS: dict[str, tuple[Callable[[list[str], Mapping[str, str]], Step], tuple[str, ...]]] = {
    "columns": (_columns, ()),
    "image": (image_step, ("resize", "colour", "size")),
    "sound": (sound_step, ("place", "length", "rate")),
    "normalize": (normalize_step, ("mean", "std")),
    "resize": (_resize, ("method",)),
    "scale": (_scale, ("per", "low", "high", "from", "to")),
    "divide": (_divide, ()),
    "reshape": (_reshape, ("order",)),
    "axes": (_axes, ()),
    "channel": (_channel, ()),
    "cast": (_cast, ()),
}


def _shape_text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _number_text(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _steps_text(steps: tuple[Step, ...]) -> str:
    return " + ".join(map(str, steps))
