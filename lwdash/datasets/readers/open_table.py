"""Opens a data file by its first bytes: the formats of `TABLE_FORMATS`, and any other file as a CSV."""

from pathlib import Path

from lwdash.datasets.readers.archives.image_table import IMAGES
from lwdash.datasets.readers.archives.sound_table import SOUNDS
from lwdash.datasets.readers.arrays.array_table import NUMPY
from lwdash.datasets.readers.arrow_table import ARROW
from lwdash.datasets.readers.csv_text.csv_table import CsvTable
from lwdash.datasets.readers.table import DataTable, OpenOptions, TableFormat
from lwdash.errors import DataRefused

TABLE_FORMATS: list[TableFormat] = [NUMPY, ARROW, IMAGES, SOUNDS]
"""Formats of data files besides CSV text. A format exists by being listed here; see docs/add-a-reader.md."""
HEAD_BYTES = 64


def open_table(path: Path, reading: OpenOptions | None = None) -> DataTable:
    """The table in the file. Raises DataRefused, naming what the file is, for a file that no reader takes."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataRefused(f"{path.name} cannot be opened: {error.strerror}. Upload the file again.") from None
    reading = reading or OpenOptions()
    for known in TABLE_FORMATS:
        if known.accepts(head, path):
            return known.open(path, reading)
    return CsvTable(path, reading)
