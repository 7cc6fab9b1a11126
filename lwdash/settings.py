"""Configuration from the environment or a `.env` file in the working directory."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import psutil
from dotenv import dotenv_values

from lwdash.errors import UserMistake

PROJECT = Path(__file__).parent.parent
"""The folder of the packages: the checkout, or site-packages."""
_INSTALLED = Path(__file__).parent / "dashboard"
DASHBOARD = _INSTALLED if _INSTALLED.is_dir() else PROJECT
"""The folder of app.py, pages/ and .streamlit/: the checkout, or where a wheel has them (see setup.py)."""
_GPU = r"\d{1,3}|(?:GPU|MIG)-[0-9A-Za-z/-]{1,80}"


@dataclass(frozen=True)
class Settings:
    """All settings; each comes from `LWDASH_<NAME>`."""

    home: Path
    """Folder of database, artifacts and logs, unless set otherwise."""
    database_url: str
    artifacts: str
    """A folder or any fsspec URL."""
    scheduler: str | None
    """Address of a dask scheduler to share, instead of the embedded one."""
    slots: int
    """Number of steps that run at once on this host."""
    job_memory: int
    """Memory limit of a step's processes together, in megabytes."""
    job_seconds: int
    """Time limit of one step of one run, in seconds."""
    max_upload: int
    """Size limit of an uploaded file, in megabytes."""
    disk_quota: int | None = None
    """Size limit of home and artifacts, in megabytes; above it no steps start. None: no limit."""
    auth: str | None = None
    """`oidc`: sign-in is enabled; `none`: disabled; None: enabled if Streamlit's secrets have `[auth]`."""
    auth_allow: tuple[str, ...] = ()
    """Addresses and @domains that may sign in, in lower case; empty: all whom the provider accepts."""
    metrics_token: str | None = None
    """Token that a request for /metrics has to send; None: no token, or a sign-in where sign-in is enabled."""
    boards: Path | None = None
    """A YAML file with boards of the user's own, beside those that lwdash knows."""
    allow_code: bool = False
    """True if visitors of the dashboard may give Python code with a model."""
    gpu: str = "auto"
    """`auto`: training steps use the GPUs of their host; `off`; or a list of GPUs: numbers of nvidia-smi, or UUIDs."""
    log: str = "text"
    """`text`, or `json`: one object per line."""

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
    """Read the settings; `home` overrides LWDASH_HOME. Raises UserMistake naming an invalid value."""
    known = {f"LWDASH_{f.name.upper()}" for f in fields(Settings)}
    environment = {k: v for k, v in {**dotenv_values(".env"), **os.environ}.items() if k in known and v}
    if home is not None:
        environment["LWDASH_HOME"] = str(home)
    place = Path(environment.get("LWDASH_HOME", ".lwdash")).expanduser().resolve()
    memory_mb = psutil.virtual_memory().total >> 20
    return Settings(
        home=place,
        database_url=environment.get("LWDASH_DATABASE_URL", f"sqlite:///{place / 'lwdash.sqlite'}"),
        artifacts=environment.get("LWDASH_ARTIFACTS", str(place / "artifacts")),
        scheduler=environment.get("LWDASH_SCHEDULER"),
        slots=_whole(environment, "LWDASH_SLOTS", max(1, min(os.cpu_count() or 1, memory_mb // 3000))),
        job_memory=_whole(environment, "LWDASH_JOB_MEMORY", max(1024, int(memory_mb * 0.6))),
        job_seconds=_whole(environment, "LWDASH_JOB_SECONDS", 3600),
        max_upload=_whole(environment, "LWDASH_MAX_UPLOAD", 2048),
        disk_quota=_whole(environment, "LWDASH_DISK_QUOTA", 0) or None,
        auth=environment.get("LWDASH_AUTH"),
        auth_allow=tuple(
            part.strip().lower()
            for part in environment.get("LWDASH_AUTH_ALLOW", "").split(",")
            if part.strip()
        ),
        metrics_token=environment.get("LWDASH_METRICS_TOKEN"),
        boards=Path(environment["LWDASH_BOARDS"]).expanduser() if "LWDASH_BOARDS" in environment else None,
        allow_code=_one_of(environment, "LWDASH_ALLOW_CODE", "0", "1") == "1",
        gpu=_gpu(environment),
        log=_one_of(environment, "LWDASH_LOG", "text", "json"),
    )


def _whole(environment: Mapping[str, str], key: str, default: int) -> int:
    text = environment.get(key)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise UserMistake(f"{key} must be a whole number above 0, but got {text!r}")
    return value


def _gpu(environment: Mapping[str, str]) -> str:
    value = environment.get("LWDASH_GPU", "auto").strip()
    entries = [entry.strip() for entry in value.split(",")]
    if value not in ("auto", "off") and not all(re.fullmatch(_GPU, entry) for entry in entries):
        raise UserMistake(
            "LWDASH_GPU must be auto, off, or GPUs separated by commas: numbers of `nvidia-smi -L`, or UUIDs "
            f"(GPU-… or MIG-…), but got {value!r}"
        )
    return ",".join(entries)


def _one_of(environment: Mapping[str, str], key: str, *values: str) -> str:
    value = environment.get(key, values[0])
    if value not in values:
        raise UserMistake(f"{key} must be {' or '.join(values)}, but got {value!r}")
    return value
