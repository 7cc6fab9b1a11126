"""Reproduces the quality metric of this capsule from its data file: python evaluate.py DATA

Needs numpy and ai-edge-litert, but not lwdash; for some files also a library that the README names. It reads the
evaluation rows, pre-processes them step by step as in capsule.json, runs model.tflite row by row, and compares the result
with the measured value.
"""

import argparse
import csv
import gzip
import hashlib
import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
Plan = dict[str, Any]
ON_GENERATED_ROWS = {"agreement": "agreement_generated", "sqnr_db": "sqnr_generated_db"}
"""Metric → its name where the rows were generated from the model. No other metric has a meaning there."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Reproduce the quality metric of this capsule.")
    parser.add_argument("data", type=Path, help="the data file that contains the evaluation rows")
    data = parser.parse_args().data
    capsule = json.loads((HERE / "capsule.json").read_text(encoding="utf-8"))
    plan = capsule["rows"]
    if plan is None:
        sys.exit(
            "this capsule does not state how to read its rows. Use lwdash instead: python -m lwdash verify"
        )
    origin = capsule["data"] if plan["file"] == "data" else capsule["parts"]["evaluation"]
    found = hashlib.sha256(data.read_bytes()).hexdigest()
    if found != origin["sha256"]:
        sys.exit(
            f"{data} is not {origin['name']}: its SHA-256 is {found}, the capsule's is {origin['sha256']}"
        )
    arrays = np.load(HERE / "evaluation-rows.npz", allow_pickle=False)
    if plan.get("kind", "csv") == "csv":
        cells = read_rows(data, plan, set(arrays["lines"].tolist()))
        inputs = [prepare(cells, plan, number, arrays) for number in range(len(plan["inputs"]))]
        labels = labels_of(cells, plan)
    else:
        raw = importlib.import_module("read_samples").read_inputs(data, plan, arrays["lines"])
        inputs = [finish(values, plan, number, arrays) for number, values in enumerate(raw)]
        labels = arrays.get("labels")
    model = (HERE / "model.tflite").read_bytes()
    outputs = run(model, [inputs[number] for number in plan["order"]], plan["output"])
    reference = baseline_outputs(plan, inputs)
    metrics = judge(capsule["task"], outputs, labels, inputs, reference, plan.get("is_logit"))
    metrics |= sqnr(outputs, reference)
    print(f"{len(outputs)} evaluation rows of {data.name}")
    if capsule["settings"].get("generated"):
        print("The rows were generated from the model. Nothing here tells the accuracy.")
        metrics = {
            ON_GENERATED_ROWS[name]: value for name, value in metrics.items() if name in ON_GENERATED_ROWS
        }
    is_same = True
    for name, value in metrics.items():
        expected = capsule["expected"].get(name)
        same = expected is not None and abs(value - expected) <= 1e-6 * max(1.0, abs(expected))
        is_same = is_same and same
        stated = "nothing" if expected is None else f"{expected:.6g}"
        print(f"{name}: {value:.6g}, expected {stated}: {'the same' if same else 'NOT the same'}")
    if not metrics:
        print("this script computes no metric for this task. Use lwdash instead: python -m lwdash verify")
    return 0 if is_same and metrics else 1


def read_rows(path: Path, plan: Plan, lines: set[int]) -> list[list[str]]:
    """The cells of the rows that begin on one of `lines` of the file, in file order."""
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    text = io.StringIO(raw.decode(plan["encoding"]), newline=None).read()  # any line end becomes "\n"
    reader = csv.reader(text.split("\n"), delimiter=plan["delimiter"])
    rows, start = [], 1
    for row in reader:
        if start in lines:
            rows.append(row)
        start = reader.line_num + 1
    return rows


def number(text: str, plan: Plan) -> float:
    return float(text.strip().replace(",", ".") if plan["decimal"] == "," else text)


def prepare(cells: list[list[str]], plan: Plan, which: int, arrays: Any) -> np.ndarray:
    """One input of the model, (rows, *shape): first the steps on single rows, then those with statistics of
    the train rows.
    """
    columns = arrays[f"columns_{which}"].tolist()
    values = np.array([[number(row[i], plan) for i in columns] for row in cells], np.float64)
    return finish(values, plan, which, arrays)


def finish(values: np.ndarray, plan: Plan, which: int, arrays: Any) -> np.ndarray:
    """One input of the model from the values of the file, (rows, …)."""
    described, values = plan["inputs"][which], values.astype(np.float64)
    for step in described["row_steps"]:
        values = apply(step, values, None)
    if not described["is_whole"]:
        values = values.astype(np.float32)
    values, learnt = values.astype(np.float64), 0
    for step in described["late_steps"]:
        statistic = None
        if step["step"] == "scale" and step["method"] != "range" and step["per"] != "row":
            statistic = [arrays[f"statistic_{which}_{learnt}_{part}"] for part in ("offset", "width")]
            learnt += 1
        values = apply(step, values, statistic)
    steps = described["row_steps"] + described["late_steps"]
    if steps and steps[-1]["step"] == "cast":
        values = values.astype(steps[-1]["dtype"])
    return values.astype(described["dtype"]).reshape(len(values), *described["shape"])


def apply(step: Plan, values: np.ndarray, statistic: Any) -> np.ndarray:
    """One pre-processing step on float64 (rows, ...)."""
    kind = step["step"]
    if kind == "divide":
        return values / step["by"]
    if kind == "normalize":
        return (values - np.array(step["mean"])) / np.array(step["std"])
    if kind == "reshape" and step["order"] == "rows":
        return values.reshape(len(values), *step["shape"])
    if kind == "reshape":
        axes = range(len(step["shape"]), 0, -1)
        return values.reshape(len(values), *step["shape"][::-1]).transpose(0, *axes)
    if kind == "axes":
        return values.transpose(0, *(axis + 1 for axis in step["order"]))
    if kind == "channel":
        return values[..., None] if step["place"] == "last" else values[:, None]
    if kind == "resize" and len(step["size"]) == 1:
        return resize_last(values, step["size"][0], step["method"])
    if kind == "resize":
        wide = np.moveaxis(resize_last(np.moveaxis(values, 2, -1), step["size"][1], step["method"]), -1, 2)
        return np.moveaxis(resize_last(np.moveaxis(wide, 1, -1), step["size"][0], step["method"]), -1, 1)
    if kind == "scale":
        return scale(step, values, statistic)
    return values


def scale(step: Plan, values: np.ndarray, statistic: Any) -> np.ndarray:
    own_axes = tuple(range(1, values.ndim))
    if step["method"] == "range":
        offset, width = step["source_low"], step["source_high"] - step["source_low"]
    elif statistic is not None:
        offset, width = statistic
    elif step["method"] == "minmax":
        offset = values.min(axis=own_axes, keepdims=True)
        width = values.max(axis=own_axes, keepdims=True) - offset
    else:
        offset, width = values.mean(axis=own_axes, keepdims=True), values.std(axis=own_axes, keepdims=True)
    result = (values - offset) / np.where(width == 0, 1.0, width)
    if step["method"] == "zscore" or (step["low"], step["high"]) == (0, 1):
        return result
    return result * (step["high"] - step["low"]) + step["low"]


def resize_last(values: np.ndarray, target: int, method: str) -> np.ndarray:
    """Resize the last axis to `target` values: area (mean of the covered values) or linear, both as in OpenCV."""
    size = values.shape[-1]
    if size == target:
        return values
    i = np.arange(target)
    if method == "area":
        first = i * size // target
        count = int((-(-(i + 1) * size // target) - first).max())
        cells = first[:, None] + np.arange(count)
        ends = np.minimum(((i + 1) * size)[:, None], (cells + 1) * target)
        weights = np.maximum(ends - np.maximum((i * size)[:, None], cells * target), 0) / size
    else:
        place = np.clip((i + 0.5) * size / target - 0.5, 0, size - 1)
        first = np.floor(place).astype(np.int64)
        cells = first[:, None] + np.arange(2)
        weights = np.stack([1 - (place - first), place - first], axis=1)
    cells = np.minimum(cells, size - 1)
    result = np.zeros((*values.shape[:-1], target))
    for k in range(cells.shape[1]):
        result += values[..., cells[:, k]] * weights[:, k]
    return result


def labels_of(cells: list[list[str]], plan: Plan) -> np.ndarray | None:
    """The output index of each row's label, or its target where a number is to be predicted; (rows, targets)
    for several; (rows, *label_shape) where each position of a row has a class; None without labels.
    """
    if positions := plan.get("positions"):
        classes = [[class_of(row[i].strip(), plan) for i in positions] for row in cells]
        return np.array(classes).reshape(-1, *plan["label_shape"])
    if targets := plan.get("targets"):
        return np.array([[number(row[i], plan) for i in targets] for row in cells], np.float32)
    columns = plan.get("label_columns")
    if plan["label"] is None and not columns:
        return None
    if columns:  # one column per class, a single 1 in each row
        texts = [next(name for name, i in columns.items() if number(row[i], plan) == 1) for row in cells]
    else:
        texts = [row[plan["label"]].strip() for row in cells]
    if plan["classes"] is None:
        return np.array([number(text, plan) for text in texts], np.float32)
    return np.array([class_of(text, plan) for text in texts]).reshape(-1, *plan.get("label_shape", ()))


def class_of(text: str, plan: Plan) -> int:
    """The output index of a label. A number may be written differently from the class."""
    classes = plan["classes"]
    return classes.index(text if text in classes else plain_number(text, plan))


def plain_number(text: str, plan: Plan) -> str:
    value = number(text, plan)
    return str(int(value)) if value.is_integer() else repr(value)


def run(model: bytes, inputs: list[np.ndarray], output: int) -> np.ndarray:
    """Output number `output` of the file for each row, as real numbers."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    ports = interpreter.get_input_details()
    for port, values in zip(ports, inputs, strict=True):
        if port["shape_signature"][0] == -1:
            interpreter.resize_tensor_input(port["index"], [1, *values.shape[1:]])
    interpreter.allocate_tensors()
    ports, answer = interpreter.get_input_details(), interpreter.get_output_details()[output]
    rows = []
    for row in range(len(inputs[0])):
        interpreter.reset_all_variables()
        for port, values in zip(ports, inputs, strict=True):
            stored = quantize(values[row], port)
            interpreter.set_tensor(port["index"], np.repeat(stored[None], port["shape"][0], axis=0))
        interpreter.invoke()
        rows.append(dequantize(interpreter.get_tensor(answer["index"])[0], answer))
    return np.stack(rows)


def quantize(values: np.ndarray, port: Plan) -> np.ndarray:
    """round(x / scale) + zero point, halves away from zero, clipped; floats unchanged."""
    size, zero = port["quantization"]
    if not np.issubdtype(port["dtype"], np.integer) or size == 0:
        return values.astype(port["dtype"])
    scaled = values.astype(np.float32) / np.float32(size)
    rounded = np.copysign(np.floor(np.abs(scaled) + np.float32(0.5)), scaled).astype(np.float64) + zero
    limits = np.iinfo(port["dtype"])
    return np.clip(rounded, limits.min, limits.max).astype(port["dtype"])


def dequantize(values: np.ndarray, port: Plan) -> np.ndarray:
    size, zero = port["quantization"]
    if not np.issubdtype(port["dtype"], np.integer) or size == 0:
        return values.astype(np.float32)
    return (values.astype(np.int32) - zero).astype(np.float32) * np.float32(size)


def baseline_outputs(plan: Plan, inputs: list[np.ndarray]) -> np.ndarray | None:
    """Outputs of the float model, if the capsule holds it: without labels, the metric is the agreement with it."""
    path = HERE / "baseline.tflite"
    if not path.is_file():
        return None
    order = plan["baseline_order"]
    return run(path.read_bytes(), [inputs[number] for number in order], plan["baseline_output"])


def classes_of(
    task: str, outputs: np.ndarray, judged: np.ndarray, is_logit: bool | None = None
) -> np.ndarray:
    """The arg-max, or the comparison with the threshold: 0 if `judged` outputs are logits, otherwise 0.5."""
    if task == "classification" and outputs.ndim > 1 and outputs.shape[-1] > 1:
        return outputs.argmax(axis=-1)
    if is_logit is None:
        is_logit = bool(judged.min() < -1e-3 or judged.max() > 1 + 1e-3)
    above = (outputs > (0.0 if is_logit else 0.5)).astype(np.int64)
    if task == "multi-label":
        return above.reshape(len(outputs), -1)
    return above[..., 0] if outputs.ndim > 1 and outputs.shape[-1] == 1 else above


def judge(
    task: str,
    outputs: np.ndarray,
    labels: np.ndarray | None,
    inputs: list[np.ndarray],
    reference: np.ndarray | None,
    is_logit: bool | None = None,
) -> dict[str, float]:
    """The task's metric by name."""
    flat = outputs.reshape(len(outputs), -1).astype(np.float64)
    if task == "reconstruction":
        same = next(v for v in inputs if v.reshape(len(v), -1).shape == flat.shape)
        return {"reconstruction_error": float(((flat - same.reshape(flat.shape)) ** 2).mean())}
    if task == "regression" and labels is not None:
        error = flat - labels.reshape(flat.shape)
        return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean()))}
    if task == "regression":
        return {}
    judged = outputs if reference is None else reference
    predicted = classes_of(task, outputs, judged, is_logit)
    if labels is not None and task == "multi-label":
        return {"accuracy": float((predicted == labels).all(axis=1).mean())}
    if labels is not None and labels.ndim > 1 and labels[0].size > 1:
        return {"accuracy": float((predicted == labels).mean()), "mean_iou": mean_iou(predicted, labels)}
    if labels is not None:
        return {"accuracy": float((predicted == labels).mean())}
    if reference is not None:
        return {"agreement": float((predicted == classes_of(task, reference, reference, is_logit)).mean())}
    return {}


def sqnr(outputs: np.ndarray, reference: np.ndarray | None) -> dict[str, float]:
    """10·log10(Σ ref² / Σ (ref − y)²) in dB, if the capsule holds the float model, and the outputs differ from its own."""
    if reference is None:
        return {}
    theirs = reference.astype(np.float64)
    signal, noise = float((theirs**2).sum()), float(((theirs - outputs) ** 2).sum())
    return {"sqnr_db": 10 * float(np.log10(signal / noise))} if signal > 0 and noise > 0 else {}


def mean_iou(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of intersection / union of their positions."""
    shares = []
    for k in np.union1d(predicted, labels):
        ours, theirs = predicted == k, labels == k
        shares.append(np.count_nonzero(ours & theirs) / np.count_nonzero(ours | theirs))
    return float(np.mean(shares))


if __name__ == "__main__":
    sys.exit(main())
