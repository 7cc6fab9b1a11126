"""Metrics of targets as columns: one registration gives axis, limit and goal, and times of hosts are never mixed."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lwdash.errors import UserMistake
from lwdash.metrics.limit_checks import check_limits
from lwdash.metrics.limits import (
    OPTION_UNITS,
    checked_limits,
    excess,
    limit_of,
    limit_on,
    limits_met,
    limits_summary,
    meets_all_limits,
)
from lwdash.metrics.offers import all_target_columns, columns_of_targets, target_metric, targets_of
from lwdash.metrics.run_metrics import MEASURES
from lwdash.metrics.target_values import (
    available_with_targets,
    heading_of,
    mark_targets,
    measure_of,
    target_values,
)
from lwdash.search.outcomes import best, outcomes
from lwdash.search.priors import expected_log_cost
from lwdash.search.space import INTEGER_FORMATS, goal_of
from lwdash.targets import TARGETS

RATE, CYCLES = "ethos_u55_256.inferences_per_second", "ethos_u55_256.npu_cycles"


def result(
    ms: float | None, *, host: str = "11111111", litert: str = "2.3.0", label: str = "Pi 4"
) -> dict[str, Any]:
    metrics = {
        "latency_ms_p50": {"value": ms},
        "speedup": {"value": 2.0},
        "added_memory_bytes": {"value": 5000},
    }
    return {
        "label": label,
        "host": {"id": host, "threads": 1, "litert": litert},
        "metrics": metrics if ms else {},
    }


def on_npu(cycles: float, rate: float) -> dict[str, Any]:
    return {"metrics": {"npu_cycles": {"value": cycles}, "inferences_per_second": {"value": rate}}}


def test_a_device_has_one_column_for_each_metric() -> None:
    found = target_values(
        {2: {"device_1": result(3.0), "unknown": {"metrics": {}}}, 3: {"device_1": result(None)}}
    )
    assert sorted(found.columns) == sorted(columns_of_targets(["device_1"]))
    assert found.values[2]["device_1.latency_ms_p50"] == 3.0
    assert found.values[3]["device_1.latency_ms_p50"] is None
    assert found.values[2]["device_1.added_memory_bytes"] == 5000
    assert heading_of("device_1.latency_ms_p50", found.names) == "p50 on Pi 4 (µs)"
    measure = measure_of("device_1.latency_ms_p50", found.names)
    assert (measure.label, measure.write(3.0)) == ("Latency p50 on Pi 4", "3,000.0 µs")


def test_after_an_update_a_device_is_another_host() -> None:
    found = target_values(
        {2: {"device_1": result(3.0)}, 3: {"device_1": result(2.0, host="22222222", litert="2.4.0")}}
    )
    now, before = "device_1.latency_ms_p50", "device_1.latency_ms_p50@11111111-1"
    assert {now, before} <= set(found.columns)
    assert (found.values[2].get(now), found.values[2][before]) == (None, 3.0)
    assert (found.values[3][now], found.values[3].get(before)) == (2.0, None)
    assert heading_of(now, found.names) == "p50 on Pi 4, LiteRT 2.4.0, 22222222 (µs)"
    assert heading_of(before, found.names) == "p50 on Pi 4, LiteRT 2.3.0, 11111111 (µs)"


def test_two_devices_of_one_kind_have_columns_of_their_own() -> None:
    found = target_values({2: {"device_1": result(3.0), "device_2": result(4.0, label="Pi 4 b")}})
    assert found.values[2]["device_1.latency_ms_p50"] == 3.0
    assert found.values[2]["device_2.latency_ms_p50"] == 4.0
    assert heading_of("device_2.latency_ms_p50", found.names) == "p50 on Pi 4 b (µs)"


def test_another_runtime_is_compared_with_litert() -> None:
    found = target_values({2: {"openvino": result(3.0, label="OpenVINO")}})
    assert {heading_of(column, found.names) for column in found.columns} == {
        "p50 in OpenVINO (µs)",
        "OpenVINO / LiteRT",
        "Rows that differ in OpenVINO",
    }


@pytest.mark.parametrize("column", [c for c in all_target_columns() if "N." not in c] + ["device_7.speedup"])
def test_what_a_target_offers_is_an_axis_a_limit_and_a_goal(column: str) -> None:
    metric = target_metric(column)
    assert metric is not None
    assert metric.target in (*TARGETS, "device_7")
    measure, limit, goal = measure_of(column), limit_of(column), goal_of(column)
    assert measure.column == limit.column == goal.column == column
    assert measure.help
    assert measure.label in limit.label
    assert limit.is_at_least == measure.is_higher_better
    assert limit.option.unit in OPTION_UNITS
    assert limit.option.read("2") * limit.option.factor * measure.factor == pytest.approx(2)
    assert metric.offer.same_as is None or metric.offer.same_as in MEASURES
    if metric.offering.is_integer_only:
        assert goal.formats == INTEGER_FORMATS
    assert checked_limits({column: 2}) == {column: 2.0}


def test_every_target_offers_something() -> None:
    assert {target for target in TARGETS if not columns_of_targets([target])} == set()
    assert targets_of([RATE, "size_bytes", CYCLES, "device_3.speedup"]) == ["ethos_u55_256", "device_3"]


@pytest.mark.parametrize(
    "name", ["ethos_u55_256.speed", "ethos_u99.npu_cycles", "device_x.speedup", "device_.speedup"]
)
def test_an_unknown_metric_is_no_limit_and_no_goal(name: str) -> None:
    with pytest.raises(UserMistake, match=r"ethos_u55_256\.npu_cycles"):
        checked_limits({name: 1.0})
    with pytest.raises(UserMistake, match="a search is for one of"):
        goal_of(name)


def test_a_limit_on_the_least_value_is_kept_by_more_and_never_by_nothing() -> None:
    runs = pd.DataFrame({"state": "succeeded", RATE: [2000.0, 1000.0, 500.0, np.nan, 0.0]})
    limits = {RATE: 1000.0}
    assert limits_met(runs, limits)[RATE].fillna(-1).tolist() == [1.0, 1.0, 0.0, -1.0, 0.0]
    assert meets_all_limits(runs, limits).tolist() == [True, True, False, False, False]
    assert excess(runs, limits)[RATE].iloc[2] == pytest.approx(1.0)
    assert limits_summary(limits) == "Inferences a second, Arm Ethos-U55, 256 MACs ≥ 1,000 1/s"
    assert limit_on(measure_of(RATE), limits, runs) == 1000.0


def test_a_check_says_that_nothing_was_measured() -> None:
    (absent,) = check_limits({"size_bytes": 5}, {RATE: 1000.0})
    assert (absent.is_kept, absent.value_text) == (False, "not measured")
    (low,) = check_limits({RATE: 500.0}, {RATE: 1000.0})
    assert not low.is_kept
    assert low.message == "Inferences a second, Arm Ethos-U55, 256 MACs 500 1/s, at least 1,000 1/s"
    (enough,) = check_limits({RATE: 1500.0}, {RATE: 1000.0})
    assert enough.is_kept


def test_an_arena_that_was_only_planned_is_called_so() -> None:
    (planned,) = check_limits({"arena_bytes": 9000}, {"arena_bytes": 10_000})
    assert (planned.value_text, planned.is_kept) == ("9 (planned)", True)
    (total,) = check_limits({"arena_bytes": 9000, "arena_total_bytes": 11_000}, {"arena_bytes": 10_000})
    assert (total.value_text, total.is_kept) == ("11", False)


def test_lists_show_a_metric_once() -> None:
    runs = pd.DataFrame(
        {"npu_cycles": [5.0], "ethos_u55_128.npu_cycles": [5.0], CYCLES: [4.0], RATE: [np.nan]}
    )
    mark_targets(runs, {}, ("tflm", "ethos_u55_128"))
    assert [measure.column for measure in available_with_targets(runs[runs["npu_cycles"] > 0])] == [
        "npu_cycles",
        CYCLES,
    ]


def test_a_search_ranks_by_the_metric_of_a_target_and_leaves_out_what_has_none() -> None:
    runs = pd.DataFrame(
        {"id": [1, 2, 3], "recipe": ["int8", "int16x8", "qat + int8"], "accuracy": [0.9, 0.9, 0.9],
         "baseline_accuracy": 0.9, RATE: [1000.0, 4000.0, np.nan]}
    )  # fmt: skip
    found = outcomes(runs, RATE, {"accuracy_drop": 0.01})
    assert [(outcome.run, outcome.cost) for outcome in found] == [(1, 1 / 1000), (2, 1 / 4000)]
    chosen = best(found)
    assert chosen is not None
    assert chosen.run == 2


def test_the_goal_arena_is_the_measured_one() -> None:
    runs = pd.DataFrame(
        {"id": [1, 2], "recipe": ["int8", "int16x8"], "accuracy": [0.9, 0.9], "arena_bytes": [900.0, 100.0],
         "arena_total_bytes": [1100.0, np.nan]}
    )  # fmt: skip
    assert [(o.run, o.cost) for o in outcomes(runs, "arena_bytes", {})] == [(1, 1100.0)]
    planned = runs.drop(columns="arena_total_bytes")
    assert [(o.run, o.cost) for o in outcomes(planned, "arena_bytes", {})] == [(1, 900.0), (2, 100.0)]


def test_a_search_expects_of_a_metric_what_it_knows_of_the_like() -> None:
    from lwdash.search.candidates import Candidates
    from lwdash.search.priors import traits
    from lwdash.search.space import make_space

    candidates = Candidates(make_space(("int8", "int16x8"), ("channels",)))
    rows = np.array([candidates.encode("int8"), candidates.encode("channels(ratio=0.5) + int8")])
    for column in (
        RATE,
        CYCLES,
        "device_1.latency_ms_p50",
        "ethos_u55_256.sram_bytes",
        "tflm.arena_total_bytes",
    ):
        whole, half = expected_log_cost(traits(candidates, rows), column)
        assert half < whole, column
