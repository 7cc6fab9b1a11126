"""The code file of a model: its text, and what it defines, without running it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from lwdash.errors import ModelRefused

MAX_CODE_BYTES = 1 << 20

WAYS = (
    "If you trust who wrote the model, give the Python file that defines its custom parts: --code FILE.py on the "
    "command line, code=… in Python, or the field for it on the New page where the operator has set LWDASH_ALLOW_CODE"
)
"""The ways to consent, for refusals."""


@dataclass(frozen=True)
class CodeFile:
    """A stored code file. sha256: None where only its content counts, as in scripts."""

    path: Path
    name: str
    sha256: str | None = None


def read_code(file: CodeFile) -> str:
    """The text of a code file. Raises ModelRefused, with the line, for one that is not Python."""
    if file.path.stat().st_size > MAX_CODE_BYTES:
        raise ModelRefused(
            f"{file.name} has {file.path.stat().st_size:,} bytes; a code file has at most {MAX_CODE_BYTES:,}. "
            "Give only the classes and functions that the model needs"
        )
    try:
        text = file.path.read_bytes().decode("utf-8-sig")
        ast.parse(text)
    except UnicodeDecodeError as error:
        raise ModelRefused(
            f"{file.name} is not a Python file in UTF-8: byte {error.start:,} is no text"
        ) from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ModelRefused(f"{file.name}{line} is not Python {_version()}: {what}") from error
    return text


def _version() -> str:
    import sys

    return f"{sys.version_info.major}.{sys.version_info.minor}"
