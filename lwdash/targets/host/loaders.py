"""Loads a .tflite in each runtime of this host, with its inputs filled."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.measure.timing.forked_session import Invoke
from lwdash.targets.device.measuring import Inputs, load_interpreter, run_rows

ONNX_OPSET = 17
CONVERSION_SECONDS = 90
TF2ONNX = (
    "import runpy; from lwdash.process_lifetime import die_with_parent; die_with_parent(); "
    "runpy.run_module('tf2onnx.convert', run_name='__main__', alter_sys=True)"
)
"""`python -m tf2onnx.convert`, which ends with the process that started it."""
Outputs = Mapping[int, np.ndarray]


@dataclass(frozen=True)
class Loading:
    """One runtime. prepare(path): done once, before the sessions, for the .tflite at `path`; load: the inference of the
    file with its inputs filled; run: the outputs by tensor index, (steps, *shape), in the type of the file.
    """

    load: Callable[[Path, Inputs], Invoke]
    run: Callable[[Path, Inputs], Outputs]
    prepare: Callable[[Path], object] = lambda path: None


def load_xnnpack(path: Path, inputs: Inputs) -> Invoke:
    """LiteRT as lwdash measures it."""
    return load_interpreter(path.read_bytes(), inputs).invoke  # type: ignore[no-any-return]


def load_builtin(path: Path, inputs: Inputs) -> Invoke:
    return load_interpreter(path.read_bytes(), inputs, **_without_delegates()).invoke  # type: ignore[no-any-return]


def run_builtin(path: Path, inputs: Inputs) -> Outputs:
    return run_rows(path.read_bytes(), inputs, **_without_delegates())


def import_openvino(path: Path) -> None:
    """Import it once, so that forked sessions inherit it."""
    import openvino  # noqa: F401


def load_openvino(path: Path, inputs: Inputs) -> Invoke:
    return _openvino(path, inputs)[0].infer  # type: ignore[no-any-return]


def run_openvino(path: Path, inputs: Inputs) -> Outputs:
    """Tensor index of each output → (steps, *shape), in the type of the file."""
    request, outputs, tensors = _openvino(path, inputs)
    found: dict[int, list[np.ndarray]] = {tensor: [] for tensor in outputs}
    for step in range(len(next(iter(inputs.values())))):
        request.reset_state()
        for tensor, steps in inputs.items():
            tensors[tensor].data[:] = steps[step]
        request.infer()
        for tensor, output in outputs.items():
            found[tensor].append(request.get_tensor(output).data.copy())
    return {tensor: np.stack(parts) for tensor, parts in found.items()}


def _without_delegates() -> dict[str, Any]:
    from ai_edge_litert.interpreter import OpResolverType

    return {"experimental_op_resolver_type": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}


def _openvino(path: Path, inputs: Inputs) -> tuple[Any, dict[int, Any], dict[int, Any]]:
    """A request with filled inputs, its outputs by tensor of the file, its input tensors by tensor of the file.

    Ports are matched by name, and by their order where OpenVINO names them otherwise.
    """
    import openvino
    from ai_edge_litert.interpreter import Interpreter

    core = openvino.Core()
    model = core.read_model(str(path))
    interpreter = Interpreter(model_path=str(path))
    entries = _matched(interpreter.get_input_details(), model.inputs)
    model.reshape({entries[tensor]: list(steps.shape[1:]) for tensor, steps in inputs.items()})
    # One thread, as LiteRT here; without the hint OpenVINO computes in bfloat16 where the processor can.
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    outputs = _matched(interpreter.get_output_details(), compiled.outputs)
    tensors = {
        tensor: request.get_tensor(port)
        for tensor, port in _matched(interpreter.get_input_details(), compiled.inputs).items()
    }
    for tensor, steps in inputs.items():
        tensors[tensor].data[:] = steps[0]
    return request, outputs, tensors


def _matched(details: list[dict[str, Any]], ports: Any) -> dict[int, Any]:
    """Tensor index → port of OpenVINO."""
    return _by_tensor(details, {next(iter(port.get_names()), str(i)): port for i, port in enumerate(ports)})


def _by_tensor(details: list[dict[str, Any]], ports: Mapping[str, Any]) -> dict[int, Any]:
    """Tensor index → port: by name, or by their order where the runtime has other names."""
    is_named = all(d["name"] in ports for d in details)
    in_order = [ports[d["name"]] for d in details] if is_named else list(ports.values())
    return {d["index"]: port for d, port in zip(details, in_order, strict=True)}


def convert_to_onnx(path: Path) -> None:
    """Convert by tf2onnx in a process of its own, since that imports TensorFlow. Raises RuntimeError."""
    import onnxruntime  # noqa: F401

    command = [sys.executable, "-c", TF2ONNX, "--tflite", str(path), "--output", str(_onnx(path))]
    try:
        ended = subprocess.run(
            [*command, "--opset", str(ONNX_OPSET)], capture_output=True, text=True, timeout=CONVERSION_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"tf2onnx did not convert it within {CONVERSION_SECONDS} s") from error
    if ended.returncode or not _onnx(path).exists():
        last = ended.stderr.strip().splitlines()[-1:] or [f"it ended with exit code {ended.returncode}"]
        raise RuntimeError(f"tf2onnx cannot convert it: {last[0]}")


def load_onnx(path: Path, inputs: Inputs) -> Invoke:
    session, names, _ = _onnx_session(path)
    binding = session.io_binding()
    for tensor, steps in inputs.items():
        binding.bind_cpu_input(names[tensor], np.ascontiguousarray(steps[0]))
    for port in session.get_outputs():
        binding.bind_output(port.name)
    return partial(session.run_with_iobinding, binding)


def run_onnx(path: Path, inputs: Inputs) -> Outputs:
    session, names, outputs = _onnx_session(path)
    found: dict[int, list[np.ndarray]] = {tensor: [] for tensor in outputs}
    for step in range(len(next(iter(inputs.values())))):
        values = session.run(list(outputs.values()), {names[t]: steps[step] for t, steps in inputs.items()})
        for tensor, value in zip(outputs, values, strict=True):
            found[tensor].append(value)
    return {tensor: np.stack(parts) for tensor, parts in found.items()}


def _onnx(path: Path) -> Path:
    return path.with_suffix(".onnx")


def _onnx_session(path: Path) -> tuple[Any, dict[int, str], dict[int, str]]:
    """A session of one thread; the names of its inputs and of its outputs, by tensor of the .tflite."""
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(_onnx(path)), options, ["CPUExecutionProvider"])
    except Exception as error:  # its classes derive from Exception itself
        raise RuntimeError(str(error)) from error
    interpreter = Interpreter(model_path=str(path))
    inputs = _by_tensor(interpreter.get_input_details(), {p.name: p.name for p in session.get_inputs()})
    outputs = _by_tensor(interpreter.get_output_details(), {p.name: p.name for p in session.get_outputs()})
    return session, inputs, outputs


RUNTIMES: Mapping[str, Loading] = {
    "litert_builtin": Loading(load_builtin, run_builtin),
    "openvino": Loading(load_openvino, run_openvino, import_openvino),
    "onnxruntime": Loading(load_onnx, run_onnx, convert_to_onnx),
}
"""Name of a target → how a file runs in it."""
