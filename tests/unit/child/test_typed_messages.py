"""Messages between engine and child: what was written arrives as it was, and anything else is refused by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

import lwdash
from lwdash.child.typed_messages import from_json, to_json
from lwdash.errors import MessageRefused


@dataclass(frozen=True)
class Place:
    street: str
    number: int


@dataclass(frozen=True)
class Letter:
    kind: ClassVar[str] = "letter"
    sender: Place
    copies: Mapping[str, Place]
    pages: tuple[int, ...]
    weight: float
    is_express: bool
    note: str | None
    extra: Mapping[str, Any]


LETTER = Letter(
    sender=Place("Elm", 3), copies={"a": Place("Oak", 4)}, pages=(1, 2), weight=0.5, is_express=True, note=None,
    extra={"any": [1, {"thing": None}]},
)  # fmt: skip


def sent() -> dict[str, Any]:
    return json.loads(json.dumps(to_json(LETTER)))


def test_a_message_arrives_as_it_was_written() -> None:
    assert from_json(sent(), [Letter]) == LETTER


def test_a_whole_number_is_a_number() -> None:
    message = sent()
    message["fields"]["weight"] = 2
    assert from_json(message, [Letter]).weight == 2


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("fields", "colour"), "red", "letter has unknown fields: colour"),
        (("fields", "sender", "floor"), 2, "letter.sender has unknown fields: floor"),
        (("fields", "sender"), "Elm 3", "letter.sender must be an object; received str 'Elm 3'"),
        (("fields", "copies", "a", "number"), "4", r"letter.copies\['a'\].number must be int; received str '4'"),
        (("fields", "pages"), [1, 2.5], r"letter.pages\[1\] must be int; received float 2.5"),
        (("fields", "pages"), None, "letter.pages must be tuple.*; received NoneType None"),
        (("fields", "is_express"), 1, "letter.is_express must be bool; received int 1"),
        (("fields", "pages"), [True], r"letter.pages\[0\] must be int; received bool True"),
        (("fields", "note"), 5, "letter.note must be str; received int 5"),
        (("fields", "extra"), [], "letter.extra must be .*Mapping.*; received list"),
        (("fields",), None, "letter must be an object; received NoneType None"),
        (("kind",), "parcel", "unknown kind 'parcel'; known are letter"),
        (("lwdash",), "0.0.1", rf"'letter' was written by lwdash 0.0.1, and this process runs {lwdash.__version__}: "
                               "restart the server and its workers"),
        (("more",), 1, "a message needs kind, lwdash and fields"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(path: tuple[str, ...], value: Any, message: str) -> None:
    changed: Any = sent()
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(MessageRefused, match=message):
        from_json(changed, [Letter])


@pytest.mark.parametrize("name", ["sender", "note", "extra"])
def test_a_missing_field_is_named(name: str) -> None:
    message = sent()
    del message["fields"][name]
    with pytest.raises(MessageRefused, match=f"letter lacks fields: {name}$"):
        from_json(message, [Letter])


@pytest.mark.parametrize("data", [None, [], "letter", {"kind": "letter"}])
def test_what_is_no_message_is_refused(data: Any) -> None:
    with pytest.raises(MessageRefused, match="a message needs kind, lwdash and fields"):
        from_json(data, [Letter])
