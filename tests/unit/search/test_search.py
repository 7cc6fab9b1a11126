"""What a search chooses between, what it takes for good, and that it learns; the figures are of a made-up world."""

import math
import random
from collections.abc import Mapping, Sequence
from statistics import mean
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from lwdash.charts.search_progress import describe_search, plot_search
from lwdash.errors import UserMistake
from lwdash.metrics.run_metrics import MEASURES
from lwdash.recipe import Recipe, parse_recipe
from lwdash.search.candidates import Candidates
from lwdash.search.nsga2 import ranked
from lwdash.search.outcomes import FAILED, Outcome, best, eligible, failures, front, measured, outcomes
from lwdash.search.priors import expected_log_cost, traits
from lwdash.search.proposals import SAMPLERS, Task, propose
from lwdash.search.space import (
    FORMATS,
    GOALS,
    INTEGER_FORMATS,
    SEARCHED,
    TUNED,
    Space,
    choices_of,
    make_space,
)
from lwdash.search.starts import starts

EVERYTHING = make_space(FORMATS, SEARCHED)


class Dice:
    """Chooses anything."""

    def __init__(self, seed: int):
        self.chance = random.Random(seed)

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return self.chance.randint(low, high)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.chance.choice(choices)


class Repeats:
    """Chooses what it was given."""

    def __init__(self, choices: dict[str, Any]):
        self.choices = choices

    def suggest_int(self, name: str, low: int, high: int) -> int:
        assert low <= self.choices[name] <= high
        return self.choices[name]

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        assert self.choices[name] in choices
        return self.choices[name]


def test_every_recipe_of_the_space_is_told_by_its_choices() -> None:
    used: set[str] = set()
    for seed in range(500):
        recipe = EVERYTHING.choose(Dice(seed))
        choices = EVERYTHING.choices(recipe)
        assert choices is not None, recipe
        assert EVERYTHING.choose(Repeats(choices)) == recipe == parse_recipe(str(recipe))
        used |= {step.name for step in recipe.steps}
    assert used >= {*SEARCHED, "int8", "float16", "dynamic", "weight_only", "int16x8"}


@pytest.mark.parametrize(
    "text",
    [
        "float32", "prune(sparsity=0.5)", "int8(io=float32)", "prune(sparsity=0.52) + int8",
        "prune(sparsity=0.5, epochs=3) + int8", "mixed(default=int8)", "prune(sparsity=0.5, structure=2:4) + int8",
    ],
)  # fmt: skip
def test_what_the_space_does_not_hold_is_not_taken_for_a_neighbour(text: str) -> None:
    assert EVERYTHING.choices(parse_recipe(text)) is None


def test_a_training_for_integers_goes_with_integers_only() -> None:
    for seed in range(300):
        recipe = make_space(FORMATS, ["qat"]).choose(Dice(seed))
        assert [step.name for step in recipe.keras_steps] in ([], ["qat"])
        assert not recipe.keras_steps or str(recipe.tflite_step) in ("int8", "auto")
    assert make_space(["int8"], ["qat"]).choices(parse_recipe("qat")) == {
        "format": "int8", "qat": True, "qat.epochs": 0, "qat.learning_rate": 0,
    }  # fmt: skip


def test_a_strength_by_layer_is_a_choice_and_other_limits_are_not() -> None:
    pruned = "prune(sparsity=auto, mean_sparsity=0.8) + cluster(clusters=12) + auto"
    choices = EVERYTHING.choices(parse_recipe(pruned))
    assert choices is not None
    assert str(EVERYTHING.choose(Repeats(choices))) == pruned
    for text in ("prune(sparsity=auto) + int8", "prune(sparsity=auto, mean_sparsity=0.82) + int8"):
        assert EVERYTHING.choices(parse_recipe(text)) is None


def test_the_genetic_sampler_ranks_by_limits_then_by_front_then_by_distance() -> None:
    values = [
        (0.9, 50, -1.0),
        (0.95, 60, -1.0),
        (0.99, 90, -1.0),
        (0.9, 70, -1.0),
        (0.99, 10, 2.0),
        (0.99, 5, 4.0),
    ]
    found = [Outcome(n, "int8", q, c, {"accuracy_drop": e}) for n, (q, c, e) in enumerate(values)]
    assert ranked(found) == [0, 2, 1, 3, 4, 5]


@pytest.mark.parametrize("budget", [1, 4, 12, 24, 48, 500])
def test_few_runs_are_starts_and_strong_combinations_come_early(budget: int) -> None:
    texts = [str(recipe) for recipe in starts(EVERYTHING, budget)]
    assert texts[0] == "prune(sparsity=auto, mean_sparsity=0.75) + cluster(clusters=12) + int8"
    assert len(set(texts)) == len(texts) <= max(1, budget // 4)
    if budget >= 24:
        assert {step.name for text in texts for step in parse_recipe(text).keras_steps} == set(SEARCHED)
        assert {"int8", "dynamic(bits=4)"} <= set(texts)


@pytest.mark.parametrize("goal", GOALS)
def test_starts_are_recipes_of_the_space(goal: str) -> None:
    for techniques in ((), ("prune",), GOALS[goal].techniques):
        for formats in (("float16",), GOALS[goal].formats):
            space = make_space(formats, techniques)
            found = starts(space, 100)
            assert str(found[0]).endswith(formats[0])
            assert all(space.choices(recipe) is not None for recipe in found)


def test_a_space_is_checked_and_comes_back_from_the_database() -> None:
    assert Space.from_dict(EVERYTHING.to_dict()) == EVERYTHING
    assert make_space(["int8(io=int8)", "int8"], ["prune", "channels"]) == Space(
        ("int8",), ("channels", "prune")
    )
    for formats, techniques, words in (
        ((), (), "needs at least one number format"),
        (("prune(sparsity=0.5) + int8",), (), "is no number format"),
        (("int9",), (), "no technique 'int9'"),
        (("int8",), ("int8",), "received 'int8'"),
    ):
        with pytest.raises(UserMistake, match=words):
            make_space(formats, techniques)


def test_goals_name_measures_and_techniques_that_are_tuned() -> None:
    for column, goal in GOALS.items():
        assert goal.column == column
        assert column in MEASURES
        assert set(goal.techniques) <= set(TUNED) == set(SEARCHED)
        assert make_space(goal.formats, goal.techniques).formats == goal.formats
    assert GOALS["arena_bytes"].formats == INTEGER_FORMATS, "TensorFlow Lite Micro refuses the others"
    size = GOALS["size_bytes"]
    assert size.storage_with(size.formats) == "sparse", "zeros count only where they are left out"
    assert size.storage_with(INTEGER_FORMATS) is None, "a microcontroller reads dense files only"
    assert "prune" in size.techniques_with(size.formats)
    assert "prune" not in size.techniques_with(INTEGER_FORMATS)
    assert "prune" in GOALS["gzip_bytes"].techniques
    update = GOALS["stored_bytes"]
    assert update.storage_with(INTEGER_FORMATS) == "coded", (
        "any device can decode an update before it is flashed"
    )
    assert set(update.techniques_with(INTEGER_FORMATS)) == set(SEARCHED)


def runs(*rows: tuple[str, float, float, float]) -> pd.DataFrame:
    """recipe, accuracy, kB, speed-up"""
    return pd.DataFrame(
        [
            {
                "id": 10 + i, "recipe": recipe, "state": "succeeded", "error": None, "is_baseline": i == 0, "is_own": True,
                "figures": {
                    "accuracy": accuracy, "baseline_accuracy": 0.95, "size_bytes": 1000 * size, "speedup": speedup,
                },
            }
            for i, (recipe, accuracy, size, speedup) in enumerate(rows)
        ]
    )  # fmt: skip


RUNS = runs(
    ("float32", 0.95, 100, 1.0),
    ("int8", 0.94, 25, 0.8),
    ("float16", 0.95, 50, 1.0),
    ("dynamic", 0.90, 24, 2.0),
)


def test_outcomes_are_of_measured_runs_without_the_baseline() -> None:
    found = outcomes(measured(RUNS), "size_bytes", {"accuracy_drop": 0.02})
    assert [o.recipe for o in found] == ["int8", "float16", "dynamic"]
    assert [o.run for o in found] == [11, 12, 13]
    assert [o.keeps_limits for o in found] == [True, True, False]
    assert found[2].excess["accuracy_drop"] == pytest.approx(1.5)
    assert [o.cost for o in outcomes(measured(RUNS), "speedup", {})] == [1.25, 1.0, 0.5]
    assert outcomes(measured(RUNS), "arena_bytes", {}) == []
    unmeasured_limits = outcomes(measured(RUNS), "size_bytes", {"arena_bytes": 1.0})
    assert [o.keeps_limits for o in unmeasured_limits] == [False] * 3, (
        "a limit that nothing was measured for is not kept"
    )
    assert best(unmeasured_limits) is None
    assert propose(task(limits={"arena_bytes": 1.0}), unmeasured_limits, {"int8"}, 1), (
        "and does not stop the search"
    )
    assert outcomes(measured(RUNS.iloc[:0]), "size_bytes", {}) == []


def test_errors_are_better_when_smaller() -> None:
    frame = RUNS.copy()
    frame["figures"] = [{"rmse": r, "size_bytes": 1.0} for r in (0.1, 0.2, 0.1, 0.3)]
    assert [o.quality for o in outcomes(measured(frame), "size_bytes", {})] == [-0.2, -0.1, -0.3]


def test_best_is_the_cheapest_where_quality_is_limited_and_the_most_exact_where_it_is_not() -> None:
    found = outcomes(measured(RUNS), "size_bytes", {"accuracy_drop": 0.02})
    assert best(found).recipe == "int8"  # type: ignore[union-attr]
    found = outcomes(measured(RUNS), "size_bytes", {"size_bytes": 60_000})
    assert best(found).recipe == "float16"  # type: ignore[union-attr]
    assert best(outcomes(measured(RUNS), "size_bytes", {"size_bytes": 1_000})) is None
    assert best(outcomes(measured(RUNS), "size_bytes", {})) is None, "without limits none is best"
    assert [o.recipe for o in front(outcomes(measured(RUNS), "size_bytes", {}))] == [
        "dynamic",
        "int8",
        "float16",
    ]
    assert front([]) == []


def test_a_format_that_is_left_out_is_no_result_whoever_ran_it() -> None:
    found = outcomes(measured(RUNS), "size_bytes", {"accuracy_drop": 0.2})
    assert [o.recipe for o in eligible(found, Space(INTEGER_FORMATS))] == ["int8"]
    assert best(eligible(found, Space(("int8", "dynamic(bits=4)")))).recipe == "dynamic"  # type: ignore[union-attr]
    for text in ("int8(io=float32)", "qat", "prune(sparsity=0.5)", "mixed(default=int8)"):
        assert not Space(INTEGER_FORMATS).leaves_out(parse_recipe(text))


def test_what_fails_is_kept_away_from() -> None:
    """A world in which every 4-bit file fails: a search that is told draws fewer of them than one that is not."""
    drawn = {}
    for is_told in (False, True):
        count = 0
        for seed in range(4):
            found = explored("random", seed, 24)
            bad = [o for o in found if "bits=4" in o.recipe]
            tried = pd.DataFrame(
                {"id": range(len(bad)), "recipe": [o.recipe for o in bad], "state": "failed"}
            )
            good = [o for o in found if o not in bad]
            told = [*good, *failures(tried, good)] if is_told else good
            recipes = propose(task(), told, {o.recipe for o in found}, 12, sampler="tpe", seed=seed)
            count += sum("bits=4" in str(recipe) for recipe in recipes)
        drawn[is_told] = count
    assert drawn[True] < 0.7 * drawn[False], drawn
    assert failures(RUNS.assign(state="failed"), []) == []


def world(recipe: Recipe) -> tuple[float, float]:
    """Accuracy and size of a made-up network, in which formats, strengths and their order matter."""
    sizes = {
        "int8": 26,
        "float16": 50,
        "dynamic": 27,
        "dynamic(bits=4)": 15,
        "weight_only(bits=4)": 15.5,
        "int16x8": 28,
        "auto": 18,
    }
    losses = {
        "int8": 8,
        "float16": 0,
        "dynamic": 4,
        "dynamic(bits=4)": 30,
        "weight_only(bits=4)": 28,
        "int16x8": 2,
        "auto": 12,
    }
    text = str(recipe.tflite_step)
    size, accuracy = float(sizes[text]), 0.97 - losses[text] / 1000
    for step in recipe.keras_steps:
        p = SimpleNamespace(**(choices_of(step.name, step.params) or {}))
        if step.name == "channels":
            size, accuracy = size * (1 - p.ratio) ** 1.6, accuracy - 0.12 * p.ratio**3
        elif step.name == "low_rank":
            size, accuracy = size * (0.4 + 0.6 * p.macs), accuracy - 0.05 * (1 - p.macs)
        elif step.name == "prune":
            size *= 1 - 0.85 * p.sparsity
            accuracy -= 0.1 * p.sparsity ** (6 if p.scope == "layer" else 8)
        elif step.name == "cluster":
            size, accuracy = size * math.log2(p.clusters) / 8, accuracy - 0.03 / p.clusters
        elif step.name == "lowbit":
            size, accuracy = size * p.bits / 8, accuracy - 0.03 / 2**p.bits
        else:
            accuracy += 0.005
        accuracy -= 0.001 * (p.epochs == 10) + 0.002 * (
            TUNED[step.name]["learning_rate"].index(p.learning_rate) == 2
        )
    return accuracy, size


def task(space: Space = EVERYTHING, budget: int = 40, limits: Mapping[str, float] | None = None) -> Task:
    return Task(space, "gzip_bytes", {"accuracy_drop": 0.01} if limits is None else limits, budget)


def explored(sampler: str, seed: int, budget: int = 40) -> list[Outcome]:
    found: list[Outcome] = []
    while len(found) < budget:
        known = {o.recipe for o in found}
        recipes = propose(task(), found, known, 4, sampler=sampler, seed=1000 * seed + len(found))
        assert len(recipes) == 4
        assert not known & set(map(str, recipes))
        for recipe in recipes:
            accuracy, size = world(recipe)
            found.append(
                Outcome(len(found), str(recipe), accuracy, size, {"accuracy_drop": (0.96 - accuracy) / 0.01})
            )
    return found


@pytest.mark.long
def test_it_learns_more_than_chance_finds() -> None:
    """The smallest file that keeps the limit, after as many runs, on average over seeds."""
    costs = {
        sampler: mean(min(o.cost for o in explored(sampler, seed) if o.keeps_limits) for seed in range(4))
        for sampler in SAMPLERS
    }
    first = min(size for accuracy, size in map(world, starts(EVERYTHING, 40)) if accuracy >= 0.96)
    assert costs["guided"] < 0.7 * costs["random"]
    assert costs["guided"] < 0.7 * first
    assert costs["tpe"] < 0.9 * costs["random"]
    assert costs["gp"] < 0.9 * costs["random"]
    assert costs["nsga2"] < 0.9 * costs["random"]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_was_tried_is_not_tried_again_and_a_small_space_ends(sampler: str) -> None:
    small = task(make_space(INTEGER_FORMATS, ["qat"]))
    everything = propose(small, [], {"int8"}, 100, sampler=sampler)
    count = 1 + math.prod(map(len, TUNED["qat"].values()))  # int16x8, and int8 after each training
    assert len(everything) == len(set(map(str, everything))) == count
    assert propose(small, [], {"int8", *map(str, everything)}, 5, sampler=sampler) == []


def test_runs_of_others_teach_and_those_outside_of_the_space_do_no_harm() -> None:
    found = [Outcome(1, "float32", 0.9, 9.0, {}), Outcome(2, "prune(sparsity=0.51) + int8", 0.9, 3.0, {})]
    first = starts(EVERYTHING, 40)[0]
    assert propose(task(), found, {"float32"}, 2)[0] == first
    assert len(propose(task(), found, {"float32", str(first)}, 6)) == 6


def test_what_others_have_run_takes_the_place_of_starts() -> None:
    known = [f"cluster(clusters={k}) + float16" for k in TUNED["cluster"]["clusters"]]
    found = [Outcome(n, text, 0.9, 50.0 + n, {"accuracy_drop": -0.5}) for n, text in enumerate(known)]
    planned = starts(EVERYTHING, 12)
    assert propose(task(budget=12), [], (), 3) == planned
    assert not {*propose(task(budget=12), found, known, 1)} & {*planned}


@pytest.mark.parametrize(
    ("limits", "excess"),
    [({}, {}), ({"size_bytes": 9.0}, {"size_bytes": 0.1}), ({"latency_ms": 1.0}, {"latency_ms": math.nan})],
)
def test_it_goes_on_without_limits_and_with_those_that_nothing_keeps(
    limits: dict[str, float], excess: dict[str, float]
) -> None:
    found = [Outcome(n, str(recipe), 0.9, 9.0 + n, excess) for n, recipe in enumerate(starts(EVERYTHING, 40))]
    known = [outcome.recipe for outcome in found]
    proposed = propose(task(limits=limits), found, known, 4)
    assert len({*map(str, proposed), *known}) == 4 + len(known)


def test_it_keeps_away_from_what_fails() -> None:
    """Whatever uses low_rank fails: soon it is not tried any more."""
    found: list[Outcome] = []
    while len(found) < 24:
        known = [o.recipe for o in found]
        for recipe in propose(task(budget=24), found, known, 4, seed=len(found)):
            accuracy, size = world(recipe)
            excess = {"accuracy_drop": (0.96 - accuracy) / 0.01}
            if any(step.name == "low_rank" for step in recipe.keras_steps):
                accuracy, size, excess = 0.5, 99.0, {FAILED: 1.0}
            found.append(Outcome(len(found), str(recipe), accuracy, size, excess))
    assert sum(FAILED in o.excess for o in found[12:]) <= 2
    assert best(found) is not None


POINTS = pd.DataFrame(
    {
        "number": [1, 2, 3], "run": [5, 6, 7], "name": ["int8", "<b>x</b>", "prune"], "value": [25e3, 9e3, 20e3],
        "keeps": [True, False, True], "hover": ["a", "b", "c"], "best": [25e3, 25e3, 20e3],
    }
)  # fmt: skip


def test_the_figure_shows_what_kept_the_limits_and_the_best_so_far() -> None:
    figure = plot_search(POINTS, MEASURES["size_bytes"], 30e3)
    kept, broken, line = figure.data
    assert list(kept.y) == [25, 20]
    assert list(broken.y) == [9]
    assert list(line.y) == [25, 25, 20]
    assert kept.marker.symbol != broken.marker.symbol
    assert figure.layout.yaxis.title.text == "Size of the .tflite (kB)"
    assert figure.layout.annotations[0].text == "before the search: 30.0 kB"
    assert "<b>x</b>" not in str(broken.customdata)
    text = describe_search(POINTS, MEASURES["size_bytes"], 30e3)
    assert "3 runs of the search, 2 of which meet all limits" in text
    assert "20.0 kB" in text
    assert "30.0 kB" in text
    assert describe_search(POINTS.iloc[:0], MEASURES["size_bytes"], None).startswith("No run")


def test_before_anything_is_best_there_is_no_line() -> None:
    figure = plot_search(POINTS.assign(best=float("nan"), keeps=False), MEASURES["accuracy"], None)
    assert [trace.name for trace in figure.data] == ["exceeds a limit"]


def test_pruned_recipes_of_a_search_for_size_are_stored_sparse() -> None:
    space = make_space(["int8", "float16"], ["prune", "channels"], storage="sparse")
    assert Space.from_dict(space.to_dict()) == space
    recipes = [space.choose(Dice(seed)) for seed in range(60)]
    assert {("prune" in str(recipe), "sparse" in str(recipe)) for recipe in recipes} == {
        (True, True),
        (False, False),
    }
    for recipe in recipes:
        choices = space.choices(recipe)
        assert choices is not None
        assert choices["prune"] == ("prune" in str(recipe))
    assert space.choices(parse_recipe("prune(sparsity=0.5) + int8")) is None, "it would be another file"
    assert Space.from_dict({"formats": ["int8"], "techniques": ["prune"]}).storage is None, (
        "stored by version 0.5"
    )


def test_every_recipe_of_a_search_for_updates_is_coded() -> None:
    goal = GOALS["stored_bytes"]
    space = make_space(
        ["int8", "float16"], ["prune", "qat"], storage=goal.storage, is_always_stored=goal.is_always_stored
    )
    assert Space.from_dict(space.to_dict()) == space
    recipes = [*space.starts(), *starts(space, 100), *(space.choose(Dice(seed)) for seed in range(40))]
    assert {(len(recipe.keras_steps) > 0, recipe.is_trained) for recipe in recipes} == {
        (True, True),
        (False, False),
    }
    for recipe in recipes:
        assert str(recipe).endswith(" + coded")
        assert space.choices(recipe) is not None
    assert space.choices(parse_recipe("int8")) is None, "its size as stored is that of the .tflite"


def test_an_update_is_expected_to_shrink_with_zeros_and_with_shared_values() -> None:
    space = make_space(FORMATS, SEARCHED, storage="coded", is_always_stored=True)
    candidates = Candidates(space)

    def cost(text: str) -> float:
        row = candidates.encode(text)
        assert row is not None
        return float(expected_log_cost(traits(candidates, row[None]), "stored_bytes")[0])

    texts = (
        "prune(sparsity=0.9) + cluster(clusters=16) + int8 + coded", "prune(sparsity=0.9) + int8 + coded",
        "prune(sparsity=0.5) + int8 + coded", "int8 + coded", "float16 + coded",
    )  # fmt: skip
    costs = [cost(text) for text in texts]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)
