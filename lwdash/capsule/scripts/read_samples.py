"""Reads the evaluation rows of this capsule from NumPy, Parquet and Feather files, and from zips of images or WAV files.

`evaluate.py` calls it. It needs numpy, for Parquet and Feather pyarrow, and for images Pillow.
"""

import io
import struct
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

Plan = dict[str, Any]


def read_inputs(path: Path, plan: Plan, lines: np.ndarray) -> list[np.ndarray]:
    """The values of each input of the model before its pre-processing, (rows, …). lines: numbers of the rows, from 1."""
    read = {
        "numpy": read_numpy,
        "parquet": read_arrow,
        "feather": read_arrow,
        "images": read_images,
        "sounds": read_sounds,
    }[plan["kind"]]
    return [read(path, described["source"], lines) for described in plan["inputs"]]


def read_numpy(path: Path, source: Plan, lines: np.ndarray) -> np.ndarray:
    """One array, or one column for each number of a row. An array may be in several pieces, such as x_train and x_test."""
    stored = np.load(path, allow_pickle=False)
    arrays = {"data": stored} if isinstance(stored, np.ndarray) else stored
    columns = []
    for column in source["columns"]:
        values = picked([arrays[name] for name in column["arrays"]], lines - 1)
        columns.append(
            values if column["place"] is None else values.reshape(len(values), -1)[:, column["place"]]
        )
    return columns[0] if source["columns"][0]["place"] is None else np.stack(columns, axis=1)


def picked(pieces: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """These rows, ascending, of the pieces one after another."""
    found, start = [], 0
    for piece in pieces:
        found.append(piece[rows[(rows >= start) & (rows < start + len(piece))] - start])
        start += len(piece)
    return np.concatenate(found)


def read_arrow(path: Path, source: Plan, lines: np.ndarray) -> np.ndarray:
    """One column of lists, or one column for each number."""
    import pyarrow as pa
    import pyarrow.compute
    import pyarrow.parquet

    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    table = (
        pyarrow.parquet.ParquetFile(path).read()
        if is_parquet
        else pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    )
    columns = []
    for place in source["places"]:
        column = table.column(place).combine_chunks()
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        if isinstance(column, pa.DictionaryArray):
            column = column.dictionary_decode()
        column = column.take(pa.array(lines - 1))
        if source["shape"]:
            return np.array(column.to_pylist(), np.float64).reshape(len(lines), *source["shape"])
        columns.append(pyarrow.compute.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    return np.stack(columns, axis=1)


def read_images(path: Path, source: Plan, lines: np.ndarray) -> np.ndarray:
    """Images turned upright, in the model's colours and size."""
    from PIL import Image, ImageOps

    height, width, channels = source["shape"]
    rows = []
    with zipfile.ZipFile(path) as archive:
        for member in source["members"]:
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(archive.read(member))))
            if image.mode.startswith("I"):  # 16 bits of grey, of which the upper 8 are kept
                image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
            if image.mode in ("P", "PA"):
                image = image.convert("RGBA").convert("RGB")
            image = image.convert("L" if channels == 1 else "RGB")
            if image.size != (width, height):
                fit = {"crop": ImageOps.fit, "pad": ImageOps.pad}.get(source["resize"], Image.Image.resize)
                image = fit(image, (width, height), Image.Resampling.BILINEAR)
            values = np.asarray(image, np.uint8)
            rows.append(values[..., None] if channels == 1 else values)
    found = np.stack(rows)
    return found[..., ::-1] if source["colour"] == "bgr" else found


def read_sounds(path: Path, source: Plan, lines: np.ndarray) -> np.ndarray:
    """WAV files as float32, channels averaged, at the rate and with the length of the plan."""
    with zipfile.ZipFile(path) as archive:
        sounds = [wav(archive.read(member)) for member in source["members"]]
    return np.stack([fitted(at_rate(values, rate, source), source) for rate, values in sounds])


def wav(content: bytes) -> tuple[int, np.ndarray]:
    """(values per second, values)"""
    place, layout, data, data_bytes = 12, b"", b"", len(content)
    while place + 8 <= len(content):
        name, size = content[place : place + 4], struct.unpack_from("<I", content, place + 4)[0]
        if name == b"data" and size == 0xFFFF_FFFF:
            size = min(data_bytes, len(content) - place - 8)
        body = content[place + 8 : place + 8 + size]
        if name == b"ds64":
            data_bytes = struct.unpack_from("<Q", body, 8)[0]
        elif name == b"fmt ":
            layout = body
        elif name == b"data":
            data = body
        place += 8 + size + size % 2
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", layout)
    if kind == 0xFFFE:
        kind = struct.unpack_from("<H", layout, 24)[0]
    data = data[: len(data) // (channels * bits // 8) * (channels * bits // 8)]
    if kind == 3:
        values = np.frombuffer(data, f"<f{bits // 8}")
    elif bits == 8:
        values = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    elif bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values = wide.view("<i4")[:, 0] / np.float64(2**31)
    else:
        values = np.frombuffer(data, f"<i{bits // 8}") / np.float64(2 ** (bits - 1))
    return rate, values.reshape(-1, channels).mean(axis=1, dtype=np.float64).astype(np.float32)


def at_rate(values: np.ndarray, rate: int, source: Plan) -> np.ndarray:
    """The sound at the rate that the plan states, if it states one."""
    target = source.get("rate")
    if not target or target == rate:
        return values
    from scipy.signal import resample_poly

    low, high = sorted((rate, target))
    ratio = Fraction(high, low).limit_denominator(10_000 * low // high or 1)
    up, down = (ratio.numerator, ratio.denominator) if target > rate else (ratio.denominator, ratio.numerator)
    return resample_poly(values.astype(np.float64), up, down).astype(np.float32)


def fitted(values: np.ndarray, source: Plan) -> np.ndarray:
    """Cut to the length of the plan, or filled with silence."""
    surplus = len(values) - source["length"]
    before = abs(surplus) // 2 if source["place"] == "centre" else 0
    if surplus >= 0:
        return values[before : before + source["length"]]
    return np.pad(values, (before, -surplus - before))
