"""Hides optional libraries that a child does not use from its imports."""

import sys

NOT_NEEDED = ("matplotlib", "sklearn", "IPython")
"""Keras imports these if they are installed, for plots and wrappers that a child does not use: 1 to 2 s."""


def hide_optional_libraries() -> None:
    """Make the libraries of `NOT_NEEDED` that are not imported yet look as if they were not installed."""
    for name in NOT_NEEDED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # Python's sign for "cannot be imported"
