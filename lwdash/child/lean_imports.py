"""Keeps optional libraries that a child does not use out of its imports."""

import sys

NOT_NEEDED = ("matplotlib", "sklearn", "IPython")
"""Keras imports these where they are installed, for plots and wrappers that a child does not use: 1 to 2 s."""


def hide_optional_libraries() -> None:
    """From now on, those of `NOT_NEEDED` that are not imported yet look to this process as if not installed."""
    for name in NOT_NEEDED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # Python's sign for "cannot be imported"
