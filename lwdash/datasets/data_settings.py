"""The user's settings for a data file, stored with the experiment."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lwdash.datasets.preprocessing.language import parse_preprocess
from lwdash.errors import DataRefused

NO_LABEL = ""
TASKS = ("classification", "binary", "multi-label", "regression", "reconstruction")
DATA_FILES = (
    "a CSV with one row each, Parquet or Feather, NumPy arrays (.npz, .npy), or a zip of images or WAV files"
)
"""The kinds of data files, in words."""
DATA_SUFFIXES = (
    ".csv",
    ".tsv",
    ".txt",
    ".gz",
    ".csv.gz",
    ".npz",
    ".npy",
    ".zip",
    ".parquet",
    ".feather",
    ".arrow",
)
_LEFT_OUT_BY_DEFAULT = {"task": None, "trusts_labels": False, "generated": None}
"""Settings that are stored only if they are used, so that settings of earlier versions keep the same text."""


@dataclass(frozen=True)
class DataSettings:
    """Settings for reading a data file for a model. None means: detect it from the data.

    label: name of the label column; "" means no label; "first" and "last" also name a column.
    classes: label texts in the order of the model's outputs, e.g. ("1", "2", "3", "4", "5").
    ignored: columns that are neither label nor input, e.g. an id.
    delimiter: one character. preprocess: the steps as text, see `preprocess.parse_preprocess`.
    seed: determines the part of each row.
    task: the task of the outputs, one of `TASKS`. trusts_labels: the labels are correct even where the
    model's own outputs contradict them.
    generated: for rows that were generated from the model, how, as a clause; None: the rows are real.
    """

    label: str | None = None
    classes: tuple[str, ...] | None = None
    has_header: bool | None = None
    delimiter: str | None = None
    ignored: tuple[str, ...] = ()
    preprocess: str = ""
    seed: int = 0
    task: str | None = None
    trusts_labels: bool = False
    generated: str | None = None

    def __post_init__(self) -> None:
        for key in ("classes", "ignored"):
            value = getattr(self, key)
            if isinstance(value, str):
                raise DataRefused(f"{key} must be a list of texts; received {value!r}.")
            if value is not None:
                object.__setattr__(self, key, tuple(str(item) for item in value))
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            repeated = next(c for c in self.classes if self.classes.count(c) > 1)
            raise DataRefused(f"class '{repeated}' is listed twice; each label has one output.")
        if self.task is not None and self.task not in TASKS:
            raise DataRefused(f"the task must be one of {', '.join(TASKS)}; received {self.task!r}.")
        parse_preprocess(self.preprocess)

    def to_dict(self) -> dict[str, Any]:
        result = asdict(self)
        for key in ("classes", "ignored"):
            if result[key] is not None:
                result[key] = list(result[key])
        for key, default in _LEFT_OUT_BY_DEFAULT.items():
            if result[key] == default:
                del result[key]
        return result

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "DataSettings":
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(stored) - known)
        if unknown:
            raise DataRefused(f"unknown data setting '{unknown[0]}' (known: {', '.join(sorted(known))}).")
        return cls(**stored)
