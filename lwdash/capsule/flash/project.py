"""Writes the zip of a project to flash, from a file that TensorFlow Lite Micro runs and rows to test it with."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import lwdash
from lwdash.capsule import c_array
from lwdash.capsule.flash.build_files import build_files
from lwdash.capsule.flash.sources import PortRows, program, rows_header, rows_source, settings_header
from lwdash.errors import NotFlashable
from lwdash.measure.micro_runtime import refusal_on_micro
from lwdash.measure.runner import match_inputs, to_stored
from lwdash.targets.micro import Arena, run_on_micro
from lwdash.targets.target_result import installed_version
from lwdash.tflite.reader import Port, TfliteFacts, read_tflite
from lwdash.tflite.tensor import is_integer

MAX_ROWS = 4
MAX_ROW_BYTES = 1 << 20
"""Limit for the test rows in flash; of larger rows fewer are written, at least one."""


def write_project(
    zip_path: Path, tflite: Path, rows: Mapping[str, np.ndarray], *, title: str, notes: Mapping[str, str]
) -> None:
    """Write the project of the file `tflite` to `zip_path`; rows: input → (rows, *shape) of real numbers.

    notes: comment above the array. Raises NotFlashable for a file that TensorFlow Lite Micro refuses, MicroUnavailable
    where the library is missing.
    """
    data = tflite.read_bytes()
    facts = read_tflite(data)
    few = {name: np.asarray(values)[: _rows_that_fit(rows)] for name, values in rows.items()}
    inputs, outputs, arena = _run(facts, data, few)
    array = c_array.c_name(title)
    operators = sorted({operator.type for operator in facts.operators})
    count = len(inputs[0].values)
    texts = {
        f"src/{array}.h": c_array.header(array, len(data), notes),
        f"src/{array}.cc": "".join(c_array.source(tflite, array, f"{array}.h", notes)),
        "src/model_settings.h": settings_header(inputs, outputs, arena.total_bytes, count),
        "src/test_rows.h": rows_header(inputs, outputs),
        "src/test_rows.cc": rows_source(inputs, outputs),
        "src/main.cc": program(inputs, outputs, operators, array),
        **build_files(
            title=title,
            array=array,
            rows=count,
            file_bytes=len(data),
            arena_bytes=arena.total_bytes,
            operators=operators,
            version=f"tflite-micro {installed_version('tflite-micro')}",
            made_by=f"Made by lwdash {lwdash.__version__}",
        ),
    }
    with zipfile.ZipFile(zip_path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in texts.items():
            packed.writestr(f"{array.removeprefix('g_')}/{name}", text)


def _run(
    facts: TfliteFacts, data: bytes, rows: Mapping[str, np.ndarray]
) -> tuple[list[PortRows], list[PortRows], Arena]:
    """Inputs and outputs with their stored values, and the arena."""
    ended = run_on_micro(data, rows)
    if ended.refusal is not None or ended.arena is None:
        known = refusal_on_micro(facts)
        reason = (
            f"{known.reason}; {known.remedy}" if known else ended.refusal or "it did not report its arena"
        )
        raise NotFlashable(f"there is no project to flash: TensorFlow Lite Micro refuses the file: {reason}")
    taken = match_inputs(facts, rows)
    inputs = [_port(facts, port, np.asarray(rows[taken[port.name]])) for port in facts.inputs]
    return inputs, [_port(facts, port, ended.outputs[port.name]) for port in facts.outputs], ended.arena


def _port(facts: TfliteFacts, port: Port, real: np.ndarray) -> PortRows:
    tensor = facts.subgraphs[0].tensors[port.tensor]
    stored = to_stored(real, tensor, port.name)
    if not is_integer(tensor.dtype) or tensor.quantization is None:
        return PortRows(port.name, stored, None, None)
    quantization = tensor.quantization
    return PortRows(port.name, stored, float(quantization.scale[0]), int(quantization.zero_point[0]))


def _rows_that_fit(rows: Mapping[str, np.ndarray]) -> int:
    row_bytes = sum(4 * int(np.prod(np.shape(values)[1:], dtype=int)) for values in rows.values())
    return max(1, min(MAX_ROWS, MAX_ROW_BYTES // max(1, row_bytes)))
