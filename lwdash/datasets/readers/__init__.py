"""Readers of data files. A file format with CSV text inside exists by being listed here; see docs/add-a-reader.md."""

from lwdash.datasets.readers.file_format import FileFormat
from lwdash.datasets.readers.gzip_file import GZIP

FORMATS: list[FileFormat] = [GZIP]
"""Formats that are opened by their first bytes; any other file is taken for the text itself."""
