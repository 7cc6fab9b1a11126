"""The parts of the guided sampler: candidates as rows, predictions, and the recipes that they lead to."""

import time
from itertools import islice

import numpy as np
import pytest

from lwdash.recipe import make_recipe, parse_recipe
from lwdash.search.candidates import Candidates
from lwdash.search.gaussian_process import Scales, fit, given
from lwdash.search.guided import guided
from lwdash.search.outcomes import FAILED, Outcome
from lwdash.search.priors import expected_drop, expected_log_cost, features, traits
from lwdash.search.space import FORMATS, GOALS, SEARCHED, TRAINING, TUNED, make_space
from lwdash.search.surrogate import COST, DROP, Surrogate

EVERYTHING = Candidates(make_space(FORMATS, SEARCHED))
CHANCE = np.random.default_rng(0)


def row(text: str) -> np.ndarray:
    found = EVERYTHING.encode(text)
    assert found is not None, text
    return found


def test_rows_stand_for_recipes_of_the_space() -> None:
    drawn = EVERYTHING.draw(300, CHANCE)
    near = EVERYTHING.neighbours(row("channels(ratio=0.3) + prune(sparsity=0.5) + int8"))
    for candidate in (*drawn, *near):
        recipe = EVERYTHING.decode(candidate)
        assert make_recipe(*recipe.steps) == recipe
        assert (row(str(recipe)) == candidate).all()
    assert {len(EVERYTHING.decode(candidate).keras_steps) for candidate in drawn} >= {0, 1, 2, 3, 4}


def test_neighbours_change_one_thing() -> None:
    texts = {str(EVERYTHING.decode(r)) for r in EVERYTHING.neighbours(row("prune(sparsity=0.5) + int8"))}
    assert {"int8", "prune(sparsity=0.5) + float16", "prune(sparsity=0.65) + int8"} <= texts
    assert "prune(sparsity=0.5, scope=global) + int8" in texts
    assert "prune(sparsity=0.5) + qat + int8" in texts
    assert "prune(sparsity=0.7) + int8" not in texts, "too far"


def test_a_technique_that_is_switched_on_takes_the_place_of_the_one_that_it_excludes() -> None:
    near = {str(EVERYTHING.decode(r)) for r in EVERYTHING.neighbours(row("cluster(clusters=8) + int8"))}
    assert "lowbit(bits=3) + int8" in near
    assert "prune(sparsity=auto, mean_sparsity=0.6) + cluster(clusters=8) + int8" in near
    assert not any("cluster" in text and "lowbit" in text for text in near)


def test_a_grid_has_every_technique_and_begins_with_the_formats() -> None:
    texts = [str(EVERYTHING.decode(found)) for found in islice(EVERYTHING.grid(), 3000)]
    assert texts[: len(FORMATS)] == list(FORMATS)
    assert len(set(texts)) == len(texts) == 3000
    steps = [len(parse_recipe(text).keras_steps) for text in texts]
    assert steps == sorted(steps)
    assert {"prune(sparsity=0.6) + int8", "lowbit(bits=3) + auto", "qat + int8"} <= set(texts)
    assert not any("cluster" in text and "lowbit" in text for text in texts)


def test_recipes_to_choose_among_are_the_only_ones() -> None:
    among = ("int8", "prune(sparsity=0.5) + int8")
    few = Candidates(EVERYTHING.space, (*among, "float32"))
    assert sorted(str(few.decode(found)) for found in few.draw(50, CHANCE)) == sorted(among)
    assert [str(few.decode(found)) for found in few.neighbours(row("int8"))] == ["int8"]


def test_what_is_expected_grows_with_the_strength_of_each_technique() -> None:
    for name, tuned in TUNED.items():
        for key, values in tuned.items():
            if key in ("scope", *TRAINING):
                continue
            values = sorted(values)
            column = EVERYTHING.columns[f"{name}.{key}"]
            rows = np.repeat(row("int8")[None], len(values), axis=0)
            rows[:, EVERYTHING.columns[name]] = 1
            rows[:, column] = [tuned[key].index(value) for value in values]
            for other in ("scope", *TRAINING):
                if other in tuned:
                    rows[:, EVERYTHING.columns[f"{name}.{other}"]] = 0
            known = traits(EVERYTHING, rows)
            drops, costs = expected_drop(known), expected_log_cost(known, "gzip_bytes")
            assert (np.diff(drops) * np.diff(costs) <= 0).all(), (
                f"{name}: what costs more accuracy is smaller"
            )
            assert np.ptp(drops) > 0, name
            assert np.ptp(costs) > 0, name


@pytest.mark.parametrize("column", [*GOALS, "latency_ms"])
def test_expectations_are_finite_for_every_candidate(column: str) -> None:
    known = traits(EVERYTHING, EVERYTHING.draw(500, CHANCE))
    for values in (features(known), expected_log_cost(known, column), expected_drop(known)):
        assert np.isfinite(values).all()


def test_a_process_returns_to_its_values_and_is_uncertain_elsewhere() -> None:
    points = CHANCE.normal(size=(30, 2))
    values = np.sin(points[:, 0])
    scales = fit(points, values, level=1.0, noises=(0.03, 0.4))
    assert scales.noise == 0.03, "what is smooth has little noise"
    process = given(points, values, scales)
    mean, deviation = process.predict(points)
    assert np.abs(mean - values).max() < 0.1
    assert deviation.max() < 0.1
    assert process.predict(np.full((1, 2), 20.0))[1] > 0.5
    nothing = given(np.zeros((0, 2)), np.zeros(0), Scales(1.0, 0.3, 0.1, 0.2, 2.0))
    mean, deviation = nothing.predict(points)
    assert (mean == 0).all()
    assert (deviation > 2).all()


def test_predictions_follow_the_runs() -> None:
    limits = {DROP: 0.01}
    texts = (
        "int8",
        "prune(sparsity=0.5) + int8",
        "prune(sparsity=0.8) + int8",
        "cluster(clusters=16) + int8",
    )
    costs = (400.0, 300.0, 150.0, 200.0)
    good, bad = (
        [Outcome(n, t, 0.9, c, {DROP: excess}) for n, (t, c) in enumerate(zip(texts, costs, strict=True))]
        for excess in (-1.0, 9.0)
    )
    asked = row("prune(sparsity=0.65) + int8")[None]
    for found, is_good in ((good, True), (bad, False)):
        surrogate = Surrogate(EVERYTHING, "gzip_bytes", limits, [COST], found)
        predicted = surrogate.predict(asked, [COST, DROP])
        assert 150 < np.exp(predicted[COST][0][0]) < 300
        assert (predicted[DROP][0][0] < 0) == is_good
        assert all(surrogate.keeps_limits(values) == is_good for values in surrogate.values)
    failed = [Outcome(9, "low_rank(macs=0.7) + int8", 0.1, 999.0, {FAILED: 1.0})]
    surrogate = Surrogate(EVERYTHING, "gzip_bytes", limits, [COST], [*good, *failed])
    assert np.exp(surrogate.predict(asked, [COST])[COST][0][0]) < 300, "a failure has no cost"
    assert not surrogate.keeps_limits(surrogate.values[-1])


def test_a_long_history_does_not_slow_the_next_choice() -> None:
    """What was run long ago, or cancelled, is known without its metrics."""
    known = {str(EVERYTHING.decode(drawn)) for drawn in EVERYTHING.draw(1500, CHANCE)}
    began = time.process_time()
    proposed = list(islice(guided(EVERYTHING, [], known, goal="gzip_bytes", limits={}, chance=CHANCE), 4))
    assert time.process_time() - began < 10
    assert len({*map(str, proposed)} - known) == 4
