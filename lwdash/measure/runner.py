"""Inference of a .tflite on rows with LiteRT: real numbers in and out, whatever types the file has."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from lwdash.errors import ConversionFailed, DataRefused, ResultRejected
from lwdash.tflite.reader import Port, TfliteFacts, read_tflite
from lwdash.tflite.tensor import Quantization, Tensor, is_integer

_BATCH = 64
_STEPS_A_WORKER = 32
"""With fewer, another interpreter costs more than it saves."""
_MAX_WORKERS = 8
_MAX_COPIED_BYTES = 128 << 20
"""Limit on the bytes of all copies of a file together."""
_NUMPY = {"bool": np.bool_, "bfloat16": np.float32}


class Runner:
    """One .tflite, ready to run. Not safe for use by two threads at once."""

    def __init__(self, data: bytes, *, threads: int = 1, facts: TfliteFacts | None = None):
        self.data, self.facts = data, facts or read_tflite(data)
        self.threads = threads
        self.interpreter = make_interpreter(data, threads)
        self._batch = 0

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(port.name for port in self.facts.outputs)

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        progress: Callable[[float], None] | None = None,
        workers: int = 1,
    ) -> dict[str, np.ndarray]:
        """Outputs by name, float32 (rows, *shape), for `inputs`: name → (rows, *shape), real numbers.

        Integer inputs are quantized and integer outputs dequantized with the file's scale and zero point.
        workers: interpreters that share the rows, each in its own thread; one is used where more would not
        help.
        Raises DataRefused where an input does not match, ResultRejected where an output is not finite.
        """
        columns = self.quantized_inputs(inputs)
        rows = len(next(iter(columns.values())))
        batch = self._allocate(columns, rows)
        feeds = [(index, _in_batches(values, batch)) for index, values in columns.items()]
        steps = -(-rows // batch)
        parts: dict[str, list[Any]] = {port.name: [None] * steps for port in self.facts.outputs}
        workers = (
            min(workers, _MAX_WORKERS, steps // _STEPS_A_WORKER, _MAX_COPIED_BYTES // len(self.data)) or 1
        )
        bounds = [steps * worker // workers for worker in range(workers + 1)]

        def work(runner: Runner, worker: int) -> None:
            runner._steps(
                range(bounds[worker], bounds[worker + 1]), feeds, parts, progress if worker == 0 else None
            )

        with ThreadPoolExecutor(max(1, workers - 1)) as pool:
            others = [pool.submit(work, self._twin(columns, rows), worker) for worker in range(1, workers)]
            work(self, 0)
            for other in others:
                other.result()
        return {
            port.name: self._real_output(port, parts[port.name], rows, batch) for port in self.facts.outputs
        }

    def _twin(self, columns: Mapping[int, np.ndarray], rows: int) -> Runner:
        """Another interpreter of the same file, with the same allocation."""
        twin = Runner(self.data, threads=self.threads, facts=self.facts)
        twin._allocate(columns, rows)
        return twin

    def _steps(
        self,
        steps: range,
        feeds: Sequence[tuple[int, np.ndarray]],
        parts: Mapping[str, list[Any]],
        progress: Callable[[float], None] | None,
    ) -> None:
        """Run these batches of `feeds` and write the outputs into `parts`."""
        outputs = [(parts[port.name], port.tensor) for port in self.facts.outputs]
        interpreter, stateful = self.interpreter, self.facts.has_state
        every = max(1, len(steps) // 20)
        for step in steps:
            if stateful:
                interpreter.reset_all_variables()
            for index, values in feeds:
                interpreter.set_tensor(index, values[step])
            self._invoke(step)
            for part, index in outputs:
                part[step] = interpreter.get_tensor(index)
            done = step + 1 - steps.start
            if progress is not None and (done % every == 0 or done == len(steps)):
                progress(done / len(steps))

    def _invoke(self, step: int) -> None:
        try:
            self.interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ConversionFailed(f"LiteRT failed at inference {step}: {_first_line(error)}") from error

    def prepare_row(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Fill the inputs with the first row, so that `interpreter.invoke` can be timed on its own."""
        columns = self.quantized_inputs(inputs)
        batch = self._allocate(columns, 1)
        for index, values in columns.items():
            self.interpreter.set_tensor(index, _in_batches(values[:1], batch)[0])

    def quantized_inputs(self, inputs: Mapping[str, np.ndarray]) -> dict[int, np.ndarray]:
        """Tensor index → rows in the type and scale of the file."""
        tensors = self.facts.subgraphs[0].tensors
        found = match_inputs(self.facts, inputs)
        columns: dict[int, np.ndarray] = {}
        for port in self.facts.inputs:
            tensor, values = tensors[port.tensor], np.asarray(inputs[found[port.name]])
            if values.ndim == 0 or len(values) == 0:
                raise DataRefused(f"input '{port.name}' got no rows: at least one is needed to measure")
            expected = tensor.shape_signature[1:]
            if len(expected) != values.ndim - 1 or any(
                e not in (-1, v) for e, v in zip(expected, values.shape[1:], strict=True)
            ):
                raise DataRefused(
                    f"input '{port.name}' takes rows of shape {_shape(expected)}, "
                    f"got {_shape(values.shape[1:])}"
                )
            columns[port.tensor] = to_stored(values, tensor, port.name)
        counts = {len(values) for values in columns.values()}
        if len(counts) != 1:
            raise DataRefused(f"the inputs have different numbers of rows: {sorted(counts)}")
        return columns

    def _allocate(self, columns: Mapping[int, np.ndarray], rows: int) -> int:
        """Allocate, resized where the batch is free; return the number of rows per inference."""
        signatures = {i: self.facts.subgraphs[0].tensors[i].shape_signature for i in columns}
        is_free = all(signature[0] == -1 for signature in signatures.values())
        fixed = max(1, next(iter(signatures.values()))[0])
        wanted = min(rows, _BATCH) if is_free and not self.facts.has_state else fixed
        for batch in dict.fromkeys((wanted, 1 if is_free else fixed)):
            try:
                for index, values in columns.items():
                    if -1 in signatures[index]:
                        self.interpreter.resize_tensor_input(index, [batch, *values.shape[1:]])
                self.interpreter.allocate_tensors()
                if is_free and batch > 1:
                    self._try_batch(columns, batch)
                return batch
            except (RuntimeError, ValueError) as error:
                failure = error
        raise ConversionFailed(f"LiteRT cannot run this .tflite: {_first_line(failure)}") from failure

    def _try_batch(self, columns: Mapping[int, np.ndarray], batch: int) -> None:
        """True if the batch works. A graph with a fixed shape inside accepts a larger batch, then fails or
        outputs one row only.
        """
        for index, values in columns.items():
            self.interpreter.set_tensor(index, _in_batches(values[:batch], batch)[0])
        self.interpreter.invoke()
        for port in self.facts.outputs:
            shape = self.interpreter.get_tensor(port.tensor).shape
            if not shape or shape[0] != batch:
                raise ValueError(f"output '{port.name}' came back as {shape} for a batch of {batch}")

    def _real_output(self, port: Port, parts: list[np.ndarray], rows: int, batch: int) -> np.ndarray:
        tensor = self.facts.subgraphs[0].tensors[port.tensor]
        if parts[0].ndim == 0 or parts[0].shape[0] != batch:
            parts = [part[None] for part in parts] if batch == 1 else parts
        values = np.concatenate(parts)
        if len(values) < rows:
            raise ResultRejected(f"output '{port.name}' gave {len(values)} results for {rows} rows")
        real = from_stored(values[:rows], tensor)
        finite = np.isfinite(real).reshape(rows, -1).all(axis=1)
        if not finite.all():
            raise ResultRejected(
                f"output '{port.name}' is not finite (NaN or infinite) for {rows - int(finite.sum())} of "
                f"{rows} rows, first in row {int(np.argmin(finite))}"
            )
        return real


def run_within(data: bytes, inputs: Mapping[str, np.ndarray], *, seconds: float) -> list[np.ndarray]:
    """Outputs of a file in its order, for as many of the first rows as `seconds` allow, at least one batch.

    inputs: name → (rows, *shape), in shuffled order, so that the first rows represent the others.
    """
    runner, began = Runner(data), time.monotonic()
    rows, parts = len(next(iter(inputs.values()))), []
    for start in range(0, rows, _BATCH):
        parts.append(runner.run({name: values[start : start + _BATCH] for name, values in inputs.items()}))
        if time.monotonic() - began > seconds:
            break
    return [np.concatenate([part[name] for part in parts]) for name in parts[0]]


def make_interpreter(data: bytes, threads: int = 1, **options: Any) -> Any:
    """An interpreter on `data`, tensors not yet allocated. Raises ConversionFailed where LiteRT refuses the
    file.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        return Interpreter(model_content=bytes(data), num_threads=threads, **options)
    except (RuntimeError, ValueError) as error:
        raise ConversionFailed(f"LiteRT refuses this .tflite: {_first_line(error)}") from error


def check_kernels(data: bytes) -> None:
    """Raises ConversionFailed for a file that LiteRT's built-in kernels refuse, even if XNNPACK accepts it.

    Such a file runs on one kind of processor only, and its intermediate tensors cannot be read.
    """
    from ai_edge_litert.interpreter import OpResolverType

    interpreter = make_interpreter(
        data, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    try:
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ConversionFailed(
            f"LiteRT's own kernels refuse the file: {' '.join(str(error).split())[:300]}"
        ) from error


def match_inputs(facts: TfliteFacts, inputs: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Input of the file → one of `inputs`: by name, otherwise the only remaining one that fits."""
    ports, left = list(facts.inputs), list(inputs)
    found: dict[str, str] = {}
    tensors = facts.subgraphs[0].tensors
    for key in (lambda name: name, _plain_name):
        for port in ports:
            names = {key(port.name), key(tensors[port.tensor].name)}
            candidates = [name for name in left if key(name) in names]
            if port.name not in found and len(candidates) == 1:
                found[port.name] = candidates[0]
                left.remove(candidates[0])
    for port in (port for port in ports if port.name not in found):
        shape = tensors[port.tensor].shape_signature[1:]
        fitting = [name for name in left if np.asarray(inputs[name]).shape[1:] == shape] or left
        if len(fitting) != 1:
            raise DataRefused(
                f"input '{port.name}' of the .tflite has no rows: received "
                f"{', '.join(map(repr, inputs)) or 'none'}"
            )
        found[port.name] = fitting[0]
        left.remove(fitting[0])
    return found


def to_stored(values: np.ndarray, tensor: Tensor, name: str) -> np.ndarray:
    """Real numbers in the type of `tensor`: round(x / scale) + zero point, halves away from zero, clipped."""
    dtype = np.dtype(_NUMPY.get(tensor.dtype, tensor.dtype))
    if not is_integer(tensor.dtype) or tensor.quantization is None:
        return np.ascontiguousarray(values, dtype)
    real = np.asarray(values, np.float32)
    if not np.isfinite(real).all():
        raise DataRefused(f"input '{name}' has a value that is not finite (NaN or infinite)")
    scaled = real / np.float32(tensor.quantization.scale[0])
    rounded = np.copysign(np.floor(np.abs(scaled) + np.float32(0.5)), scaled)
    limits = np.iinfo(dtype)
    stored = rounded.astype(np.float64) + int(tensor.quantization.zero_point[0])
    return np.clip(stored, limits.min, limits.max).astype(dtype)


def from_stored(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """(stored − zero point) · scale as float32; other types are only cast."""
    quantization: Quantization | None = tensor.quantization if is_integer(tensor.dtype) else None
    if quantization is None:
        return values.astype(np.float32)
    zero_point, scale = int(quantization.zero_point[0]), np.float32(quantization.scale[0])
    return (values.astype(np.int32) - zero_point).astype(np.float32) * scale


def _in_batches(values: np.ndarray, batch: int) -> np.ndarray:
    """(rows, *shape) → (steps, batch, *shape). The last row fills up the last batch."""
    steps = math.ceil(len(values) / batch)
    missing = steps * batch - len(values)
    if missing:
        values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
    return values.reshape(steps, batch, *values.shape[1:])


def _plain_name(name: str) -> str:
    return re.sub(r":\d+$", "", name).removeprefix("serving_default_").rsplit("/", 1)[-1]


def _shape(shape: tuple[int, ...]) -> str:
    return (
        "(" + ", ".join("any" if n == -1 else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
