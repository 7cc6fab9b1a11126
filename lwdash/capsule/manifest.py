"""The manifest of a capsule, `capsule.json`. It is checked when it is read, since a capsule may come from anywhere."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any

from lwdash.datasets.data_settings import DataSettings
from lwdash.errors import LwdashError, UserMistake
from lwdash.recipe import parse_recipe

FORMAT = 1
TASKS = ("classification", "binary", "multi-label", "regression", "reconstruction")
PARTS = ("evaluation", "calibration")
COMPARED_METRICS = (
    "size_bytes", "gzip_bytes", "huffman_bytes", "sparsity", "accuracy", "agreement", "mae", "rmse",
    "reconstruction_error", "sqnr_db", "mean_iou", "agreement_generated", "sqnr_generated_db",
)  # fmt: skip
"""Metrics that do not depend on the host, so that they can be compared with a capsule's."""


class CapsuleRefused(UserMistake):
    """This capsule cannot be used."""


@dataclass(frozen=True)
class Origin:
    """An original file: its name for users, and its SHA-256 in hex."""

    name: str
    sha256: str
    size_bytes: int | None = None


@dataclass(frozen=True)
class Manifest:
    """Description of a capsule: its run, the files, and what its scripts need.

    recipe: canonical. settings: as `DataSettings.to_dict`. libraries: "name version" of the run, () where
    they were not recorded. expected: metrics by name. rows: plan of evaluate.py for reading the evaluation
    rows, None where the rows could not be read when the capsule was made. host: the host of the measurement.
    code: the Python file of a model with custom layers. made_elsewhere: the file was brought in, and the recipe is its
    name.
    """

    recipe: str
    experiment: str
    run: int
    task: str
    seed: int
    settings: Mapping[str, Any]
    model: Origin
    data: Origin
    parts: Mapping[str, Origin]
    tflite: Origin
    baseline: Origin
    libraries: tuple[str, ...]
    expected: Mapping[str, Any]
    host: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Any] | None = None
    made_by: str = ""
    made_at: str = ""
    code: Origin | None = None
    format: int = FORMAT
    made_elsewhere: bool = False

    @property
    def originals(self) -> dict[str, Origin]:
        """Role of each original file → the file: "model", "data", the parts, and "code" where the model needs it."""
        code = {} if self.code is None else {"code": self.code}
        return {"model": self.model, "data": self.data, **self.parts, **code}

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(text: str) -> Manifest:
    """The manifest in `text`. Raises CapsuleRefused with the cause; recipe and settings of the result are valid."""
    try:
        values = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise CapsuleRefused(f"capsule.json is not JSON: {error}") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise CapsuleRefused(
            f"capsule.json is of format {found!r}; this version of lwdash reads format {FORMAT}"
        )
    try:
        manifest = Manifest(
            recipe=_text(values, "recipe"),
            experiment=_text(values, "experiment"),
            run=_whole(values, "run"),
            task=_one_of(values, "task", TASKS),
            seed=_whole(values, "seed"),
            settings=_mapping(values, "settings"),
            model=_origin(values["model"]),
            data=_origin(values["data"]),
            parts={
                _one_of({"part": p}, "part", PARTS): _origin(o) for p, o in _mapping(values, "parts").items()
            },
            tflite=_origin(values["tflite"]),
            baseline=_origin(values["baseline"]),
            libraries=tuple(map(str, values["libraries"])),
            expected=_mapping(values, "expected"),
            host=_mapping(values, "host"),
            rows=None if values.get("rows") is None else _mapping(values, "rows"),
            made_by=str(values.get("made_by", "")),
            made_at=str(values.get("made_at", "")),
            code=None if values.get("code") is None else _origin(values["code"]),
            made_elsewhere=values.get("made_elsewhere", False) is True,
        )
        if not manifest.made_elsewhere:
            parse_recipe(manifest.recipe)
        DataSettings.from_dict(manifest.settings)
    except CapsuleRefused:
        raise
    except LwdashError as error:
        raise CapsuleRefused(f"capsule.json: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CapsuleRefused(f"capsule.json lacks a value or has a wrong one: {error}") from None
    return manifest


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not a JSON number")


def _text(values: Mapping[str, Any], key: str, most: int = 10_000) -> str:
    value = values[key]
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise CapsuleRefused(
            f"capsule.json: {key} must be text of at most {most:,} letters, but is {str(value)[:60]!r}"
        )
    return value


def _whole(values: Mapping[str, Any], key: str) -> int:
    value = values[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise CapsuleRefused(f"capsule.json: {key} must be a whole number, but is {str(value)[:60]!r}")
    return value


def _mapping(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = values[key]
    if not isinstance(value, dict):
        raise CapsuleRefused(f"capsule.json: {key} must be an object, but is {type(value).__name__}")
    return value


def _one_of(values: Mapping[str, Any], key: str, known: tuple[str, ...]) -> str:
    value = values[key]
    if value not in known:
        raise CapsuleRefused(
            f"capsule.json: {key} must be one of {', '.join(known)}, but is {str(value)[:60]!r}"
        )
    return value


def _origin(values: Mapping[str, Any]) -> Origin:
    name, sha256 = PurePath(_text(values, "name", 255)).name, _text(values, "sha256", 64)
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise CapsuleRefused(f"capsule.json: {sha256[:20]!r} is not a SHA-256 in hex")
    if name in ("", "..") or not name.isprintable():
        raise CapsuleRefused(f"capsule.json: {name!r} is not a file name")
    size = values.get("size_bytes")
    return Origin(name, sha256, size if isinstance(size, int) else None)
