"""The description of a file format that a reader opens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True)
class FileFormat:
    """A kind of file with CSV text inside."""

    name: str
    magic: bytes
    """The first bytes of each such file."""
    open_text: Callable[[IO[bytes]], IO[bytes]]
    """The stream of the file → a stream of the CSV text, which is read piece by piece."""
    damage: tuple[type[Exception], ...]
    """The exceptions that reading the text raises if the file is damaged or incomplete."""
