"""Changes honest model files at random: one value of a config, a few bytes, or a field of a protobuf message."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 7, 2**31, 10**12, 10**40, -(2**63), 0.5, -0.0, 1e308, float("nan"), float("inf"),
    float("-inf"), "", "²", "relu", "a\x00b", "\ud800", "x" * 10_000, [], [[]], [None], [1, 2, 3], [[1, 2], [3]], ["a"],
    [float("nan")], {}, {"a": 1}, {"class_name": "Dense", "config": {"name": "d"}}, {"class_name": [], "config": {}},
    {"class_name": "function", "config": ["relu"], "module": "builtins", "registered_name": "function"},
    {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 10**12, 0]}},
    {"class_name": "__tuple__", "items": [1, -1]}, ["input", 0, 10**12], [["input_layer", 10**9, 0, {}]],
)  # fmt: skip
"""Values that stand in for the one in the file."""


@dataclass(frozen=True)
class Base:
    """An honest file: its parts (zip members, or HDF5 attributes of texts), and which of them are JSON."""

    name: str
    data: bytes
    texts: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Base:
        texts: dict[str, Any] = {}
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                texts = {name: json.loads(archive.read(name)) for name in ("config.json", "metadata.json")}
        elif path.suffix == ".h5":
            with h5py.File(path) as file:
                names = ("model_config", "training_config", "keras_version")
                texts = {name: _value(file.attrs[name]) for name in names if name in file.attrs}
        return cls(path.name, path.read_bytes(), texts)

    @cached_property
    def places(self) -> dict[str, list[tuple[Any, ...]]]:
        """The path of every value in each of the texts."""
        return {name: list(places(value)) for name, value in self.texts.items()}

    def with_text(self, name: str, value: Any, path: Path) -> None:
        """Writes the file with one of its texts changed."""
        text = json.dumps(value)
        if self.name.endswith(".keras"):
            with zipfile.ZipFile(io.BytesIO(self.data)) as old, zipfile.ZipFile(path, "w") as new:
                for member in old.namelist():
                    new.writestr(member, text if member == name else old.read(member))
            return
        path.write_bytes(self.data)
        with h5py.File(path, "r+") as file:
            is_plain = name == "keras_version" and isinstance(value, str) and value.isprintable()
            file.attrs[name] = value if is_plain else text


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside a JSON value."""
    yield above
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(item, (*above, key))


def replaced(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    """`value` with what is at `place` replaced, or left out where `other` is DELETED."""
    if not place:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    key = place[0]
    if other is DELETED and len(place) == 1:
        del copy[key]
    else:
        copy[key] = replaced(copy[key], place[1:], other)
    return copy


DELETED = object()


def change_value(base: Base, generator: random.Random, path: Path) -> str:
    """Replaces one value of a config by another type, or leaves it out; returns what was done."""
    name = generator.choice([name for name in base.texts for _ in range(8 if "config" in name else 1)])
    place = generator.choice(base.places[name])
    other = generator.choice((*STRANGE, DELETED)) if place else generator.choice(STRANGE)
    base.with_text(name, replaced(base.texts[name], place, other), path)
    return f"{name} {place} = {'left out' if other is DELETED else repr(other)[:80]}"


def change_bytes(base: Base, generator: random.Random, path: Path) -> str:
    """Overwrites, cuts or repeats a few bytes anywhere, more often in the structure at both ends."""
    data = bytearray(base.data)
    for _ in range(generator.choice((1, 1, 2, 8))):
        start = min(
            len(data) - 1, generator.choice((generator.randrange(len(data)), generator.randrange(4096)))
        )
        length = generator.choice((1, 1, 2, 4, 8, 64))
        kind = generator.choice(("flip", "noise", "ones", "zeros", "cut", "repeat"))
        old = data[start : start + length]
        data[start : start + length] = {
            "flip": bytes(byte ^ (1 << generator.randrange(8)) for byte in old),
            "noise": generator.randbytes(len(old)),
            "ones": b"\xff" * len(old),
            "zeros": b"\0" * len(old),
            "cut": b"",
            "repeat": bytes(old) * 2,
        }[kind]
    path.write_bytes(data)
    return f"bytes, {len(base.data)} → {len(data)}"


def change_member(base: Base, generator: random.Random, path: Path) -> str:
    """Changes the bytes of one zip member and gives it the checksum of those, so that its reader sees them."""
    with zipfile.ZipFile(io.BytesIO(base.data)) as old:
        parts = {name: old.read(name) for name in old.namelist() if not name.endswith("/")}
    name = generator.choice([name for name in parts if name.endswith((".pb", ".json", ".h5", ".index"))])
    inner = Base(name, parts[name], {})
    done = change_bytes(inner, generator, path)
    compression = generator.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    changed = path.read_bytes()
    with zipfile.ZipFile(path, "w", compression) as new:
        for member, data in parts.items():
            new.writestr(member, changed if member == name else data)
    return f"{name}: {done}"


def change_metadata(base: Base, generator: random.Random, path: Path) -> str:
    """Replaces one value of the Keras metadata of a SavedModel."""
    with zipfile.ZipFile(io.BytesIO(base.data)) as old:
        parts = {name: old.read(name) for name in old.namelist() if not name.endswith("/")}
    name = next(name for name in parts if name.endswith("keras_metadata.pb"))
    fields = list(_fields(parts[name]))
    index = generator.randrange(len(fields))
    inner = list(_fields(fields[index][1]))
    text = next(position for position, (number, _) in enumerate(inner) if number == 5)
    value = json.loads(inner[text][1])
    place = generator.choice(list(places(value)))
    other = generator.choice(STRANGE)
    inner[text] = (5, json.dumps(replaced(value, place, other)).encode())
    fields[index] = (1, b"".join(_field(*one) for one in inner))
    parts[name] = b"".join(_field(*one) for one in fields)
    with zipfile.ZipFile(path, "w") as new:
        for member, data in parts.items():
            new.writestr(member, data)
    return f"object {index} {place} = {other!r:.80}"


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        value, position = _varint(data, position)
        if key & 7 == 2:
            yield key >> 3, data[position : position + value]
            position += value
        else:
            yield key >> 3, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[position]
        result |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return result, position


def _field(number: int, value: bytes | int) -> bytes:
    def varint(amount: int) -> bytes:
        out = bytearray()
        while amount > 0x7F:
            out.append(amount & 0x7F | 0x80)
            amount >>= 7
        return bytes([*out, amount])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value
