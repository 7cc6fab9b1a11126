"""What the file shows to be impossible is said before anything is run, with the layer and the way out."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from lwdash.keras_models.model_facts import LayerFacts, ModelFacts, Support, TensorFacts
from lwdash.keras_models.obstacles import obstacle


def facts(*classes: str, library: str = "keras", treated: bool = True) -> ModelFacts:
    port = (TensorFacts("x", (4,), "float32"),)
    layers = tuple(LayerFacts(f"l{i}", name, 3, (4,), f"l{i}") for i, name in enumerate(classes))
    support = {"prune": tuple(Support(x.path, treated, None if treated else "no kernel") for x in layers)}
    return ModelFacts("keras", "3.15.1", library, "m", "Functional", port, port, 3, layers, support=support)


def test_low_rank_names_the_layer_that_keras_2_does_not_have() -> None:
    words = obstacle(facts("Dense", "RMSNormalization"), "low_rank", "keras")
    assert words is not None
    assert "RMSNormalization (layer 'l1')" in words
    assert "qat" in words
    assert obstacle(facts("Dense"), "low_rank", "keras") is None


@pytest.mark.parametrize("name", ["prune", "cluster", "lowbit", "qat"])
def test_what_trains_weights_alone_does_not_need_a_twin(name: str) -> None:
    assert obstacle(facts("Dense", "RMSNormalization"), name, "keras") is None


def test_a_file_of_keras_2_is_its_own_twin() -> None:
    assert obstacle(facts("RMSNormalization", library="tf_keras"), "low_rank", "keras") is None


def test_a_savedmodel_without_keras_metadata_is_only_quantized_after_training() -> None:
    words = obstacle(facts(library="none"), "prune", "keras")
    assert words is not None
    assert "save the model as .keras" in words
    assert obstacle(facts(library="none"), "int8", "tflite") is None


def test_a_model_with_nothing_to_prune_says_why() -> None:
    words = obstacle(facts("PReLU", treated=False), "prune", "keras")
    assert words == "prune finds no layer to treat in this model: no kernel"


def test_the_recipe_list_says_it_once_for_all_recipes_with_the_step() -> None:
    def page() -> None:
        import streamlit as st

        from lwdash.ui.shared.recipe_editor import recipe_editor

        recipe_editor(
            ["low_rank + int8", "low_rank + prune + int8"], key="r", facts=st.session_state["facts"]
        )

    app = AppTest.from_function(page, default_timeout=60)
    app.session_state["facts"] = facts("Dense", "RMSNormalization").to_dict()
    app.run()
    assert not app.exception
    assert len(app.warning) == 1
    assert "RMSNormalization" in app.warning[0].value
