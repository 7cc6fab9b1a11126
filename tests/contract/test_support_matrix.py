"""The support matrix in the README is what was tried, and what was tried still holds."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import support_matrix
from support.support_matrix import MARKS, RECIPES, all_models, kept_results, table, try_apart
from support.zoo_models import LARGE

pytestmark = pytest.mark.tensorflow

README = Path(__file__).parents[2] / "README.md"
CHOSEN = (
    "keras_heartbeat",
    "keras_depthwise_separable",
    "keras_nested_twice",
    "keras_shared_layers",
    "keras_two_inputs_two_outputs",
    "keras_dictionary_inputs",
    "keras_lstm",
    "keras_embedding",
    "keras_attention",
    "keras_preprocessing",
    "keras_mixed_precision",
    "tf_keras_nested",
)
"""One of each kind: 1-D and 2-D convolutions, depthwise, nested, shared, several inputs and outputs, recurrent, integer
inputs, attention, preprocessing inside, mixed precision, and a file of Keras 2. The whole zoo takes half an hour."""


@pytest.fixture(scope="module")
def tried(request: pytest.FixtureRequest) -> Iterator[Callable[[str], dict[str, Any]]]:
    """What was found for a model; all that are asked for in this session are tried two at a time."""
    wanted = {item.callspec.params["model"] for item in request.session.items if hasattr(item, "callspec")
              and item.path == request.path and "model" in item.callspec.params}  # fmt: skip
    support_matrix.fork_server()  # before two threads start one each
    with ThreadPoolExecutor(2) as pool:
        running: dict[str, Future[dict[str, Any]]] = {
            m: pool.submit(try_apart, m) for m in CHOSEN if m in wanted
        }
        yield lambda model: running[model].result()
        for future in running.values():
            future.cancel()


@pytest.mark.parametrize("model", CHOSEN)
def test_what_the_matrix_says_still_holds(model: str, tried: Callable[[str], dict[str, Any]]) -> None:
    assert _verdicts(tried(model)) == _verdicts(kept_results()[model])


def _verdicts(found: dict[str, Any]) -> dict[str, Any]:
    """Without the words of failures, which quote libraries."""
    return {recipe: {"state": f["state"], "floats": f.get("floats")} for recipe, f in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_large_networks_work_with_every_recipe(name: str) -> None:
    """keras.applications of up to 25 million parameters, one after the other: three minutes each on two free cores."""
    found = try_apart(f"keras_{name}")
    assert {recipe: f for recipe, f in found.items() if f["state"] not in ("works", "partly")} == {}


def test_every_chosen_model_was_tried_with_every_recipe() -> None:
    results = kept_results()
    assert set(CHOSEN) <= set(results) <= set(all_models())
    assert all(list(recipes) == list(RECIPES) for recipes in results.values())


def test_the_chosen_models_work_in_full() -> None:
    """What users may expect: no recipe fails on a usual model, and int8 leaves nothing usual in float."""
    results = kept_results()
    failed = {m: r for m in CHOSEN for r, found in results[m].items() if found["state"] == "fails"}
    assert failed == {}


def test_the_readme_has_the_table_of_what_was_found() -> None:
    _, _, rest = README.read_text().partition(f"{MARKS[0]}\n")
    shown, mark, _ = rest.partition(f"\n{MARKS[1]}")
    assert mark, f"{README.name} has no section between {' and '.join(MARKS)}"
    assert shown == table(kept_results()), (
        "run: PYTHONPATH=tests python -m support.support_matrix --write README.md"
    )


def test_writing_the_table_changes_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = tmp_path / "results.json"
    entry = {recipe: {"state": "works"} for recipe in RECIPES}
    partly = {**entry, "int8": {"state": "partly", "floats": ["ELU"]}}
    results.write_text(json.dumps({"keras_lstm": entry, "tf_keras_lstm": partly}))
    monkeypatch.setattr(support_matrix, "RESULTS", results)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    support_matrix.write_table(readme)
    text = readme.read_text()
    assert text.startswith(f"before\n{MARKS[0]}\n")
    assert text.endswith(f"\n{MARKS[1]}\nafter\n")
    assert "| lstm | ✓ | ✓ | ✓ | ✓ ◐ | ✓ | ✓ |" in text
    assert "- lstm: ELU" in text
    assert "old" not in text
