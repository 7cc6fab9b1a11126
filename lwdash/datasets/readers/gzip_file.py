"""CSV text compressed with gzip."""

import gzip
import io
import zlib
from typing import IO

from lwdash.datasets.readers.file_format import FileFormat


def _open_text(file: IO[bytes]) -> IO[bytes]:
    return io.BufferedReader(gzip.GzipFile(fileobj=file, mode="rb"), 1 << 20)  # type: ignore[type-var]


GZIP = FileFormat("gzip", b"\x1f\x8b", _open_text, (EOFError, gzip.BadGzipFile, zlib.error))
