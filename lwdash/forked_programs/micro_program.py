"""A .tflite in TensorFlow Lite Micro: `python -m lwdash.forked_programs.micro_program MODEL ROWS RESULT [SECONDS]`.

Prints {"error": null or text} as its last line; writes the outputs to RESULT as output0, output1 … and the arena to stderr.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from lwdash.process_lifetime import die_with_parent

ARENA_PER_FILE_BYTE, MIN_ARENA_BYTES = 10, 16 << 20
"""RAM that the interpreter may take. A host has enough; the arena that it reports is what it used."""


def main(model_path: str, rows_path: str, result_path: str, seconds: str = "inf") -> None:
    die_with_parent()  # some files make the interpreter loop for ever
    from tflite_micro.python.tflite_micro.runtime import Interpreter

    model = Path(model_path).read_bytes()
    arena = max(ARENA_PER_FILE_BYTE * len(model), MIN_ARENA_BYTES)
    with np.load(rows_path) as stored:
        columns = [stored[f"input{i}"] for i in range(len(stored.files))]
    began = time.monotonic()
    try:
        interpreter = Interpreter.from_bytes(model, arena_size=arena)
        outputs: list[list[np.ndarray]] = []
        for row in range(len(columns[0])):
            for index, values in enumerate(columns):
                shape = interpreter.get_input_details(index)["shape"]
                interpreter.set_input(values[row].reshape(shape), index)
            interpreter.invoke()
            outputs.append([interpreter.get_output(i).copy() for i in range(_outputs(interpreter))])
            interpreter.reset()
            if time.monotonic() - began > float(seconds):
                break
        interpreter.print_allocations()
    except (RuntimeError, ValueError) as error:
        print(json.dumps({"error": str(error) or type(error).__name__}))
        return
    arrays = {f"output{i}": np.concatenate(parts) for i, parts in enumerate(zip(*outputs, strict=True))}
    np.savez(result_path, **arrays)  # type: ignore[arg-type]
    print(json.dumps({"error": None}))


def _outputs(interpreter: object) -> int:
    """The number of the model's outputs, which the interpreter does not tell."""
    count = 0
    while True:
        try:
            interpreter.get_output_details(count)  # type: ignore[attr-defined]
        except (IndexError, ValueError, RuntimeError):
            return count
        count += 1


if __name__ == "__main__":
    main(*sys.argv[1:])
