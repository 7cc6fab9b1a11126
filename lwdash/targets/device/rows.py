"""The package of rows for a device: inputs in the types of the files, and the outputs that LiteRT computes here."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from lwdash.measure.runner import Runner
from lwdash.targets.device.measuring import run_rows
from lwdash.tflite.tensor import is_integer

MAX_ROWS = 16
MAX_INPUT_BYTES = 8 << 20
"""Of all rows together; with larger rows there are fewer, at least one."""


def pack_rows(tflite: bytes, baseline: bytes, rows: Mapping[str, np.ndarray]) -> bytes:
    """An .npz of at most MAX_ROWS of `rows`, name → (rows, *shape), for `tflite`, and of the first for `baseline`.

    `file_in_7`: the steps of input tensor 7, (steps, batch, *shape); `file_out_9`: the outputs of tensor 9 here;
    `scale_9`: one step of an integer output, 0 for floats; `baseline_in_3`: one step of the baseline's input.
    """
    row_bytes = sum(max(1, values[:1].nbytes) for values in rows.values())
    count = max(1, min(MAX_ROWS, MAX_INPUT_BYTES // row_bytes))
    some = {name: values[:count] for name, values in rows.items()}
    batch, steps = _steps(tflite, some)
    _, first = _steps(baseline, {name: values[:1] for name, values in rows.items()})
    arrays = {f"file_in_{tensor}": values for tensor, values in steps.items()}
    arrays |= {f"baseline_in_{tensor}": values for tensor, values in first.items()}
    tensors = Runner(tflite).facts.subgraphs[0].tensors
    for tensor, values in run_rows(tflite, steps).items():
        quantization = tensors[tensor].quantization if is_integer(tensors[tensor].dtype) else None
        scale = 1.0 if quantization is None else float(quantization.scale[0])
        arrays[f"file_out_{tensor}"] = values
        arrays[f"scale_{tensor}"] = np.array(scale if is_integer(tensors[tensor].dtype) else 0.0)
    arrays["rows"] = np.array(len(next(iter(some.values()))))
    arrays["batch"] = np.array(batch)
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    return packed.getvalue()


def _steps(data: bytes, rows: Mapping[str, np.ndarray]) -> tuple[int, dict[int, np.ndarray]]:
    """The batch of a file, and by input tensor (steps, batch, *shape); the last row fills up the last batch."""
    runner = Runner(data)
    columns = runner.quantized_inputs(rows)
    tensors = runner.facts.subgraphs[0].tensors
    batch = max(1, *(tensors[tensor].shape_signature[0] for tensor in columns))
    found = {}
    for tensor, values in columns.items():
        missing = -len(values) % batch
        whole = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
        found[tensor] = whole.reshape(-1, batch, *values.shape[1:])
    return batch, found
