"""What is told of a model before any run: each reason once, with the layers that it is about."""

from types import SimpleNamespace
from typing import Any

from lwdash.ui.new.model_tables import layer_table


def layer(path: str, parameters: int) -> Any:
    return SimpleNamespace(path=path, class_name="Dense", output_shape=(4,), parameters=parameters)


def entry(path: str, treated: bool, reason: str | None = None) -> Any:
    return SimpleNamespace(path=path, treated=treated, reason=reason)


def test_a_reason_is_written_once_and_its_number_stands_at_each_of_its_layers() -> None:
    normal = "a normalization has no kernel"
    support = {
        "prune": (entry("a", True), entry("b", False, normal), entry("c", False, normal)),
        "cluster": (entry("a", True), entry("b", False, normal), entry("c", False, "too small")),
        "of another version": (entry("a", True),),
    }
    facts: Any = SimpleNamespace(
        layers=(layer("a", 75), layer("b", 25), layer("c", 0)), parameters=100, support=support
    )
    table, notes = layer_table(facts)
    assert notes == [
        f"prune, cluster: {normal} (1 layer)",
        f"prune: {normal} (1 layer)",
        "cluster: too small (1 layer)",
    ]
    assert list(table["notes"]) == ["", "1", "2, 3"]
    assert list(table["prune"]) == ["✓ yes", "– no", "– no"]
    assert list(table["share"]) == [75.0, 25.0, 0.0]
    assert "of another version" not in table


def test_reasons_that_only_name_another_layer_share_a_note() -> None:
    support = {
        "qat": (
            entry("a", True, "folded into 'x'"), entry("b", True, "folded into 'y'"), entry("c", True, "split after 'x'"),
        )
    }  # fmt: skip
    facts: Any = SimpleNamespace(
        layers=tuple(layer(name, 1) for name in "abc"), parameters=3, support=support
    )
    table, notes = layer_table(facts)
    assert notes == ["qat: folded into the layer in brackets (2 layers)", "qat: split after 'x' (1 layer)"]
    assert list(table["notes"]) == ["1 (x)", "1 (y)", "2"]


def test_a_model_of_which_there_is_nothing_to_note_has_no_column_for_it() -> None:
    facts: Any = SimpleNamespace(
        layers=(layer("a", 0),), parameters=0, support={"prune": (entry("a", True),)}
    )
    table, notes = layer_table(facts)
    assert "notes" not in table
    assert not notes
