"""The entry of `lwdash …`. Commands that make files start the import of TensorFlow before this process imports its own
libraries: TensorFlow's import takes seconds, and a computer has more than one core.
"""

from __future__ import annotations

import contextlib
import os
import sys

from lwdash.engine.child_process import keep_warm
from lwdash.errors import UserMistake
from lwdash.settings import load_settings

MAKING = ("run", "check", "search")


def main() -> int:
    """Run the command line, see `lwdash.cli.main`; return its exit code."""
    if sys.argv[1:2] and sys.argv[1] in MAKING and not {"-h", "--help"} & set(sys.argv):
        _expect_tensorflow()
    from lwdash.cli.main import main as command

    return command()


def _expect_tensorflow() -> None:
    """Start the warm parent; a home that cannot be used is reported by the command itself."""
    with contextlib.suppress(UserMistake, OSError):
        settings = load_settings()
        if settings.scheduler:
            return
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(settings.home, os.R_OK | os.W_OK | os.X_OK):
            keep_warm(settings)
