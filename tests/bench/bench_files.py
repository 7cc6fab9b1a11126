"""Files of lwdash against TFLiteConverter's and litert-quantizer's own recipes: bytes, SQNR and latency, interleaved.

One table for every network. `LWDASH_BENCH_NETWORKS` (names, commas between them) takes some networks only.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from interleaved import interleaved_milliseconds
from networks import LARGE_NETWORKS, NETWORKS, built, rows_for

from lwdash.errors import LwdashError
from lwdash.export.unrolled_loops import refuse_loops
from lwdash.measure.accuracy import sqnr_db
from lwdash.measure.runner import Runner
from lwdash.measure.timing.delegation import Delegation, delegation_of
from lwdash.quantize.ranges.activation_ranges import activation_ranges
from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES, needs_rows

FORMATS: Mapping[str, tuple[str, str]] = {
    "float32": ("", ""),
    "float16": ("float16", ""),
    "dynamic": ("dynamic", "dynamic_wi8_afp32"),
    "int8": ("int8", "static_wi8_ai8"),
    "int16x8": ("int16x8", "static_wi8_ai16"),
    "4 bits": ("dynamic(bits=4)", "dynamic_wi4_afp32"),
}
"""Format → (our recipe, litert-quantizer's own)."""
CALIBRATION_ROWS = 32
MIN_SPEED = 0.97
"""Of the faster of the two others."""
MEASURING_ERROR = 0.05
"""What a ratio of medians may be off on a shared machine."""
MAX_LOSS_DB = 0.3
"""Of SQNR against TFLiteConverter's file, where that is below HIGH_SQNR_DB."""
HIGH_SQNR_DB = 60.0
SECONDS = 0.8


@dataclass
class File:
    """One maker's file in one format. milliseconds: median by number of threads."""

    data: bytes
    sqnr_db: float = float("inf")
    delegation: Delegation | None = None
    milliseconds: dict[int, float] = field(default_factory=dict)


def chosen_networks() -> list[str]:
    wanted = os.environ.get("LWDASH_BENCH_NETWORKS")
    return wanted.split(",") if wanted else [*NETWORKS, *LARGE_NETWORKS]


@pytest.mark.parametrize("name", chosen_networks())
def test_files_against_the_converter(name: str) -> None:
    model = built(name)
    rows = rows_for(model, CALIBRATION_ROWS)
    source = TECHNIQUES["float32"].apply(model, list(rows), [v.shape[1:] for v in rows.values()])
    makers = {
        "lwdash": ours(source, rows),
        "converter": converters(model, source, rows),
        "litert": litert(source, rows),
    }
    faults: list[str] = []
    print(f"\n{name}: float export {len(source):,} B")
    for format in FORMATS:
        files = {who: file for who, make in makers.items() if (file := made(make, format)) is not None}
        measure(files, source, rows)
        print(line(format, files))
        faults += shortfalls(format, files)
    assert not faults, "\n".join(faults)


def ours(source: bytes, rows: Mapping[str, np.ndarray]) -> Callable[[str], bytes]:
    def make(format: str) -> bytes:
        step = parse_recipe(FORMATS[format][0]).tflite_step if FORMATS[format][0] else None
        if step is None:
            return source
        some = dict(rows) if needs_rows(step.name, step.params) else None
        return TECHNIQUES[step.name].apply(source, step.params, some).data

    return make


def litert(source: bytes, rows: Mapping[str, np.ndarray]) -> Callable[[str], bytes | None]:
    """The library's recipe as it is, with our ranges: its own calibration is a moving average."""

    def make(format: str) -> bytes | None:
        from litert_quantizer import quantizer, recipe

        if not FORMATS[format][1]:
            return None
        steps = getattr(recipe, FORMATS[format][1])()
        ranges = activation_ranges(source, rows, "minmax") if format.startswith("int") else None
        return bytes(quantizer.Quantizer(bytearray(source), steps).quantize(ranges).quantized_model)

    return make


def converters(model: Any, source: bytes, rows: Mapping[str, np.ndarray]) -> Callable[[str], bytes | None]:
    """TFLiteConverter on the frozen graph of the Keras model, at batch 1.

    source: our float export. Its quantizer ends the process (SIGSEGV) for loops, so they are refused here.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [tf.TensorSpec((1, *values.shape[1:]), values.dtype, name) for name, values in rows.items()]
    called = tf.function(lambda *inputs: model(inputs if len(inputs) > 1 else inputs[0], training=False))
    frozen = convert_variables_to_constants_v2(called.get_concrete_function(*specs), lower_control_flow=False)

    def make(format: str) -> bytes | None:
        if format == "4 bits":
            return None
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())
        if format != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if format == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if format.startswith("int"):
            refuse_loops(source)
            sets = tf.lite.OpsSet
            wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            integer = wide if format == "int16x8" else sets.TFLITE_BUILTINS_INT8
            converter.target_spec.supported_ops = [integer, sets.TFLITE_BUILTINS]
            converter.representative_dataset = lambda: (
                [values[i : i + 1] for values in rows.values()] for i in range(CALIBRATION_ROWS)
            )
            number = tf.int16 if format == "int16x8" else tf.int8
            if all(np.issubdtype(values.dtype, np.floating) for values in rows.values()):
                converter.inference_input_type = converter.inference_output_type = number
        return bytes(converter.convert())

    return make


def made(make: Callable[[str], bytes | None], format: str) -> File | None:
    """None where there is no such file, or LiteRT does not run it: some of the makers' files are broken."""
    try:
        data = make(format)
        if data is not None:
            Runner(data)
    except (LwdashError, ValueError, RuntimeError) as error:
        print(f"  {format}: no file ({str(error).strip().splitlines()[0][:120]})")
        return None
    return None if data is None else File(data)


def measure(files: dict[str, File], source: bytes, rows: Mapping[str, np.ndarray]) -> None:
    """Fills in what the files are like; leaves out those that fail while running."""
    expected = list(Runner(source).run(rows).values())
    for who, file in list(files.items()):
        try:
            outputs = list(Runner(file.data).run(rows).values())
            found = sqnr_db(expected[0], outputs[0].reshape(expected[0].shape))
            file.sqnr_db = float("inf") if found is None else found
            file.delegation = delegation_of(file.data)
        except LwdashError as error:
            print(f"  {who}: its file does not run ({str(error)[:120]})")
            del files[who]
    for threads in (1, 2):
        times = interleaved_milliseconds(
            {who: file.data for who, file in files.items()}, rows, threads=threads, seconds=SECONDS
        )
        for who, found_ms in times.items():
            files[who].milliseconds[threads] = found_ms


def line(format: str, files: Mapping[str, File]) -> str:
    mine = files.get("lwdash")
    if mine is None:
        return f"  {format:8} no file of lwdash"
    parts = [f"  {format:8} {len(mine.data):>10,} B {mine.sqnr_db:6.1f} dB"]
    if mine.delegation is not None:
        parts.append(f"{mine.delegation.partitions} partitions, {len(mine.delegation.outside)} outside")
    parts.append(" ".join(f"{threads} thr {ms:.3f} ms" for threads, ms in mine.milliseconds.items()))
    for who, other in files.items():
        if other is mine:
            continue
        speed = " ".join(f"×{other.milliseconds[t] / mine.milliseconds[t]:.2f}" for t in mine.milliseconds)
        size = len(mine.data) / len(other.data)
        parts.append(f"{who}: size {size:.3f}, {mine.sqnr_db - other.sqnr_db:+.1f} dB, speed {speed}")
    return " | ".join(parts)


def shortfalls(format: str, files: Mapping[str, File]) -> list[str]:
    """What the file of lwdash does worse than the others."""
    mine, converter = files.get("lwdash"), files.get("converter")
    others = [file for who, file in files.items() if who != "lwdash"]
    if mine is None:
        return [f"{format}: no file"]
    found = []
    if converter is not None and len(mine.data) > len(converter.data):
        found.append(f"{format}: {len(mine.data):,} B, TFLiteConverter's file has {len(converter.data):,} B")
    if converter is not None and mine.sqnr_db < min(converter.sqnr_db, HIGH_SQNR_DB) - MAX_LOSS_DB:
        found.append(
            f"{format}: {mine.sqnr_db:.1f} dB, TFLiteConverter's file has {converter.sqnr_db:.1f} dB"
        )
    for threads, milliseconds in mine.milliseconds.items():
        best = min((other.milliseconds[threads] for other in others), default=milliseconds)
        if best / milliseconds < MIN_SPEED - MEASURING_ERROR:
            found.append(
                f"{format}, {threads} threads: {milliseconds:.3f} ms, the better of the others {best:.3f}"
            )
    return found
