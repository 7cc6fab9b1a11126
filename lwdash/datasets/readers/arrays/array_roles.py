"""Names of arrays: the part of the rows that a name states (x_train, test_images), and what remains of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lwdash.datasets.labels.label_columns import is_label_name
from lwdash.errors import DataRefused

PART_WORDS: Mapping[str, str] = {
    "train": "train", "training": "train", "trn": "train", "tr": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "calibration": "calibration", "calib": "calibration", "representative": "calibration",
    "test": "evaluation", "testing": "evaluation", "eval": "evaluation", "evaluation": "evaluation",
}  # fmt: skip
"""Word in a name, or name of a folder → the part that it states."""
_GLUED = re.compile(r"([xy])_?(train|val|valid|test)|(train|val|valid|test)_?([xy])", re.I)
MAIN_STEM = "x"


@dataclass(frozen=True)
class StatedParts:
    """Arrays of one kind whose names state parts, such as x_train and x_test.

    main: names whose rows are divided among the parts that no other name states; others: part → name.
    """

    main: str
    others: Mapping[str, str]


def split_name(name: str) -> tuple[str, str | None]:
    """(`stem`, part): x_train → ("x", "train"), test_images → ("images", "evaluation"), y → ("y", None)."""
    glued = _GLUED.fullmatch(name)
    if glued:
        stem, word = (glued[1] or glued[4]), (glued[2] or glued[3])
        return stem, PART_WORDS[word.lower()]
    words = [word for word in re.split(r"[_.\-\s/]+", name) if word]
    places = [i for i, word in enumerate(words) if word.lower() in PART_WORDS]
    if len(places) != 1:
        return name, None
    rest = "_".join(words[: places[0]] + words[places[0] + 1 :])
    return rest or MAIN_STEM, PART_WORDS[words[places[0]].lower()]


def stated_parts(names: Mapping[str, str]) -> StatedParts:
    """The use of the parts that a file states. names: stated part → what states it.

    Rows for validation set ranges where there are others for evaluation, and are evaluated where there are none.
    The rest is divided among the parts that are missing. Raises DataRefused where no rows are left to divide.
    """
    own = dict(names)
    validation = own.pop("validation", None)
    if validation is not None:
        free = next((part for part in ("evaluation", "calibration", "train") if part not in own), None)
        if free is None:
            raise DataRefused(
                f"'{validation}' are rows for validation, but train, calibration and evaluation rows are there too. "
                "Leave one of them out of the file."
            )
        own[free] = validation
    main = own.pop("train", None)
    if main is None and own:
        main = own.pop("calibration", None) or own.pop("evaluation")
    assert main is not None, "at least one part is stated"
    return StatedParts(main, own)


def label_stems(stems: Iterable[str]) -> list[str]:
    """The names that are usual for labels; `class_names` is a list of classes."""
    return [
        stem
        for stem in stems
        if is_label_name(stem.rstrip("0123456789")) and not re.search(r"(^|[_\W])?names$", stem, re.I)
    ]


def array_list(shapes: Mapping[str, Sequence[int | None]]) -> str:
    """`x (100, 28, 28), y (100,)` for messages."""

    def text(shape: Sequence[int | None]) -> str:
        inner = ", ".join("any" if n is None else str(n) for n in shape)
        return f"({inner},)" if len(shape) == 1 else f"({inner})"

    shown = [f"{name} {text(shape)}" for name, shape in list(shapes.items())[:8]]
    return ", ".join(shown) + (" …" if len(shapes) > 8 else "")
