"""Lines of a run's log."""

from lwdash.ui.run.log_lines import without_library_lines

LOG = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1796001397.808238   17078 port.cc:153] oneDNN custom operations are on.
2026-11-30 01:16:37.808238: I tensorflow/core/platform/cpu_feature_guard.cc:210] This binary is optimized
To enable the following instructions: AVX2 AVX512F, in other operations, rebuild TensorFlow.
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
WARNING:tensorflow:5 out of the last 9 calls to <function predict at 0x7f> triggered tf.function retracing.
conv: 3 of 8 channels removed
Traceback (most recent call last):
  File "x.py", line 3, in <module>
Error: Inputs have no rows
"""


def test_messages_about_the_host_are_taken_out_and_counted():
    own, left_out = without_library_lines(LOG)
    assert left_out == 6
    assert own.splitlines() == LOG.splitlines()[6:]


def test_a_log_of_the_run_alone_is_unchanged():
    assert without_library_lines("a\nb") == ("a\nb", 0)
    assert without_library_lines("") == ("", 0)
