"""The rows of an experiment as arrays, in three parts; saved as .npz without pickle."""

import json
import os
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from lwdash.datasets.labels.task import Tensor
from lwdash.datasets.spilled_arrays import release_pages
from lwdash.errors import DataRefused

_FORMAT = 1
_PIECE_BYTES = 16 << 20


@dataclass(frozen=True)
class Dataset:
    """Prepared rows, with labels and parts.

    inputs: model input → (rows, *shape) in the input's dtype. labels: int64 (rows,) output index, int32
    (rows, *positions) where each position has a class, float32 (rows,) or (rows, targets) for numbers and
    yes/no labels, None without. parts: "train" | "calibration" | "evaluation" → row indices, ascending and
    disjoint.

    lines: int64 (rows,) line in the CSV of each row. preprocess: the steps as text. statistics:
    for each input with steps that use the train part, the (offset, width) arrays in the order of the steps.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray | None
    classes: tuple[str, ...] | None
    parts: dict[str, np.ndarray]
    warnings: tuple[str, ...]
    task: str = "unlabelled"
    label: str | None = None
    output: str | None = None
    preprocess: str = ""
    lines: np.ndarray | None = None
    statistics: dict[str, tuple[tuple[np.ndarray, np.ndarray], ...]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))

    def judged(self, outputs: Sequence[Tensor]) -> int:
        """Index of the model output that the labels belong to; the first without labels."""
        names = [name for name, _, _ in outputs]
        return names.index(self.output) if self.output in names else 0

    def part(self, name: str) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """Inputs and labels of one part; a copy of just these rows."""
        if name not in self.parts:
            raise KeyError(f"part must be one of {', '.join(self.parts)}; received '{name}'")
        rows = self.parts[name]
        return (
            {key: np.ascontiguousarray(values[rows]) for key, values in self.inputs.items()},
            None if self.labels is None else self.labels[rows],
        )

    def save(self, path: Path) -> None:
        """Write an uncompressed .npz: `load` maps the inputs instead of reading them."""
        meta: dict[str, Any] = {
            "format": _FORMAT,
            "inputs": list(self.inputs),
            "classes": None if self.classes is None else list(self.classes),
            "parts": list(self.parts),
            "warnings": list(self.warnings),
            "task": self.task,
            "label": self.label,
            "output": self.output,
            "preprocess": self.preprocess,
            "statistics": {name: len(pairs) for name, pairs in self.statistics.items()},
        }
        arrays = {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)}
        arrays |= {f"input_{k}": values for k, values in enumerate(self.inputs.values())}
        arrays |= {f"part_{k}": rows for k, rows in enumerate(self.parts.values())}
        if self.labels is not None:
            arrays["labels"] = self.labels
        if self.lines is not None:
            arrays["lines"] = self.lines
        for k, name in enumerate(self.statistics):
            for j, (offset, width) in enumerate(self.statistics[name]):
                arrays[f"statistic_{k}_{j}_offset"], arrays[f"statistic_{k}_{j}_width"] = offset, width
        with open(path, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                for name, values in arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        _write(member, values)
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def load(cls, path: Path) -> "Dataset":
        """Read a file of `save`. Inputs are mapped read-only, so only the used rows take memory."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                meta = json.loads(stored["meta"].tobytes())
                if meta["format"] != _FORMAT:
                    raise DataRefused(
                        f"{Path(path).name} is data of format {meta['format']}; this version reads {_FORMAT}."
                    )
                inputs = {
                    name: _mapped(Path(path), f"input_{k}.npy", stored)
                    for k, name in enumerate(meta["inputs"])
                }
                statistics = {
                    name: tuple(
                        (stored[f"statistic_{k}_{j}_offset"], stored[f"statistic_{k}_{j}_width"])
                        for j in range(count)
                    )
                    for k, (name, count) in enumerate(meta["statistics"].items())
                }
                return cls(
                    inputs=inputs,
                    labels=stored.get("labels"),
                    classes=None if meta["classes"] is None else tuple(meta["classes"]),
                    parts={name: stored[f"part_{k}"] for k, name in enumerate(meta["parts"])},
                    warnings=tuple(meta["warnings"]),
                    task=meta["task"],
                    label=meta["label"],
                    output=meta["output"],
                    preprocess=meta["preprocess"],
                    lines=stored.get("lines"),
                    statistics=statistics,
                )
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DataRefused(
                f"{Path(path).name} is not prepared data, or is damaged ({error}). Prepare the data again."
            ) from None


def _write(file: IO[bytes], values: np.ndarray) -> None:
    """Write one array in the .npy format, in pieces: a mapped array is never in memory as a whole."""
    header = {
        "descr": np.lib.format.dtype_to_descr(values.dtype),
        "fortran_order": False,
        "shape": values.shape,
    }
    np.lib.format.write_array_header_1_0(file, header)
    if not values.ndim:
        file.write(values.tobytes())
        return
    size = max(1, _PIECE_BYTES // max(1, values[:1].nbytes))
    for start in range(0, len(values), size):
        file.write(np.ascontiguousarray(values[start : start + size]).tobytes())
        release_pages(values)


def _mapped(path: Path, member: str, stored: Any) -> np.ndarray:
    """An array of the archive mapped from the file. Members are stored uncompressed, so their bytes are contiguous."""
    info = stored.zip.getinfo(member)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size == 0:
        return stored[member.removesuffix(".npy")]
    with open(path, "rb") as file:
        file.seek(info.header_offset + 26)
        name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
        file.seek(info.header_offset + 30 + name_bytes + extra_bytes)
        version = np.lib.format.read_magic(file)
        read_header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read_header(file)
        if dtype.hasobject or 0 in shape:
            return stored[member.removesuffix(".npy")]
        return np.memmap(path, dtype, "r", file.tell(), shape, "F" if fortran else "C")
