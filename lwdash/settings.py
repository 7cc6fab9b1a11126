"""Configuration from the environment or a `.env` file in the working directory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import psutil
from dotenv import dotenv_values

from lwdash.errors import UserMistake

PROJECT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Settings:
    """All settings; each comes from `LWDASH_<NAME>`."""

    home: Path
    """Database, artifacts and logs, where nothing else is said."""
    database_url: str
    artifacts: str
    """A folder or any fsspec URL."""
    scheduler: str | None
    """Address of a dask scheduler to share, instead of the embedded one."""
    slots: int
    """How many steps run at once on this host."""
    job_memory: int
    """Megabytes that a step's processes may use together."""
    job_seconds: int
    """Seconds that one step of one run may take."""
    max_upload: int
    """Megabytes that an uploaded file may have."""
    disk_quota: int | None = None
    """Megabytes that the home and the artifacts may take; beyond it no steps start. None: no limit."""
    auth: str | None = None
    """`oidc`: people sign in; `none`: they do not; None: they do where Streamlit's secrets have `[auth]`."""
    auth_allow: tuple[str, ...] = ()
    """Addresses and @domains of those who may sign in, in lower case; empty: whom the provider signs in."""
    metrics_token: str | None = None
    """What a request for /metrics has to bring; None: nothing, or a sign-in where people sign in."""
    log: str = "text"
    """`text`, or `json`: one object a line."""

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def scratch(self) -> Path:
        return self.home / "scratch"

    @property
    def uploads(self) -> Path:
        return self.home / "uploads"


def load_settings(home: str | Path | None = None) -> Settings:
    """Reads the settings; `home` overrides LWDASH_HOME. Raises UserMistake naming a value that cannot be used."""
    known = {f"LWDASH_{f.name.upper()}" for f in fields(Settings)}
    said = {k: v for k, v in {**dotenv_values(".env"), **os.environ}.items() if k in known and v}
    if home is not None:
        said["LWDASH_HOME"] = str(home)
    place = Path(said.get("LWDASH_HOME", ".lwdash")).expanduser().resolve()
    memory_mb = psutil.virtual_memory().total >> 20
    return Settings(
        home=place,
        database_url=said.get("LWDASH_DATABASE_URL", f"sqlite:///{place / 'lwdash.sqlite'}"),
        artifacts=said.get("LWDASH_ARTIFACTS", str(place / "artifacts")),
        scheduler=said.get("LWDASH_SCHEDULER"),
        slots=_whole(said, "LWDASH_SLOTS", max(1, min(os.cpu_count() or 1, memory_mb // 3000))),
        job_memory=_whole(said, "LWDASH_JOB_MEMORY", max(1024, int(memory_mb * 0.6))),
        job_seconds=_whole(said, "LWDASH_JOB_SECONDS", 3600),
        max_upload=_whole(said, "LWDASH_MAX_UPLOAD", 2048),
        disk_quota=_whole(said, "LWDASH_DISK_QUOTA", 0) or None,
        auth=said.get("LWDASH_AUTH"),
        auth_allow=tuple(
            part.strip().lower() for part in said.get("LWDASH_AUTH_ALLOW", "").split(",") if part.strip()
        ),
        metrics_token=said.get("LWDASH_METRICS_TOKEN"),
        log=_one_of(said, "LWDASH_LOG", "text", "json"),
    )


def _whole(said: Mapping[str, str], key: str, default: int) -> int:
    text = said.get(key)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise UserMistake(f"{key} must be a whole number above 0, but got {text!r}")
    return value


def _one_of(said: Mapping[str, str], key: str, *values: str) -> str:
    value = said.get(key, values[0])
    if value not in values:
        raise UserMistake(f"{key} must be {' or '.join(values)}, but got {value!r}")
    return value
