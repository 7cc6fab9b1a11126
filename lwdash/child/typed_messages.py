"""Frozen dataclasses as JSON between the engine and its child processes, checked on arrival.

A message carries the version of lwdash that wrote it: a server that was upgraded in place may start children of
another version.
"""

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

import lwdash
from lwdash.errors import MessageRefused


class TypedMessage(Protocol):
    """A frozen dataclass with a name for its class on the wire."""

    kind: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]


M = TypeVar("M", bound=TypedMessage)


def to_json(message: TypedMessage) -> dict[str, Any]:
    """{"kind", "lwdash": version, "fields"}, JSON-able."""
    return {"kind": message.kind, "lwdash": lwdash.__version__, "fields": _plain(message)}


def from_json(data: Any, classes: Sequence[type[M]]) -> M:
    """The message of one of `classes` that `to_json` wrote.

    Raises MessageRefused for another version, an unknown kind, and an unknown, missing or mistyped field.
    """
    if not isinstance(data, Mapping) or set(data) != {"kind", "lwdash", "fields"}:
        raise MessageRefused(f"a message needs kind, lwdash and fields; received {_shown(data)}")
    kind, version = data["kind"], data["lwdash"]
    if version != lwdash.__version__:
        raise MessageRefused(
            f"'{kind}' was written by lwdash {version}, and this process runs {lwdash.__version__}: "
            "restart the server and its workers"
        )
    found = next((one for one in classes if one.kind == kind), None)
    if found is None:
        raise MessageRefused(f"unknown kind '{kind}'; known are {', '.join(one.kind for one in classes)}")
    read: M = _read(data["fields"], found, kind)
    return read


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value


def _read(value: Any, hint: Any, place: str) -> Any:
    """A JSON value as the type `hint`; place: its name in errors."""
    if hint is Any:
        return value
    if is_dataclass(hint) and isinstance(hint, type):
        return _read_fields(value, hint, place)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        (inner,) = (each for each in arguments if each is not types.NoneType)
        return None if value is None else _read(value, inner, place)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(each, arguments[0], f"{place}[{i}]") for i, each in enumerate(value))
    if origin is Mapping and isinstance(value, dict):
        if arguments[1] is Any:
            return value
        return {key: _read(each, arguments[1], f"{place}['{key}']") for key, each in value.items()}
    is_number = hint is float and type(value) is int
    if type(value) is hint or is_number:
        return value
    expected = getattr(hint, "__name__", str(hint)) if origin is None else str(hint)
    raise MessageRefused(f"{place} must be {expected}; received {_shown(value)}")


def _read_fields(value: Any, found: type, place: str) -> Any:
    if not isinstance(value, dict):
        raise MessageRefused(f"{place} must be an object; received {_shown(value)}")
    names = [field.name for field in fields(found)]
    unknown, missing = sorted(set(value) - set(names)), [name for name in names if name not in value]
    if unknown:
        raise MessageRefused(f"{place} has unknown fields: {', '.join(unknown)}")
    if missing:
        raise MessageRefused(f"{place} lacks fields: {', '.join(missing)}")
    hints = get_type_hints(found)
    return found(**{name: _read(value[name], hints[name], f"{place}.{name}") for name in names})


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text[:60]}{'…' if len(text) > 60 else ''}"
