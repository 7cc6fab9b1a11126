"""Metrics of targets on the results page: axes, limits and the goal of a search."""

from typing import Any

import streamlit as st
from support.seeding import seed_experiment
from visit import shown, sound, words

from lwdash.engine import submit
from lwdash.ui.overview.cards import summary_of
from lwdash.ui.shared import page_paths
from storage import run_rows
from storage.devices import add_device
from storage.experiments import get_experiment
from storage.overview import found_experiments
from storage.searches import get_searches
from storage.store import Store
from storage.target_results import chosen_targets, keep_results, set_targets

NPU = "ethos_u55_256"
RATE, CYCLES = f"{NPU}.inferences_per_second", f"{NPU}.npu_cycles"


def keep(store: Store, run: int, target: str, **values: float) -> None:
    metrics = {name: {"label": name, "unit": "", "value": value} for name, value in values.items()}
    found: dict[str, Any] = {"state": "runs", "reason": None, "metrics": metrics, "operators": {}}
    with store.database.begin() as connection:
        keep_results(store.database, connection, run, {target: found})


def test_a_metric_of_a_target_is_an_axis_and_a_limit(home: Store) -> None:
    experiment = seed_experiment(home, "beats", 6)
    set_targets(home.database, experiment, [NPU])
    for run, cycles, rate in ((2, 20_000, 1500.0), (3, 40_000, 800.0)):
        keep(home, run, NPU, npu_cycles=cycles, inferences_per_second=rate)
    submit.set_limits(home, experiment, {RATE: 1000.0})
    app = shown(page_paths.EXPERIMENT, id=str(experiment), x=RATE)
    axis = next(box for box in app.selectbox if box.key == "results:x")
    assert axis.value == RATE, "the address names the axis"
    assert "Inferences a second, Arm Ethos-U55, 256 MACs" in axis.options
    [table] = [frame.value for frame in app.dataframe if "limits" in frame.value]
    limits = table.set_index(table["run"].str.extract(r"run=(\d+)")[0])["limits"]
    assert limits["2"] == "✓ meets all"
    assert limits["3"] == "exceeds Inferences a second, Arm Ethos-U55, 256 MACs"
    assert limits["4"] == "not measured: Inferences a second, Arm Ethos-U55, 256 MACs"
    field = next(f for f in app.number_input if f.label.startswith("NPU cycles, Arm Ethos-U55, 256 MACs"))
    field.set_value(30_000.0)
    next(
        button for button in app.button if button.label == "Save" and "limits" in str(button.form_id)
    ).click()
    sound(app.run())
    saved = get_experiment(home.database, experiment)
    assert saved is not None
    assert saved.limits == {RATE: 1000.0, CYCLES: 30_000.0}


def test_a_refused_file_cannot_run_and_a_comparison_has_the_metrics_of_targets(home: Store) -> None:
    experiment = seed_experiment(home, "beats", 6)
    set_targets(home.database, experiment, [NPU])
    for run, cycles in ((2, 20_000), (3, 40_000)):
        keep(home, run, NPU, npu_cycles=cycles)
    refused: dict[str, Any] = {"state": "refused", "reason": "float32", "metrics": {}, "operators": {}}
    with home.database.begin() as connection:
        keep_results(home.database, connection, 4, {NPU: refused})
    submit.set_limits(home, experiment, {CYCLES: 30_000.0})
    for run, speed in ((2, 1.5), (3, 2.0)):
        keep(home, run, "ethos_u85_256", npu_cycles=speed)
    app = shown(page_paths.EXPERIMENT, id=str(experiment))
    [table] = [frame.value for frame in app.dataframe if "limits" in frame.value]
    limits = table.set_index(table["run"].str.extract(r"run=(\d+)")[0])["limits"]
    assert limits["4"] == "cannot run: NPU cycles, Arm Ethos-U55, 256 MACs"
    assert limits["5"] == "not measured: NPU cycles, Arm Ethos-U55, 256 MACs"

    compared = shown(page_paths.COMPARE, experiment=str(experiment), runs="2,3,4")
    rows = compared.table[0].value
    cells = list(rows.loc["NPU cycles"])
    assert "20,000" in cells[0]
    assert "40,000" in cells[1]
    assert r"\+100\.0 %, worse" in cells[1].replace("\N{NO-BREAK SPACE}", " ")
    assert cells[2] == "–"
    assert "2" in rows.loc["NPU cycles, Arm Ethos-U85, 256 MACs"].iloc[1]


def test_the_card_of_an_experiment_judges_by_the_same_values(home: Store) -> None:
    seed_experiment(home, "beats", 6)
    submit.set_limits(home, 1, {RATE: 1000.0})
    assert best_on_card(home) is None, "nothing was measured on the target"
    for run, rate in ((2, 900.0), (3, 1500.0)):
        keep(home, run, NPU, inferences_per_second=rate)
    run = run_rows.get_run(home.database, 3)
    assert run is not None
    assert best_on_card(home) in (run.title, run.recipe)


def best_on_card(home: Store) -> str | None:
    """The run that the overview names as the best."""
    st.cache_data.clear()  # it outlives the home of a test
    [experiment] = found_experiments(home.database, limit=5)
    best = summary_of(home, experiment).best
    return None if best is None else best.name


def test_a_search_for_a_metric_of_a_device_is_started_from_the_page(home: Store) -> None:
    experiment = seed_experiment(home, "beats", 6)
    device, _ = add_device(home.database, "Pi 4")
    app = shown(page_paths.EXPERIMENT, id=str(experiment))
    app.session_state[f"search:{experiment}:open"] = True
    sound(app.run())
    goal = next(box for box in app.selectbox if box.key == f"search:{experiment}:goal")
    assert "Lowest: Latency p50 on Pi 4" in goal.options
    goal.set_value(f"{device.target}.latency_ms_p50")
    sound(app.run())
    assert "the search waits for it" in words(app)
    next(button for button in app.button if button.key == f"search:{experiment}:start").click()
    sound(app.run())
    [search] = get_searches(home.database, experiment)
    assert search.goal == f"{device.target}.latency_ms_p50"


def test_a_search_switches_its_target_on_and_leaves_the_experiments_npu(home: Store) -> None:
    experiment = seed_experiment(home, "beats", 2)
    submit.start_search(home, experiment, goal=CYCLES, budget=2)
    assert chosen_targets(home.database, experiment) == ("ethos_u55_128", NPU)
