"""Latency and its interval; which host it is; and why integer arithmetic is not faster."""

from __future__ import annotations

import gc
import math
import os
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import poll
from scipy import stats
from support.measure_models import Model, dense_model, int8_dense_model

from lwdash.errors import LwdashError
from lwdash.measure.runner import Runner
from lwdash.measure.timing import latency as latency_module
from lwdash.measure.timing.delegation import delegation
from lwdash.measure.timing.forked_session import in_fork
from lwdash.measure.timing.host_facts import Host, flags_in, this_host
from lwdash.measure.timing.interleaved import time_interleaved
from lwdash.measure.timing.latency import compare_latency, digest, measure_latencies
from lwdash.measure.timing.ratio_interval import DRIFT, ratio_interval, student_975
from lwdash.measure.timing.speed_reasons import float_operators, why_not_faster
from lwdash.tflite.reader import read_tflite

PLAIN_HOST = Host("Old Chip", "x86_64", 2, ("avx2",), 1, "2.3.0", "Linux")


def dense(units: int, features: int = 64) -> bytes:
    return dense_model(np.ones((units, features)), np.ones(units))


def test_a_model_with_sixteen_times_the_work_is_slower_and_the_interval_says_so():
    rows = {"x": np.ones((3, 64), np.float32)}
    latency = compare_latency(dense(32), dense(16384), rows, seconds=1.0)
    assert latency.speedup > 3
    assert latency.speedup_ci[0] <= latency.speedup <= latency.speedup_ci[1]
    assert latency.speedup_ci[0] > 2
    assert latency.ms_p50 <= latency.ms_p90 <= latency.ms_p99
    assert latency.speedup == pytest.approx(latency.baseline_ms_p50 / latency.ms_p50)
    assert latency.pairs >= 50
    assert latency.sessions >= 3
    assert latency.cold_ms > latency.ms_p50
    assert latency.load_ms > 0
    assert latency.first_ms > 0
    assert (
        max(latency.load_ms, latency.first_ms) < latency.cold_ms <= 3 * (latency.load_ms + latency.first_ms)
    )
    assert latency.baseline_load_ms > 0
    assert set(latency.to_dict()) == set(latency.KEYS)


def test_the_same_bytes_are_as_fast_as_themselves():
    rows = {"x": np.ones((1, 64), np.float32)}
    latency = compare_latency(dense(2048), dense(2048), rows)
    assert latency.speedup == pytest.approx(1.0, abs=0.15)


def test_the_time_limit_holds_and_the_garbage_collector_is_back_on():
    data, rows = dense(16384, 256), {"x": np.ones((1, 256), np.float32)}
    latency = compare_latency(data, data, rows, seconds=0.01)
    assert latency.pairs >= 1
    assert latency.sessions == 1
    assert gc.isenabled()


@pytest.mark.long
def test_files_of_one_rotation_share_their_baseline_and_are_in_order():
    rows = {"x": np.ones((3, 64), np.float32)}
    small, middle, large = dense(32), dense(4096), dense(16384)
    found = measure_latencies([small, middle, large, small], large, rows, seconds=1.0)
    assert list(found) == [digest(small), digest(middle), digest(large)]
    latencies = list(found.values())
    assert len({latency.baseline_ms_p50 for latency in latencies}) == 1
    assert latencies[0].speedup > latencies[1].speedup > latencies[2].speedup == 1.0
    assert latencies[2].speedup_ci == (1.0, 1.0)


def test_a_file_that_cannot_be_run_leaves_the_others_their_latencies():
    rows = {"x": np.ones((3, 64), np.float32)}
    found = measure_latencies([dense(32), dense(32, features=8)], dense(64), rows, seconds=0.2)
    good, bad = found.values()
    assert good.speedup > 0
    assert isinstance(bad, LwdashError)
    assert "(8,)" in str(bad)


def test_a_file_that_ends_its_process_is_named_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch):
    killer = dense(48)

    class Deadly(Runner):
        def __init__(self, data, **options):
            if data == killer:
                os.kill(os.getpid(), signal.SIGKILL)
            super().__init__(data, **options)

    monkeypatch.setattr(latency_module, "Runner", Deadly)
    rows = {"x": np.ones((3, 64), np.float32)}
    found = measure_latencies([dense(32), killer, dense(40)], dense(64), rows, seconds=0.2)
    assert [isinstance(one, LwdashError) for one in found.values()] == [False, True, False]
    assert "ended by SIGKILL" in str(found[digest(killer)])


def test_a_session_ends_with_the_process_that_started_it(tmp_path: Path):
    """Also one that stands still in native code, where only the kernel can end it."""

    def stand_still(send):
        (tmp_path / "session").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGSTOP)

    starting = os.fork()
    if starting == 0:
        in_fork(stand_still)
        os._exit(0)
    found = tmp_path / "session"
    poll("it stands still", lambda: found.exists() and found.read_text(), 10)
    os.kill(starting, signal.SIGKILL)
    os.waitpid(starting, 0)
    session = int(found.read_text())
    poll("it is gone", lambda: not psutil.pid_exists(session), 5)


def test_turns_in_which_the_core_was_taken_away_are_left_out():
    """Every seventh call sleeps, as if another process had the core: its time is not the model's."""
    calls = iter(range(1_000_000))

    def work() -> None:
        end = time.thread_time_ns() + 200_000
        while time.thread_time_ns() < end:
            pass
        if next(calls) % 7 == 0:
            time.sleep(0.002)

    times, left_out = time_interleaved({"a": work, "b": work}, time.perf_counter() + 5, is_alone=True)
    assert sum(left_out.values()) > 0
    assert all(len(taken) >= 5 and taken.max() < 2e6 for taken in times.values())
    times, left_out = time_interleaved({"a": work, "b": work}, time.perf_counter() + 5, is_alone=False)
    assert left_out == {"a": 0, "b": 0}
    assert max(taken.max() for taken in times.values()) > 2e6


@pytest.mark.parametrize("sessions", [4, 8, 16])
@pytest.mark.parametrize(
    ("between", "within", "disturbed"), [(0.02, 0.002, 0.0), (0.002, 0.02, 0.0), (0.02, 0.02, 0.05)]
)
def test_the_interval_of_the_ratio_covers_what_varies_between_processes(sessions, between, within, disturbed):
    """Simulated: each process has a ratio of its own, some are disturbed, and a median within it has an error."""
    generator = np.random.default_rng(0)
    covered, repeats = 0, 1000
    for _ in range(repeats):
        ratios = np.log(2.0) + generator.normal(0, between, sessions) + generator.normal(0, within, sessions)
        ratios += np.where(generator.random(sessions) < disturbed, generator.normal(0, 0.2, sessions), 0)
        low, high = ratio_interval(ratios)
        covered += low <= 2.0 <= high
    assert covered >= 0.94 * repeats - 2 * np.sqrt(repeats * 0.94 * 0.06)


def test_the_interval_is_students_for_few_sessions_and_trimmed_for_many():
    low, high = ratio_interval(np.log([1.0, 1.1, 1.21]), drift=0.0)
    assert math.log(high / low) / 2 == pytest.approx(4.302653 * math.log(1.1) / math.sqrt(3))
    assert ratio_interval(np.array([0.0, 0.0])) is None
    calm = np.zeros(8)
    calm[3] = 5.0
    assert ratio_interval(calm, drift=0.0) == (1.0, 1.0)
    assert ratio_interval(calm) == pytest.approx((math.exp(-1.959964 * DRIFT), math.exp(1.959964 * DRIFT)))


def test_students_distribution_is_scipys():
    for freedom in (*range(2, 40), 100, 1000):
        assert student_975(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


def test_the_interval_covers_what_all_sessions_of_a_measurement_share():
    generator = np.random.default_rng(0)
    covered, repeats = 0, 1000
    for _ in range(repeats):
        low, high = ratio_interval(generator.normal(0, DRIFT) + generator.normal(0, 0.005, 8))
        covered += low <= 1.0 <= high
    assert covered >= 0.94 * repeats - 2 * np.sqrt(repeats * 0.94 * 0.06)


def test_flags_that_matter_are_read_from_cpuinfo():
    text = "model name\t: A Chip\nflags\t\t: fpu sse2 avx2 avx512f avx512_vnni\n"
    assert flags_in(text) == ("avx2", "avx512", "avx512_vnni")
    assert flags_in("Features : fp asimd asimddp i8mm\n") == ("dotprod", "i8mm")
    assert flags_in("") == ()


def test_the_fingerprint_tells_hosts_and_threads_apart():
    host = this_host(threads=2)
    assert host.to_dict()["threads"] == 2
    assert host.litert != "unknown"
    assert host.cores >= 1
    assert host.fingerprint == this_host(threads=2).fingerprint != this_host(threads=1).fingerprint
    assert host.id == this_host(threads=1).id
    assert host.id != Host(**{**vars(host), "litert": "0"}).id
    assert len(host.id) == 8


def int8_model(*, activations: str = "int8") -> bytes:
    if activations == "int8":
        return int8_dense_model(
            np.ones((2, 3)), np.ones(2), np.array([0.1, 0.1]),
            input_scale=0.1, input_zero_point=0, output_scale=0.1, output_zero_point=0,
        )  # fmt: skip
    model = Model()
    x = model.tensor("x", (1, 3), "int16", scale=0.1)
    w = model.tensor("w", (2, 3), "int8", np.ones((2, 3), np.int8), scale=0.1)
    y = model.tensor("y", (1, 2), "int16", scale=0.1)
    model.operator("FULLY_CONNECTED", [x, w, -1], [y], version=4, table="FullyConnectedOptions")
    return model.build([x], [y])


def reasons_of(data: bytes, host: Host = PLAIN_HOST, **found) -> str:
    return " ".join(why_not_faster(read_tflite(data), host, **found))


def test_a_float_model_has_no_reasons():
    assert reasons_of(dense(4)) == ""


def test_int8_without_vnni_is_explained_and_with_it_is_not():
    assert "(Old Chip) has no VNNI" in reasons_of(int8_model())
    fast = Host("New Chip", "x86_64", 2, ("avx2", "avx512_vnni"), 1, "2.3.0", "Linux")
    assert reasons_of(int8_model(), fast) == ""
    arm = Host("Arm", "aarch64", 2, (), 1, "2.3.0", "Linux")
    assert "no integer dot product" in reasons_of(int8_model(), arm)


def test_int16_activations_are_explained():
    assert "1 operator has int16 activations (FULLY_CONNECTED)" in reasons_of(int8_model(activations="int16"))


def test_float_islands_are_counted_with_their_borders():
    model = Model()
    q = {"scale": 0.1}
    x, a = model.tensor("x", (1, 2), "int8", **q), model.tensor("a", (1, 2))
    b, y = model.tensor("b", (1, 2)), model.tensor("y", (1, 2), "int8", **q)
    z = model.tensor("z", (1, 2), "int8", **q)
    model.operator("DEQUANTIZE", [x], [a])
    model.operator("EXP", [a], [b])
    model.operator("QUANTIZE", [b], [y])
    model.operator("RELU", [y], [z])
    data = model.build([x], [z])
    assert [o.type for o in float_operators(read_tflite(data))] == ["EXP"]
    assert "1 operator runs in float among integer ones (EXP), with 2 conversions" in reasons_of(data)


@pytest.mark.parametrize(("dtype", "sentence"), [
    ("int8", "integer weights of 1 operator are unpacked to float32"),
    ("float16", "float16 weights of 1 operator are converted to float32"),
])  # fmt: skip
def test_weights_unpacked_before_use_are_explained(dtype, sentence):
    model = Model()
    x, y, full = model.tensor("x", (1, 2)), model.tensor("y", (1, 1)), model.tensor("full", (1, 2))
    stored = model.tensor("w", (1, 2), dtype, np.ones((1, 2), dtype), scale=0.1 if dtype == "int8" else None)
    model.operator("DEQUANTIZE", [stored], [full])
    model.operator("FULLY_CONNECTED", [x, full, -1], [y])
    assert sentence in reasons_of(model.build([x], [y]))


def test_hybrid_operators_are_explained():
    model = Model()
    x, y = model.tensor("x", (1, 2)), model.tensor("y", (1, 1))
    w = model.tensor("w", (1, 2), "int8", np.ones((1, 2), np.int8), scale=0.1)
    model.operator("FULLY_CONNECTED", [x, w, -1], [y])
    assert "1 operator quantizes its activations again in every inference" in reasons_of(
        model.build([x], [y])
    )


def test_zeros_are_said_to_save_no_time():
    assert "80 % of the weights are zero" in reasons_of(dense(4), sparsity=0.8)
    assert reasons_of(dense(4), sparsity=0.1) == ""


def test_what_xnnpack_took_over_is_seen_in_the_interpreter():
    data = dense_model(np.ones((4, 3)), np.ones(4), softmax=True)
    runner = Runner(data)
    runner.prepare_row({"x": np.ones((1, 3), np.float32)})
    found = delegation(runner.facts, runner.interpreter)
    assert (found.inside, found.outside, found.partitions) == ({0, 1}, (), 1)
    wide = Runner(int8_model(activations="int16"))
    wide.prepare_row({"x": np.ones((1, 3), np.float32)})
    left = delegation(wide.facts, wide.interpreter)
    assert (left.inside, [o.type for o in left.outside]) == (frozenset(), ["FULLY_CONNECTED"])
    assert left.to_dict(["dense"]) == {
        "inside": 0, "outside": 1, "partitions": 0,
        "outside_operators": [{"type": "FULLY_CONNECTED", "count": 1, "layers": ["dense"]}],
    }  # fmt: skip
    assert "runs none of the 1 operators" in reasons_of(int8_model(activations="int16"), delegation=left)
