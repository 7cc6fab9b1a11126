"""Paths of the pages relative to the shell, in Streamlit's form."""

import os
from pathlib import Path

from lwdash.settings import DASHBOARD

_SHELL_FOLDER = Path(__file__).parents[1]


def _path(name: str) -> str:
    return os.path.relpath(DASHBOARD / "pages" / name, _SHELL_FOLDER)


OVERVIEW = _path("overview.py")
NEW = _path("new.py")
EXPERIMENT = _path("experiment.py")
COMPARE = _path("compare.py")
RUN = _path("run.py")
SYSTEM = _path("system.py")
GLOSSARY = _path("glossary.py")
