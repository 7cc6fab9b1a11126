"""A crash or a refused conversion names the stage, the operator and what to try."""

import subprocess
import sys
from pathlib import Path

import pytest

from lwdash.failure_causes import explain_crash, explain_failure, explain_log

FLEX_MESSAGE = """
Could not translate MLIR to FlatBuffer. <unknown>:0: error: loc("a"): 'tf.Angle' op is neither a custom op nor a flex op
Some ops are not supported by the native TFLite runtime, you can enable TF kernels fallback using TF Select.
TF Select ops: Angle, FFT2D
"""


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("LLVM ERROR: Failed to infer result type(s).", ["Failed to infer result type", "What to try"]),
        (
            "error: 'tf.TensorListReserve' op requires element_shape to be static during TF Lite transformation pass",
            ["tf.TensorListReserve", "static", "fixed length"],
        ),
        ("Traceback (most recent call last):\nValueError: no signature", ["ValueError: no signature"]),
        ("F0000 x.cc:1] Check failed: a.size() == 1 (2 vs. 1)", ["a.size() == 1"]),
    ],
)
def test_a_fatal_line_is_found(log: str, words: list[str]) -> None:
    found = explain_crash(f"something before\n{log}")
    assert found is not None
    assert all(word in found for word in words)


def test_the_stage_is_read_from_a_real_stack(tmp_path: Path) -> None:
    program = (
        "import faulthandler, ctypes; faulthandler.enable()\n"
        "def mlir_quantize():\n    ctypes.string_at(0)\n"
        "mlir_quantize()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode < 0
    log = tmp_path / "run.log"
    log.write_text("noise\n" * 20_000 + ended.stderr)
    found = explain_log(log)
    assert found is not None
    assert "TensorFlow's quantizer" in found
    assert "dynamic" in found


def test_a_log_without_a_reason_says_nothing(tmp_path: Path) -> None:
    assert explain_crash("ValueError: of an earlier attempt\nthen all went on\n") is None
    assert explain_crash("all is well\n") is None
    assert explain_log(tmp_path / "missing.log") is None


def test_operators_that_need_flex_are_named_and_said_to_be_unmeasurable() -> None:
    words = explain_failure(FLEX_MESSAGE)
    assert "Angle, FFT2D" in words
    assert "Flex delegate" in words


def test_an_operator_is_named_with_its_layer_and_what_does_the_same_job() -> None:
    words = explain_failure(
        'loc(callsite(fused["MaxPool3D:", "functional_1_1/functional_1/pool_a._1/MaxPool3D@__inference_function_141"] '
        "at fused[]))): 'tf.MaxPool3D' op is neither a custom op nor a flex op\nTF Select ops: MaxPool3D\n"
    )
    assert "MaxPool3D (layer 'pool_a')" in words
    assert "strides in the Conv3D" in words
    assert "select-TF-ops" in words


def test_an_operator_without_any_form_is_not_taken_for_a_recurrent_layer() -> None:
    """The converter's prose says "failed while converting", which has nothing to do with loops."""
    words = explain_failure(
        "error: 'tf.Erfinv' op is neither a custom op nor a flex op\nerror: failed while converting: 'main'"
    )
    assert "Erfinv" in words
    assert "tanh" in words
    assert "recurrent" not in words


def test_the_thread_that_died_is_read_though_others_are_listed_first() -> None:
    found = explain_crash(
        "Fatal Python error: Segmentation fault\n\nThread 0x1 (most recent call first):\n"
        '  File "link.py", line 51 in _listen\n\nCurrent thread 0x2 (most recent call first):\n'
        '  File "calibrator.py", line 152 in _feed_tensors\n  File "lite.py", line 1 in convert\n\nExtension modules: a'
    )
    assert found is not None
    assert "TensorFlow's calibration" in found
    assert "dynamic" in found


def test_a_lookup_table_is_to_be_taken_out_of_the_model() -> None:
    assert "before the model" in explain_failure("TF Select ops: HashTableV2, LookupTableFindV2")


def test_categories_that_are_counted_in_a_graph_need_the_keras_file() -> None:
    assert "upload the Keras file" in explain_failure("TF Select ops: DenseBincount")


def test_a_failed_conversion_names_its_operators() -> None:
    words = explain_failure("<unknown>:0: error: 'tf.Foo' op is not legal\nDetails: tf.Bar(tensor) {}")
    assert "Bar, Foo" in words
