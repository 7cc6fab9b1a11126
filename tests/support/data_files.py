"""Files of every format that lwdash reads, with the same samples in them: for the contract of the readers."""

import io
import math
import wave
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image

SHAPE = (8, 8, 3)
CLASSES = ("cat", "dog", "owl")
Ports = tuple[list[tuple[str, tuple[int | None, ...], str]], list[tuple[str, tuple[int | None, ...], str]]]


@dataclass(frozen=True)
class Kind:
    """One format. write: (path, pixels uint8 (rows, 8, 8, 3), labels) writes a file. values: the pixels → the rows
    that a model of `shape` gets. is_ordered: rows keep the order in which they were given.
    """

    name: str
    suffix: str
    write: Callable[[Path, np.ndarray, list[str]], None]
    shape: tuple[int, ...] = SHAPE
    values: Callable[[np.ndarray], np.ndarray] = lambda pixels: pixels.astype(np.float32)
    preprocess: str = ""
    label: str | None = None

    @property
    def ports(self) -> Ports:
        return [("x", self.shape, "float32")], [("y", (len(CLASSES),), "float32")]


def samples(rows: int = 30, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Different pixels for each row, and labels of all classes, in an order that no reader makes by itself."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (rows, *SHAPE)).astype(np.uint8)
    return pixels, [CLASSES[k] for k in random.permutation(np.arange(rows) % len(CLASSES))]


def _csv(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    flat = pixels.reshape(len(pixels), -1)
    head = "label," + ",".join(f"p{i}" for i in range(flat.shape[1]))
    lines = [f"{label},{','.join(map(str, row))}" for label, row in zip(labels, flat.tolist(), strict=True)]
    path.write_text("\n".join([head, *lines]) + "\n")


def _npz(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    np.savez(path, x=pixels, y=np.array(labels))


def _npz_compressed(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    np.savez_compressed(path, images=pixels.astype(">f4"), labels=np.array(labels, "S5")[:, None])


def _npz_by_columns(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    np.savez_compressed(
        path, X=np.asfortranarray(pixels.astype(np.int16)), Y=_numbers(labels).astype(np.uint8)
    )


def _npz_one_hot(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    np.savez(path, data=pixels.astype(np.float16), target=np.eye(3)[_numbers(labels)])


def _npy(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    np.save(path, np.c_[pixels.reshape(len(pixels), -1), _numbers(labels)])


def _parquet(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    flat = pixels.reshape(len(pixels), -1)
    frame = pd.DataFrame({f"p{i}": column for i, column in enumerate(flat.T)})
    frame.insert(0, "label", pd.Categorical(labels))
    frame.index = [f"row {i}" for i in range(len(frame))]
    frame.to_parquet(path, row_group_size=7)


def _parquet_lists(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)
    pd.DataFrame({"samples": list(flat), "label": labels, "id": range(len(flat))}).to_parquet(
        path, compression="gzip"
    )


def _feather(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    flat = pa.array(pixels.reshape(-1))
    table = pa.table({"pixels": pa.FixedSizeListArray.from_arrays(flat, math.prod(SHAPE)), "class": labels})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=11)


def _encoded(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _images(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/set/cat/._0.png", b"side file")
        for k, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            archive.writestr(f"set/{label}/{k}.PNG", _encoded(image, "PNG"))


def _images_with_list(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for k, image in enumerate(pixels):
            archive.writestr(f"all/{k:03}.bmp", _encoded(image, "BMP"))
        rows = [f"{label};{k:03}.bmp" for k, label in enumerate(labels)]
        archive.writestr("labels.csv", "class;file\n" + "\n".join(rows[::-1]))


def _sounds(path: Path, pixels: np.ndarray, labels: list[str]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k, (row, label) in enumerate(zip(pixels, labels, strict=True)):
            buffer = io.BytesIO()
            with wave.open(buffer, "wb") as sound:
                sound.setnchannels(1)
                sound.setsampwidth(2)
                sound.setframerate(16_000)
                sound.writeframes((row.reshape(-1).astype("<i2") * 100).tobytes())
            archive.writestr(f"{label}/{k}.wav", buffer.getvalue())


def _sound_values(pixels: np.ndarray) -> np.ndarray:
    return (pixels.reshape(len(pixels), -1, 1) * np.float32(100) / np.float32(32768)).astype(np.float32)


def _numbers(labels: list[str]) -> np.ndarray:
    return np.array([CLASSES.index(label) for label in labels])


KINDS = [
    Kind("csv", ".csv", _csv),
    Kind("npz", ".npz", _npz),
    Kind("npz, compressed, big-endian", ".npz", _npz_compressed),
    Kind("npz, first axis fastest", ".npz", _npz_by_columns),
    Kind("npz, one-hot", ".npz", _npz_one_hot),
    Kind("npy", ".npy", _npy, label="last"),
    Kind("parquet", ".parquet", _parquet),
    Kind("parquet, lists", ".parquet", _parquet_lists),
    Kind("feather, fixed lists", ".feather", _feather),
    Kind("images", ".zip", _images),
    Kind("images with a list", ".zip", _images_with_list),
    Kind("sounds", ".zip", _sounds, shape=(math.prod(SHAPE), 1), values=_sound_values),
]
