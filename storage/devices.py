"""Devices: other computers whose agents measure files, and the tokens of these agents.

Only the SHA-256 of a token is stored, so reading the database or a copy of it does not reveal the token.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Select, insert, select, update
from sqlalchemy.exc import IntegrityError

from storage.database import now
from storage.errors import StorageError
from storage.tables import DeviceRow, DeviceTask, TaskState
from storage.visitors import NotAllowed, visitor_of

TOKEN_BYTES = 32
MAX_TOKEN_LENGTH = 64
MAX_NAME_LENGTH = 60
ONLINE_SECONDS = 60.0
"""An agent asks for work more often than that."""
TARGET_PREFIX = "device_"
"""Begins the name under which results of a device are stored among those of targets."""


class DeviceRefused(StorageError):
    """This device cannot be added or used."""


@dataclass(frozen=True, kw_only=True)
class StoredDevice:
    """One device. facts: as its agent reported them; empty before its first contact. is_online: seen a moment ago."""

    id: int
    name: str
    owner: str | None
    facts: Mapping[str, Any]
    created_at: float
    last_seen_at: float | None
    removed_at: float | None
    is_online: bool

    @property
    def target(self) -> str:
        return f"{TARGET_PREFIX}{self.id}"


def add_device(engine: Engine, name: str) -> tuple[StoredDevice, str]:
    """Add a device; return it with the token of its agents, which cannot be read again later.

    Raises DeviceRefused, NotAllowed.
    """
    name = " ".join(name.split())
    if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise DeviceRefused(f"a device needs a name of 1 to {MAX_NAME_LENGTH} printable characters")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    values: dict[str, Any] = {
        "name": name,
        "owner": visitor_of(engine).email,
        "token_sha256": _sha256(token),
        "facts": {},
    }
    try:
        with engine.begin() as connection:
            query = insert(DeviceRow).values(**values, created_at=now(engine)).returning(DeviceRow.id)
            added = connection.execute(query).scalar_one()
    except IntegrityError as error:
        raise DeviceRefused(f"there is a device {name!r} already; choose another name") from error
    device = get_device(engine, added)
    assert device is not None
    return device, token


def remove_device(engine: Engine, device_id: int) -> None:
    """End a device: its token becomes invalid and its open tasks are cancelled; its results stay.

    Raises DeviceRefused, NotAllowed for another user's device.
    """
    device = get_device(engine, device_id)
    if device is None or device.removed_at is not None:
        raise DeviceRefused(f"there is no device {device_id}")
    if not can_remove(engine, device):
        raise NotAllowed("this device belongs to another user: only its owner can remove it")
    ended = update(DeviceTask).where(
        DeviceTask.device_id == device_id, DeviceTask.state.in_((TaskState.QUEUED, TaskState.LEASED))
    )
    with engine.begin() as connection:
        connection.execute(
            update(DeviceRow)
            .where(DeviceRow.id == device_id)
            .values(token_sha256=None, removed_at=now(engine))
        )
        connection.execute(
            ended.values(state=TaskState.CANCELLED, finished_at=now(engine), error="the device was removed")
        )


def can_remove(engine: Engine, device: StoredDevice) -> bool:
    """True where this engine's visitor may remove the device."""
    visitor = visitor_of(engine)
    return visitor.is_known and (visitor.is_open or device.owner in (None, visitor.email))


def devices(engine: Engine) -> list[StoredDevice]:
    """The devices that were not removed, by name; none for visitors who may not use any."""
    if not visitor_of(engine).is_known:
        return []
    return _read(engine, _query(engine).where(DeviceRow.removed_at.is_(None)).order_by(DeviceRow.name))


def get_device(engine: Engine, device_id: int) -> StoredDevice | None:
    """A device, also one that was removed."""
    found = _read(engine, _query(engine).where(DeviceRow.id == device_id))
    return found[0] if found else None


def find_device(engine: Engine, name: str) -> StoredDevice:
    """The device with this name, or else with this number. Raises DeviceRefused with the known names."""
    known = devices(engine)
    found = [d for d in known if d.name == name] or [d for d in known if str(d.id) == name]
    if found:
        return found[0]
    names = ", ".join(repr(device.name) for device in known) or "none"
    raise DeviceRefused(f"there is no device {name!r} (there are: {names})")


def device_of_token(engine: Engine, token: str) -> StoredDevice | None:
    """The device whose agents have this token now, or None."""
    if not token or len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        return None
    found = _read(engine, _query(engine).where(DeviceRow.token_sha256 == _sha256(token)))
    return found[0] if found else None


def record_contact(engine: Engine, device_id: int, facts: Mapping[str, Any] | None = None) -> None:
    """Record that a device's agent was heard of, and the facts that it reported."""
    values: dict[str, Any] = {"last_seen_at": now(engine)}
    if facts is not None:
        values["facts"] = dict(facts)
    with engine.begin() as connection:
        connection.execute(update(DeviceRow).where(DeviceRow.id == device_id).values(**values))


def _query(engine: Engine) -> Select[Any]:
    columns = [
        DeviceRow.__table__.c[name] for name in StoredDevice.__dataclass_fields__ if name != "is_online"
    ]
    return select(*columns, now(engine).label("now"))


def _read(engine: Engine, query: Select[Any]) -> list[StoredDevice]:
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    found = []
    for row in rows:
        moment, seen = row.pop("now"), row["last_seen_at"]
        found.append(StoredDevice(**row, is_online=seen is not None and moment - seen < ONLINE_SECONDS))
    return found


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
