"""Arguments of pre-processing steps: checks that name the step, the key and the value received."""

import difflib
import re
from collections.abc import Mapping

from lwdash.errors import DataRefused


def single(step: str, values: list[str], example: str) -> str:
    """The only value. Raises DataRefused for none and for several."""
    if len(values) != 1:
        raise DataRefused(
            f"{step}: exactly one value must be given; received {len(values)}. Write {step}({example})."
        )
    return values[0]


def one_of(step: str, key: str, value: str, allowed: tuple[str, ...]) -> str:
    """`value`, which must be one of `allowed`."""
    if value not in allowed:
        raise DataRefused(
            f"{step}: {key} must be one of {', '.join(allowed)}; received '{value}'.{nearest(value, allowed)}"
        )
    return value


def finite_number(step: str, key: str, text: str) -> float:
    """The number in `text`, which must be finite."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise DataRefused(f"{step}: {key} must be a finite number; received '{text}'.")
    return value


def lengths(step: str, values: list[str], keys: Mapping[str, str], example: str) -> tuple[int, ...]:
    """The lengths of `28x28x1`, from the only value; each from 1 to a million."""
    text = single(step, values, example)
    parts = re.split(r"\s*[x×]\s*", text)
    if not all(part.isdecimal() and 1 <= int(part) <= 1_000_000 for part in parts):
        raise DataRefused(
            f"{step}: lengths must be whole numbers from 1 to 1,000,000; received '{text}'. Write {example}."
        )
    return tuple(map(int, parts))


def nearest(word: str, known: object) -> str:
    """` Did you mean \'x\'?` for the most similar known word, "" without one."""
    near = difflib.get_close_matches(word, list(known), n=1)  # type: ignore[call-overload]
    return f" Did you mean '{near[0]}'?" if near else ""
