"""float32, dynamic and int8 of large networks at 96×96: lwdash's files against TFLiteConverter's, seconds and memory.

Both ways are whole processes that start from the same saved model and the same calibration rows. A version of lwdash that
converts through Keras' SavedModel took 25 s (MobileNetV2), 55 s (ResNet50), 54 s (DenseNet121) and 71 s (NASNetMobile).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

NETWORKS = ("MobileNetV2", "ResNet50", "DenseNet121", "NASNetMobile")
CALIBRATION_ROWS = 16
BUILD = """
import sys
import keras
keras.utils.set_random_seed(3)
getattr(keras.applications, sys.argv[1])(weights=None, input_shape=(96, 96, 3), classes=10).save(sys.argv[2])
"""
LWDASH = """
import json, resource, sys, tempfile, time
from pathlib import Path
start = time.monotonic()
from support import support_matrix
from lwdash.recipe import parse_recipe
bench = support_matrix.workbench(Path(sys.argv[1]), Path(tempfile.mkdtemp()), rows=int(sys.argv[2]))
seconds, sizes = {}, {}
for recipe in ("float32", "dynamic", "int8"):
    began = time.monotonic()
    sizes[recipe] = len(bench.compress(parse_recipe(recipe), lambda doing, share: None).tflite)
    seconds[recipe] = time.monotonic() - began
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
print(json.dumps({"all": time.monotonic() - start, **seconds, "memory_mb": memory, "sizes": sizes}))
"""
CONVERTER = """
import json, resource, sys, time
start = time.monotonic()
import keras, numpy as np, tensorflow as tf
model = keras.models.load_model(sys.argv[1])
rows = np.random.default_rng(0).normal(size=(int(sys.argv[2]), 1, 96, 96, 3)).astype("float32")
seconds, sizes = {}, {}
for recipe in ("float32", "dynamic", "int8"):
    began = time.monotonic()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if recipe != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe == "int8":
        converter.representative_dataset = lambda: ([row] for row in rows)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    sizes[recipe] = len(converter.convert())
    seconds[recipe] = time.monotonic() - began
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
print(json.dumps({"all": time.monotonic() - start, **seconds, "memory_mb": memory, "sizes": sizes}))
"""


def _run(program: str, *arguments: str) -> str:
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"},
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=environment
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout


def _last_line(output: str) -> dict[str, Any]:
    return json.loads(output.splitlines()[-1])


@pytest.mark.parametrize("network", NETWORKS)
def test_large_network(network: str, tmp_path: Path) -> None:
    path = tmp_path / "network.keras"
    _run(BUILD, network, str(path))
    # A third of the rows is for calibration.
    ours = _last_line(_run(LWDASH, str(path), str(3 * CALIBRATION_ROWS)))
    theirs = _last_line(_run(CONVERTER, str(path), str(CALIBRATION_ROWS)))
    print(f"\n{network}: {theirs['all'] / ours['all']:.1f}× faster than TFLiteConverter")
    for way, taken in (("lwdash", ours), ("TFLiteConverter", theirs)):
        steps = ", ".join(
            f"{recipe} {taken[recipe]:.1f} s {size:,} bytes" for recipe, size in taken["sizes"].items()
        )
        print(f"  {way}: {taken['all']:.1f} s and {taken['memory_mb']:,} MB in all; {steps}")
