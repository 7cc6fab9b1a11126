"""Facts by which runs can be coloured and grouped."""

import pandas as pd
import pytest

from lwdash.metrics.target_values import mark_targets
from lwdash.ui.results.group_table import groups_table
from lwdash.ui.results.run_grouping import known_groups


@pytest.fixture(autouse=True)
def no_memo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lwdash.ui.results.run_grouping.remembered", lambda name, key, make: make())


def frame(*recipes: str, **columns: list[object]) -> pd.DataFrame:
    runs = pd.DataFrame({"id": range(1, len(recipes) + 1), "recipe": recipes, "tags": [()] * len(recipes)})
    return mark_targets(runs.assign(**columns), {"device_1": "Pi 4"}, ())


def names(runs: pd.DataFrame, key: str) -> list[str]:
    return list(known_groups(runs)[key].names_of(runs))


def test_every_kind_of_parameter_that_differs_has_groups() -> None:
    runs = frame(
        "float32",
        "prune(sparsity=0.5, method=magnitude) + int8(io=float32)",
        "prune(sparsity=0.7, epochs=3) + int8",
        "cluster(clusters=8, skip=[a, b]) + int8(per_channel=false)",
        "file:x",
    )
    found = known_groups(runs)
    assert found["recipe:prune.sparsity"].label == "Pruning: sparsity"
    assert names(runs, "recipe:prune.sparsity") == ["not used", "0.5", "0.7", "not used", "not used"]
    assert names(runs, "recipe:prune.epochs") == ["not used", "auto", "3", "not used", "not used"]
    assert found["recipe:prune.epochs"].names == ("3", "auto", "not used")
    assert set(found["recipe:int8.per_channel"].names) == {"true", "false", "not used"}
    assert "recipe:cluster.clusters" not in found, "all that have it are equal"


def test_tags_and_verdicts_of_targets_are_groups() -> None:
    runs = frame(
        *["int8"] * 4,
        tags=[("b", "a"), ("a",), (), None],
        **{
            "tflm.arena_total_bytes": [None, 9.0, None, None],
            "tflm.refused": [1.0, None, None, None],
            "device_1.latency_ms_p50": [0.5, None, None, None],
        },
    )
    found = known_groups(runs)
    assert set(found) == {"tags", "on:tflm", "on:device_1"}
    assert names(runs, "tags") == ["a, b", "a", "no tag", "no tag"]
    assert names(runs, "on:tflm") == ["refused", "runs", "not measured", "not measured"]
    assert found["on:device_1"].label == "Runs on Pi 4"
    assert known_groups(frame("int8", "int8")) == {}


def test_a_group_has_the_median_or_the_best_of_each_column() -> None:
    runs = frame(
        *["int8(io=float32)", "int8", "int8", "int8"], size_bytes=[9e3, 1e3, 2e3, 6e3],
        accuracy=[0.9, 0.7, None, 0.8], state=["succeeded"] * 4,
    )  # fmt: skip
    [groups] = known_groups(runs).values()
    columns = ["state", "size_bytes", "accuracy"]
    medians = groups_table(runs, groups, columns, is_best=False)
    assert list(medians) == ["group", "runs", "size_bytes", "accuracy"]
    assert medians.to_numpy().tolist() == [
        ["int8", 3, 2.0, pytest.approx(75)],
        ["float32", 1, 9.0, pytest.approx(90)],
    ]
    best = groups_table(runs, groups, columns, is_best=True)
    assert best.to_numpy().tolist()[0] == ["int8", 3, 1.0, pytest.approx(80)]
