"""lwdash: measures what compressing a Keras model saves, and what it costs.

`lwdash.experiment` and `lwdash.experiments` are the Python interface, see lwdash.api. They are imported on first use, so
that importing lwdash stays cheap.
"""

import importlib
from typing import Any

__version__ = "0.9.0"

INTERFACE = ("experiment", "experiments")
"""Names of lwdash.api that are names of this package, too; their types are in __init__.pyi."""


def __getattr__(name: str) -> Any:
    if name in INTERFACE:
        return getattr(importlib.import_module("lwdash.api"), name)
    raise AttributeError(f"module 'lwdash' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *INTERFACE])
