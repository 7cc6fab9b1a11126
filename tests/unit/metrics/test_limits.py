"""The one list of limits, and the one rule by which a best run is chosen."""

import math

import pandas as pd
import pytest

from lwdash.cli.arguments import command_parser
from lwdash.cli.main import COMMANDS
from lwdash.errors import UserMistake
from lwdash.metrics.limits import LIMITS, RatedRun, best_of, checked_limits, limits_met
from lwdash.metrics.run_metrics import MEASURES
from lwdash.ui.new.draft import CHOICES


def test_limits_are_kept_as_they_are_stored_and_none_is_no_limit():
    assert checked_limits({"size_bytes": 10, "latency_ms": None}) == {"size_bytes": 10.0}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            {"size": 1},
            "there is no limit 'size' (there are: size_bytes, accuracy_drop, latency_ms, arena_bytes, "
            "npu_cycles, micro_flash_bytes, and metrics of targets: tflm.arena_total_bytes, ",
        ),
        ({"size_bytes": -1}, "the limit size_bytes is a number from 0 on, received -1"),
        ({"size_bytes": math.nan}, "the limit size_bytes is a number from 0 on, received nan"),
        ({"size_bytes": math.inf}, "the limit size_bytes is a number from 0 on, received inf"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_name(limits, message):
    with pytest.raises(UserMistake) as refused:
        checked_limits(limits)
    assert str(refused.value).startswith(message)


def test_every_limit_has_its_metric_its_option_and_its_place_in_the_address():
    assert {limit.column for limit in LIMITS.values()} - {None} <= set(MEASURES)
    assert set(LIMITS) <= set(CHOICES)
    files = ["run", "model.keras", "--data", "rows.csv", "--recipe", "int8"]
    given = [part for limit in LIMITS.values() for part in (f"--max-{limit.option.name}", "2")]
    options = command_parser(COMMANDS).parse_args([*files, *given])
    stored = {
        key: getattr(options, f"max_{limit.option.name}") * limit.option.factor
        for key, limit in LIMITS.items()
    }
    assert stored == {
        "size_bytes": 2000.0, "accuracy_drop": 0.02, "latency_ms": 2.0, "arena_bytes": 2000.0, "npu_cycles": 2.0,
        "micro_flash_bytes": 2000.0,
    }  # fmt: skip


def test_the_arena_limit_holds_for_the_measured_total_where_there_is_one():
    runs = pd.DataFrame(
        {
            "state": "succeeded",
            "arena_bytes": [900.0, 900.0, math.nan],
            "arena_total_bytes": [1100.0, math.nan, math.nan],
            "arena_reason": [None, None, "no kernel for GELU"],
        }
    )
    kept = limits_met(runs, {"arena_bytes": 1000})["arena_bytes"]
    assert kept.fillna(-1).tolist() == [0.0, -1.0, 0.0], "a plan beside measured totals keeps no limit"
    planned = limits_met(runs.drop(columns="arena_total_bytes"), {"arena_bytes": 1000})["arena_bytes"]
    assert planned.tolist() == [1.0, 1.0, 0.0]


def test_the_best_run_is_the_cheapest_or_the_most_exact_and_the_oldest_of_equals():
    runs = [RatedRun(4, 0.9, 10), RatedRun(3, 0.9, 10), RatedRun(2, 0.95, 20), RatedRun(1, 0.8, 10)]
    assert best_of(runs, is_cheapest=True) == runs[1]
    assert best_of(runs, is_cheapest=False) == runs[2]
    assert best_of([], is_cheapest=True) is None


OPTIONS = {limit.option.unit: limit.option for limit in LIMITS.values()}


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("30", "KB", 30.0),
        ("30kB", "KB", 30.0),
        ("0.5 MB", "KB", 500.0),
        ("2048b", "KB", 2.048),
        ("5", "MS", 5.0),
        ("2.5ms", "MS", 2.5),
        ("1 points", "POINTS", 1.0),
        ("1e6", "CYCLES", 1e6),
    ],
)
def test_an_option_may_have_its_unit(text, unit, value):
    assert OPTIONS[unit].read(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "-3", "0", "nan", "inf", "30 apples", "5 GB", "kB", "1.2.3", "1e400"])
@pytest.mark.parametrize("unit", OPTIONS)
def test_another_text_of_an_option_is_refused_with_its_units(text, unit):
    with pytest.raises(UserMistake, match=r"must be a number of .* above 0, but got"):
        OPTIONS[unit].read(text)
