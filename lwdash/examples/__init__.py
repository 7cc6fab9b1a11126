"""Two models with their data, ready to try without a network: handwritten digits and heartbeats.

The files are beside this module. README.md here states their sources; `make_digits.py` and
`make_heartbeats.py` make them again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Example:
    """A trained Keras model and a CSV with rows that were not used for training."""

    name: str
    title: str
    description: str
    model_path: Path
    data_path: Path
    label: str
    drawn_as: Literal["image", "curve"]

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"an example's name must be an identifier, but got {self.name!r}")


EXAMPLES: tuple[Example, ...] = (
    Example(
        name="digits",
        title="Handwritten digits",
        description=(
            "A 2-D convolutional network that reads handwritten digits of 8 × 8 pixels, grey levels 0–16 "
            "(UCI). It has 21,546 parameters, ten classes, and 1,079 rows not used for training."
        ),
        model_path=FOLDER / "digits.keras",
        data_path=FOLDER / "digits.csv",
        label="label",
        drawn_as="image",
    ),
    Example(
        name="heartbeats",
        title="Heartbeats",
        description=(
            "A 1-D convolutional network that distinguishes four kinds of heartbeat in one second of an "
            "electrocardiogram: synthetic, 500 samples in millivolts. It has 11,700 parameters, text "
            "labels, and 1,000 rows not used for training."
        ),
        model_path=FOLDER / "heartbeats.keras",
        data_path=FOLDER / "heartbeats.csv.gz",
        label="label",
        drawn_as="curve",
    ),
)


def find_example(name: str) -> Example:
    """The example with this name; KeyError with the known names if there is none."""
    for example in EXAMPLES:
        if example.name == name:
            return example
    raise KeyError(f"no example {name!r} (there are: {', '.join(e.name for e in EXAMPLES)})")
