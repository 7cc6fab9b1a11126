"""Findings of the linter: the place in the data, the effect, and what to do."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)
"""error: metrics would be wrong; warning: they are probably misleading, or bits are lost; note: useful to know."""

CODES = {
    "scaled-twice": "Scaled twice",
    "not-scaled": "Never scaled",
    "other-units": "Other units than in training",
    "beyond-range": "Beyond the expected range",
    "transposed": "Rows and columns swapped",
    "outliers": "Outliers stretch the int8 range",
    "uneven-units": "Columns too small for a common int8 range",
    "uneven-targets": "Targets too small for a common int8 range",
    "beyond-calibration": "Evaluation rows beyond the calibrated range",
    "constant-columns": "Constant columns",
    "duplicate-columns": "Duplicated columns",
    "label-copy": "A column reveals the label",
    "counts-up": "A column that only counts up",
    "shared-rows": "Rows in more than one part",
    "repeated-rows": "Repeated rows",
    "torn-labels": "Same sample, different labels",
    "overlapping-windows": "Windows overlap",
    "missing-classes": "Missing classes",
    "mixed-rates": "Sounds at different rates",
    "other-rate": "Sounds at another rate than the model's?",
    "few-rows": "Few evaluation rows",
    "few-per-class": "Few rows of a class",
    "few-calibration": "Few calibration rows",
    "imbalance": "Uneven classes",
    "number-or-class": "Numbers or classes?",
    "labels-contradicted": "The model contradicts the labels",
    "below-chance": "Right less often than chance",
    "labels-untold": "Labels not confirmed by the model",
    "generated-rows": "Rows generated from the model",
}
"""Title of every finding, by its code."""


@dataclass(frozen=True)
class Finding:
    """One fact about the data that the user should know before any run.

    what: the fact, with its values. where: input, columns, rows or part. why: its effect on the metrics.
    advice: what to do. fix: settings of `DataSettings` to change, by name, if one click can do it.
    stops: no run starts before the user has acted on it.
    """

    code: str
    severity: str
    what: str
    where: str
    why: str
    advice: str
    fix: Mapping[str, Any] | None = None
    stops: bool = False

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"code must be one of {', '.join(CODES)}; received {self.code!r}")
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity must be one of {', '.join(SEVERITIES)}; received {self.severity!r}")

    @property
    def title(self) -> str:
        return CODES[self.code]

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "title": self.title}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Finding":
        return cls(**{key: value for key, value in stored.items() if key != "title"})


def by_severity(found: list[Finding]) -> list[Finding]:
    """The most severe first, otherwise in the order in which they were found."""
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def generated_finding(method: str) -> Finding:
    """The only finding on generated rows. method: how they were made, as a clause."""
    return Finding(
        "generated-rows",
        WARNING,
        "There is no data: the rows were generated from the model.",
        method,
        "No accuracy is measured. Agreement with the original on generated rows does not tell it, and ranges of integers "
        "may not fit real values.",
        "Give samples as soon as there are some: a few hundred without labels already set the ranges, labels give the "
        "accuracy.",
    )
