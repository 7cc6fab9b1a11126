"""Parameters of techniques: each declares its bounds and its help once, for forms, checks and error messages."""

import dataclasses
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from lwdash.errors import RecipeError

AUTO = "auto"
"""The text of a number that the technique decides."""


@dataclass(frozen=True)
class Number:
    """A real number between `low` and `high`, both allowed unless marked open.

    has_auto: `auto` is allowed as well, and stored as None: the technique then decides.
    """

    label: str
    help: str
    low: float
    high: float
    unit: str = ""
    step: float = 0.01
    low_open: bool = False
    high_open: bool = False
    has_auto: bool = False

    @property
    def bounds(self) -> str:
        left, right = ("(" if self.low_open else "["), (")" if self.high_open else "]")
        return f"{left}{self.low:g}, {self.high:g}{right}{' | auto' if self.has_auto else ''}"

    def read(self, text: str) -> float | None:
        if self.has_auto and text == AUTO:
            return None
        try:
            return float(text)
        except ValueError:
            raise RecipeError(f"must be a number in {self.bounds}, but got {text!r}") from None

    def check(self, value: Any) -> float | None:
        if self.has_auto and value is None:
            return None
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        rounded = float(self.write(value)) if is_number else math.nan
        above = self.low < rounded if self.low_open else self.low <= rounded
        below = rounded < self.high if self.high_open else rounded <= self.high
        if not (above and below):
            raise RecipeError(f"must be in {self.bounds}, but got {value!r}")
        return rounded

    def write(self, value: float | None) -> str:
        """Twelve digits, so that a form's 0.30000000000000004 becomes 0.3; `check` rounds in the same way."""
        return AUTO if value is None else f"{value:.12g}"


@dataclass(frozen=True)
class Size(Number):
    """A size in kB (1,000 bytes), written `20kB`; read in B, kB or MB, and in kB without a unit."""

    @property
    def bounds(self) -> str:
        return f"{super().bounds} kB"

    def read(self, text: str) -> float:
        found = re.fullmatch(r"([\d.]+)\s*(B|kB|MB)?", text.strip(), flags=re.IGNORECASE)
        try:
            number = float(found[1]) if found else math.nan
        except ValueError:
            number = math.nan
        if found is None or math.isnan(number):
            raise RecipeError(f"must be a size such as 20kB or 0.5MB, but got {text!r}")
        return number * {"b": 0.001, "kb": 1.0, "mb": 1000.0}[(found[2] or "kB").lower()]

    def check(self, value: Any) -> float:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (is_number and self.low <= value <= self.high):
            raise RecipeError(f"must be in {self.bounds}, but got {value!r}")
        return float(f"{value:.12g}")

    def write(self, value: float | None) -> str:
        return f"{value:.12g}kB"


@dataclass(frozen=True)
class Integer:
    """A whole number between `low` and `high`, both allowed.

    has_auto: `auto` is allowed as well, and is the same as 0: the technique then decides.
    """

    label: str
    help: str
    low: int
    high: int
    unit: str = ""
    has_auto: bool = False

    @property
    def bounds(self) -> str:
        return f"{self.low + self.has_auto}…{self.high}{' | auto' if self.has_auto else ''}"

    def read(self, text: str) -> int:
        if self.has_auto and text == AUTO:
            return 0
        try:
            return int(text)
        except ValueError:
            raise RecipeError(f"must be a whole number in {self.bounds}, but got {text!r}") from None

    def check(self, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            raise RecipeError(f"must be a whole number in {self.bounds}, but got {value!r}")
        return value

    def write(self, value: int) -> str:
        return str(value)


@dataclass(frozen=True)
class Choice:
    """One of a few words, each with its meaning."""

    label: str
    help: str
    options: Mapping[str, str]

    @property
    def bounds(self) -> str:
        return " | ".join(self.options)

    def read(self, text: str) -> str:
        return text

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.options:
            raise RecipeError(
                f"must be one of {self.bounds}, but got {value!r}{nearest(str(value), self.options)}"
            )
        return value

    def write(self, value: str) -> str:
        return value


@dataclass(frozen=True)
class Flag:
    """Yes or no, written `true` or `false`."""

    label: str
    help: str

    bounds = "true | false"

    def read(self, text: str) -> bool:
        if text not in ("true", "false"):
            raise RecipeError(f"must be true or false, but got {text!r}")
        return text == "true"

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise RecipeError(f"must be true or false, but got {value!r}")
        return value

    def write(self, value: bool) -> str:
        return "true" if value else "false"


@dataclass(frozen=True)
class Names:
    """Layer names or patterns (`*` and `?` as in a shell), written `[dense, conv1d_*]`."""

    label: str
    help: str

    bounds = "[name, pattern*, …]"

    def read(self, text: str) -> tuple[str, ...]:
        inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        return tuple(name.strip() for name in inner.split(",") if name.strip())

    def check(self, value: Any) -> tuple[str, ...]:
        names = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        for name in names:
            if not isinstance(name, str) or not is_layer_name(name):
                raise RecipeError(f"must hold layer names or patterns such as conv1d_*, but got {name!r}")
        return names

    def write(self, value: tuple[str, ...]) -> str:
        return "[" + ", ".join(value) + "]"


@dataclass(frozen=True)
class Overrides:
    """A word for each of some layers, in order: (name or pattern, word). In a recipe they are separate keys.

    `mixed(default=int8, conv_*=int16x8)` has the one override ("conv_*", "int16x8"). A key that is another
    parameter of the technique is never a layer's name; use a pattern such as `defaul?` for such a layer.
    """

    label: str
    help: str
    options: Mapping[str, str]

    @property
    def bounds(self) -> str:
        return f"layer={' | '.join(self.options)}, …"

    def read(self, text: str) -> tuple[tuple[str, str], ...]:
        pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
        return tuple((name.strip(), word.strip()) for name, _, word in pairs)

    def check(self, value: Any) -> tuple[tuple[str, str], ...]:
        pairs = tuple((name, word) for name, word in value)
        for name, word in pairs:
            if not isinstance(name, str) or not is_layer_name(name):
                raise RecipeError(f"must name layers or patterns such as conv1d_*, but got {name!r}")
            if word not in self.options:
                raise RecipeError(
                    f"must give {name} one of {' | '.join(self.options)}, but got {word!r}"
                    f"{nearest(str(word), self.options)}"
                )
        return pairs

    def write(self, value: tuple[tuple[str, str], ...]) -> str:
        return ", ".join(f"{name}={word}" for name, word in value)


@dataclass(frozen=True)
class LayerNumbers:
    """A number for each of some layers, in order: (name or pattern, number), written `[conv_1=0.5, dense_*=0.9]`."""

    label: str
    help: str
    number: Number | Integer

    @property
    def bounds(self) -> str:
        return f"[layer={self.number.bounds}, …]"

    def read(self, text: str) -> tuple[tuple[str, Any], ...]:
        inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
        found = []
        for pair in filter(str.strip, inner.split(",")):
            name, equals, number = (part.strip() for part in pair.partition("="))
            if not equals:
                raise RecipeError(f"must be written [conv_1=…, dense_*=…], but got {pair.strip()!r}")
            found.append((name, self.number.read(number)))
        return tuple(found)

    def check(self, value: Any) -> tuple[tuple[str, Any], ...]:
        pairs = []
        for name, number in value:
            if not isinstance(name, str) or not is_layer_name(name):
                raise RecipeError(f"must name layers or patterns such as conv1d_*, but got {name!r}")
            try:
                pairs.append((name, self.number.check(number)))
            except RecipeError:
                raise RecipeError(
                    f"must give {name} a number in {self.number.bounds}, but got {number!r}"
                ) from None
        return tuple(pairs)

    def write(self, value: tuple[tuple[str, Any], ...]) -> str:
        return "[" + ", ".join(f"{name}={self.number.write(number)}" for name, number in value) + "]"


Parameter = Number | Integer | Choice | Flag | Names | Overrides | LayerNumbers


def bounds_with_unit(parameter: Parameter) -> str:
    """`1…1000 epochs | auto`."""
    bounds, mark, auto = parameter.bounds.partition(f" | {AUTO}")
    unit = getattr(parameter, "unit", "")
    return bounds + (f" {unit}" if unit and not bounds.endswith(unit) else "") + mark + auto


def parameter(default: Any, described: Parameter, *, always: bool = False) -> Any:
    """A dataclass field with a description for users. `always`: written in a recipe even at its default."""
    return dataclasses.field(default=default, metadata={"parameter": described, "always": always})


def described(params: type | Any) -> dict[str, Parameter]:
    """The parameters of a technique's `Params`, by key, in the order of declaration."""
    return {f.name: f.metadata["parameter"] for f in dataclasses.fields(params)}


def read_params(cls: type, texts: Mapping[str, str], where: str) -> Any:
    """`Params` from the texts of a recipe; a RecipeError names `where`, the key, the bound and the value."""
    known = described(cls)
    by_layer = next((key for key, what in known.items() if isinstance(what, Overrides)), None)
    values: dict[str, Any] = {}
    if by_layer is not None:
        del known[by_layer]
        values[by_layer] = tuple((name, text) for name, text in texts.items() if name not in known)
        texts = {name: text for name, text in texts.items() if name in known}
    for key, text in texts.items():
        if key not in known:
            takes = ", ".join(known) or "no parameters"
            raise RecipeError(f"{where} has no parameter {key!r} (it takes: {takes}){nearest(key, known)}")
        try:
            values[key] = known[key].check(known[key].read(text))
        except RecipeError as error:
            raise RecipeError(f"{where}: {key} {error}") from None
    return cls(**values)


def check_params(params: Any, where: str) -> Any:
    """The same `Params` with every value checked; a RecipeError names `where` and the key."""
    values = {}
    for key, what in described(params).items():
        try:
            values[key] = what.check(getattr(params, key))
        except RecipeError as error:
            raise RecipeError(f"{where}: {key} {error}") from None
    return type(params)(**values)


def write_params(params: Any, leave_out: Collection[str] = ()) -> str:
    """`key=value, …`: values that differ from the defaults, and those always written, without the keys to leave out."""
    parts = []
    for f in dataclasses.fields(params):
        value, what = getattr(params, f.name), f.metadata["parameter"]
        if f.name in leave_out:
            continue
        if isinstance(what, Overrides):
            parts.extend([what.write(value)] if value else [])
        elif f.metadata["always"] or value != f.default:
            parts.append(f"{f.name}={what.write(value)}")
    return ", ".join(parts)


def is_layer_name(text: str) -> bool:
    """True if a recipe can name a layer, or a pattern of layers, by this text."""
    return re.fullmatch(r"[\w.*?/-]+", text) is not None


def nearest(word: str, known: Any) -> str:
    """` Did you mean …?`, or nothing when no known word is similar."""
    close = get_close_matches(word, list(known), n=1)
    return f". Did you mean {close[0]!r}?" if close else ""
