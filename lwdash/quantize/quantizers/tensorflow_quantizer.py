"""TensorFlow's own full-integer quantizer on a float .tflite, used where litert-quantizer leaves floats.

`tf.lite.TFLiteConverter` runs it after its conversion. Its native code can crash, so it runs in a separate
process.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.contract import Rows
from lwdash.errors import ConversionFailed
from lwdash.failure_causes import explain_crash
from lwdash.process_lifetime import die_with_parent
from lwdash.quantize.input_types import rows_in_file_types
from lwdash.tflite.flatbuffer import read_model, text, write_model
from lwdash.tflite.rewrites.copied_constants import fit_copied_constants
from lwdash.tflite.rewrites.unreachable_clamps import drop_unreachable_clamps

NAME = "TensorFlow's quantizer"
SECONDS = 1800
PROGRAM = f"from {__name__} import main; main()"


def quantize_with_tensorflow(data: bytes, rows: Rows, *, per_channel: bool) -> bytes:
    """`data` with int8 weights and activations, integer inputs and outputs.

    rows: calibration rows by input name. The file must not have loops, which crash the process. Raises
    ConversionFailed when TensorFlow fails or crashes.
    """
    with tempfile.TemporaryDirectory(prefix="quantize-") as name:
        source, calibration, target = (Path(name) / part for part in ("source", "rows.npz", "target"))
        source.write_bytes(data)
        stored: dict[str, Any] = {f"row {name}": values for name, values in rows.items()}
        np.savez(calibration, **stored)
        command = [
            sys.executable,
            "-X",
            "faulthandler",
            "-c",
            PROGRAM,
            str(source),
            str(calibration),
            str(target),
            str(int(per_channel)),
        ]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=SECONDS, env=_environment()
            )
        except subprocess.TimeoutExpired as error:
            raise ConversionFailed(f"{NAME} took longer than {SECONDS} s") from error
        if ended.returncode or not target.exists():
            reason = explain_crash(ended.stderr) or _ending(ended.returncode)
            raise ConversionFailed(f"{NAME} failed: {reason}")
        model = read_model(target.read_bytes())
        fit_copied_constants(model)
        drop_unreachable_clamps(model)
        return write_model(model)


def _environment() -> dict[str, str]:
    """This process's environment, with the folder of this package on the path."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "2"}


def _ending(returncode: int) -> str:
    if returncode < 0:
        return f"it was ended by {signal.Signals(-returncode).name}"
    return f"it ended with exit code {returncode}"


def _quantize(source: Path, calibration: Path, target: Path, per_channel: bool) -> None:
    """Body of the separate process."""
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    data = source.read_bytes()
    graph = read_model(data).subgraphs[0]
    names = [text(graph.tensors[index].name) for index in graph.inputs]
    with np.load(calibration, allow_pickle=False) as stored:
        rows = rows_in_file_types(data, {name: stored[f"row {name}"] for name in names})
    columns = [rows[name] for name in names]

    def one_by_one() -> Iterator[list[np.ndarray]]:
        for i in range(len(columns[0])):
            yield [values[i : i + 1] for values in columns]

    calibrated = Calibrator(data).calibrate(one_by_one)
    quantized = mlir_quantize(
        calibrated,
        disable_per_channel=not per_channel,
        fully_quantize=True,
        input_data_type=tf.int8,
        output_data_type=tf.int8,
    )
    _run_once(bytes(quantized), [values[:1] for values in columns])
    target.write_bytes(quantized)


def _run_once(data: bytes, row: Sequence[np.ndarray]) -> None:
    """Run the file once, so that a crash of LiteRT ends this process, not its parent.

    row: the inputs' values, zeros where the file takes quantized numbers; uninitialised memory might be no
    valid index.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    for port, values in zip(interpreter.get_input_details(), row, strict=True):
        is_as_given = values.dtype == port["dtype"]
        interpreter.set_tensor(
            port["index"], values if is_as_given else np.zeros(port["shape"], port["dtype"])
        )
    interpreter.invoke()


def main() -> None:
    """Entry of that process: SOURCE ROWS TARGET PER_CHANNEL."""
    die_with_parent()  # a process that was stopped with its group would remain
    source, rows, target = (Path(argument) for argument in sys.argv[1:4])
    _quantize(source, rows, target, per_channel=sys.argv[4] == "1")
