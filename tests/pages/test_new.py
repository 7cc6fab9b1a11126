"""The page of a new experiment: continued from its address, its findings fixed in one click, broken files in words."""

from functools import partial
from pathlib import Path

import pytest
from conftest import WITHOUT_WARM_PARENT
from visit import shown, words

from lwdash.engine import submit
from lwdash.examples import find_example
from lwdash.settings import load_settings
from lwdash.ui.shared import page_paths
from storage import searches
from storage.overview import found_experiments
from storage.store import Store, open_store

opened = partial(shown, page_paths.NEW)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("new")


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("LWDASH_HOME", str(home))
    monkeypatch.setenv("LWDASH_JOB_MEMORY", WITHOUT_WARM_PARENT)
    monkeypatch.delenv("LWDASH_DATABASE_URL", raising=False)
    monkeypatch.delenv("LWDASH_ARTIFACTS", raising=False)
    settings = load_settings()
    return open_store(settings.database_url, settings.artifacts, home / "cache")


def digits(store: Store) -> dict[str, str]:
    example = find_example("digits")
    return {
        "model": submit.add_local_file(store, example.model_path, "model"),
        "data": submit.add_local_file(store, example.data_path, "data"),
    }


@pytest.mark.tensorflow
@pytest.mark.usefixtures("warm_children")
def test_an_address_brings_back_files_settings_limits_and_recipes(store: Store) -> None:
    address = {
        **digits(store), "preprocess": "divide(16)", "size_bytes": "60", "accuracy_drop": "1", "threads": "2",
        "name": "Mine", "recipes": "int8\nfloat16", "seed": "3",
    }  # fmt: skip
    app = opened(**address)
    assert "4 · Recipes" in words(app)
    assert app.text_area[0].value == "int8\nfloat16"
    assert app.number_input(key="limit:size_bytes").value == 60
    assert dict(app.query_params) == address, "nothing is lost on the way, nothing is added"
    assert "Scaled twice" in words(app)
    folds = {fold.label.partition(":")[0].replace("\\", ""): fold.proto.expanded for fold in app.expander}
    assert folds.get("digits") is False, list(folds)
    assert folds.get("1,079 rows, label “label”, classification in 10 classes") is False, list(folds)

    next(button for button in app.button if button.label == "Set no pre-processing").click().run()
    assert not app.exception
    assert "Scaled twice" not in words(app)
    assert "preprocess" not in app.query_params

    next(button for button in app.button if button.label == "Start").click().run()
    assert not app.exception
    made = found_experiments(store.database)[0]
    assert (made.name, made.runs) == ("Mine", 3)
    from storage.experiments import get_experiment

    row = get_experiment(store.database, made.id)
    assert row is not None
    assert row.limits == {"size_bytes": 60_000, "accuracy_drop": 0.01}
    assert (row.threads, row.seed, row.settings["preprocess"]) == (2, 3, "")


@pytest.mark.tensorflow
def test_a_search_can_follow_the_recipes_or_stand_alone(store: Store) -> None:
    address = {
        **digits(store), "recipes": "", "goal": "gzip_bytes", "goal_runs": "7", "goal_integer": "True",
        "goal_without": "prune\nint16x8", "accuracy_drop": "2",
    }  # fmt: skip
    app = opened(**address)
    assert dict(app.query_params) == address, "nothing is lost on the way, nothing is added"
    assert (
        "Before quantizing: Channel pruning, Low rank, Clustering, Training below 8 bits, Quantization-aware training"
        in words(app)
    )
    next(button for button in app.button if button.label == "Start").click().run()
    assert not app.exception
    experiment = max(found.id for found in found_experiments(store.database))
    [search] = searches.get_searches(store.database, experiment)
    assert (search.goal, search.budget, search.settings["space"]["formats"]) == (
        "gzip_bytes",
        7,
        ["int8"],
    )
    assert search.settings["space"]["techniques"] == ["channels", "low_rank", "cluster", "lowbit", "qat"]


@pytest.mark.tensorflow
def test_an_experiment_that_is_there_keeps_its_limits_unless_others_are_given(store: Store) -> None:
    from storage.experiments import get_experiment

    def started(**more: str) -> tuple[int, str]:
        app = opened(**digits(store), recipes="int8", name="Twice", **more)
        told = words(app)
        next(button for button in app.button if button.label == "Start").click().run()
        assert not app.exception
        return max(found.id for found in found_experiments(store.database)), told

    first, told = started(size_bytes="60")
    assert "already" not in told
    for more, sentence, limit in (
        ({}, "It keeps its limits.", 60_000),
        ({"size_bytes": "60"}, "the runs are added to it.", 60_000),
        ({"size_bytes": "30"}, "The limits of step 3 replace its own.", 30_000),
    ):
        again, told = started(**more)
        assert again == first
        assert "The experiment “Twice” has this model and this data already" in told
        assert sentence in told
        row = get_experiment(store.database, first)
        assert row is not None
        assert row.limits == {"size_bytes": limit}


@pytest.mark.tensorflow
def test_what_was_chosen_is_there_after_a_visit_elsewhere_and_gone_after_starting_over(store: Store) -> None:
    app = opened(**digits(store))
    app.number_input(key="limit:size_bytes").set_value(40.0).run()
    app.switch_page(page_paths.OVERVIEW).run()
    app.query_params.clear()
    app.switch_page(page_paths.NEW).run()
    assert app.number_input(key="limit:size_bytes").value == 40
    assert app.query_params["size_bytes"] == "40"
    next(button for button in app.button if button.label == "Start over").click().run()
    assert not app.exception
    assert "2 · Data" not in words(app)
    assert dict(app.query_params) == {}


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": "-5", "size_bytes": "many", "threads": "1e9", "label": "no such column", "header": "maybe"},
        {"model": "0" * 64, "data": "not a hash"},
        {"goal": "beauty", "goal_runs": "9999", "goal_without": "nothing", "goal_integer": "perhaps"},
        {"goal": "size_bytes", "goal_runs": "9999", "goal_without": "prune"},
        {"recipes": "x" * 10_000, "ignored": "a\nb", "accuracy_drop": "nan", "latency_ms": "inf"},
    ],
)
def test_a_nonsense_address_opens_all_the_same(store: Store, wrong: dict[str, str]) -> None:
    opened(**{**digits(store), **wrong})


BROKEN = {
    "empty lines": (b"\n\n\n", "holds no rows"),
    "a header only": (b"label,a,b\n", "no rows under it"),
    "UTF-16": ("label,a\n1,2\n".encode("utf-16"), "Save it as 'CSV UTF-8'"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(99), "PNG image, not a CSV"),
    "one column": (b"a\n" + b"1\n" * 60, "63 too few"),
    "a missing value": (b"label," + b",".join(b"p%d" % i for i in range(64)) + b"\n" + (b"1" + b",2" * 64 + b"\n") * 9
                        + b"1,," + b"2," * 62 + b"2\n", "1 missing value (row 11, column 'p0': empty)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_data_is_answered_in_words(store: Store, tmp_path: Path, kind: str) -> None:
    content, expected = BROKEN[kind]
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    app = opened(**{**digits(store), "data": submit.add_local_file(store, path, "data")})
    assert expected in words(app)
    assert "4 · Recipes" not in words(app)


def test_a_csv_given_as_model_is_told_apart(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_text("label,a,b,c,d\n1,2,3,4,5\n")
    assert "give the samples in the next step" in words(
        opened(model=submit.add_local_file(store, path, "model"))
    )


def test_a_run_of_label_columns_that_cannot_be_is_answered_in_words(store: Store) -> None:
    files = digits(store)
    assert "'label..nothing' is not in the CSV" in words(opened(**files, label="label..nothing"))
    app = opened(**files, label="p00..p11")
    assert "columns left after the label 'p00..p11'" in words(app)
    assert app.query_params["label"] == "p00..p11"


@pytest.mark.tensorflow
def test_code_runs_only_where_the_operator_allows_it_and_the_visitor_ticks_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from support.custom_models import custom_model, write_code

    custom_model(tmp_path / "model.keras", "keras")
    code = write_code(tmp_path, "keras")
    address = {
        "model": submit.add_local_file(store, tmp_path / "model.keras", "model"),
        "code": submit.add_local_file(store, code, "code"),
    }
    app = opened(**address)
    assert "LWDASH_ALLOW_CODE" in words(app)
    assert not any(box.label == "Run this code" for box in app.checkbox)

    monkeypatch.setenv("LWDASH_ALLOW_CODE", "1")
    app = opened(**address)
    assert f"{code.name} (SHA-256 " in words(app)
    assert "is refused" in words(app)
    next(box for box in app.checkbox if box.label == "Run this code").check().run(timeout=120)
    assert not app.exception
    assert "is refused" not in words(app)
    assert "2 · Data" in words(app)


@pytest.mark.tensorflow
@pytest.mark.usefixtures("warm_children")
def test_without_data_rows_are_generated_and_every_page_says_so(store: Store) -> None:
    model = submit.add_local_file(store, find_example("digits").model_path, "model")
    address = {"model": model, "no_data": "True", "recipes": "int8\nprune + int8", "name": "None"}
    app = opened(**address)
    assert dict(app.query_params) == address, "nothing is lost on the way, nothing is added"
    text = words(app)
    assert "Accuracy: unknown" in text
    assert "Rows generated from the model" in text
    assert "The drop of accuracy cannot be limited without data" in text
    assert "Without data no recipe can train: prune" in text
    assert next(button for button in app.button if button.label == "Start").disabled
    assert not any(field.key == "limit:accuracy_drop" for field in app.number_input)

    app.text_area[0].set_value("int8").run()
    next(button for button in app.button if button.label == "Start").click().run()
    assert not app.exception
    made = max(found.id for found in found_experiments(store.database))
    results = shown(page_paths.EXPERIMENT, experiment=str(made))
    assert "Generated rows: this experiment has no data" in words(results)
    assert "Let lwdash search for recipes" not in words(results)


@pytest.mark.tensorflow
def test_a_model_that_tells_no_range_asks_for_it(store: Store, tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    path = tmp_path / "plain.keras"
    keras.Sequential([keras.layers.Input((4,), name="x"), keras.layers.Dense(2)]).save(path)
    address = {"model": submit.add_local_file(store, path, "model"), "no_data": "True"}
    app = opened(**address)
    assert "tells nothing about the values of input" in words(app)
    app = opened(**address, low="-3.5", high="2")
    assert "Values: −3.5 … 2" in words(app)


@pytest.mark.tensorflow
def test_limits_on_targets_and_devices_are_set_at_the_start_and_switch_targets_on(store: Store) -> None:
    from storage.devices import add_device, remove_device
    from storage.experiments import get_experiment
    from storage.target_results import chosen_targets

    device, _ = add_device(store.database, "Pi 4")
    limits = f"{device.target}.latency_ms_p50=500\nethos_u85_256.npu_cycles=90000\nnonsense=3"
    app = opened(**digits(store), target_limits=limits, recipes="int8", name="On targets")
    assert (
        app.number_input(key=f"limit:{device.target}.latency_ms_p50").label
        == "Latency p50 on Pi 4, at most (µs)"
    )
    assert app.number_input(key="limit:ethos_u85_256.npu_cycles").value == 90_000
    assert app.query_params["target_limits"] == limits.removesuffix("\nnonsense=3")
    app.number_input(key="limit:ethos_u85_256.npu_cycles").set_value(80_000.0).run()
    assert "npu_cycles=80000" in app.query_params["target_limits"]
    next(button for button in app.button if button.label == "Start").click().run()
    assert not app.exception
    made = max(found.id for found in found_experiments(store.database))
    row = get_experiment(store.database, made)
    assert row is not None
    assert row.limits == {f"{device.target}.latency_ms_p50": 0.5, "ethos_u85_256.npu_cycles": 80_000.0}
    assert "ethos_u85_256" in chosen_targets(store.database, made)
    remove_device(store.database, device.id)
