"""Reasons why a technique cannot treat a model, found in the model's file before anything is run."""

from __future__ import annotations

from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.scan.allowed_classes import names

WITHOUT_TWIN = names(
    """
    AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D
    AdaptiveMaxPooling2D AdaptiveMaxPooling3D AutoContrast Equalization GroupQueryAttention MelSpectrogram
    RMSNormalization ReversibleEmbedding STFTSpectrogram Solarization
    """
)
"""Layers of Keras 3 that Keras 2 does not have, so that a model with one has no Keras 2 twin for TFMOT."""

NEEDS_TWIN = frozenset({"qat"})
"""Techniques of TFMOT that lwdash has no form of its own for; pruning and clustering it does on Keras 3 itself."""


def obstacle(facts: ModelFacts, technique: str, stage: str) -> str | None:
    """Why a technique cannot treat this model, None where nothing in the file stands against it.

    technique, stage: its name and its place in a recipe, "keras" for those that train the model.
    """
    if stage != "keras":
        return None
    if facts.library == "none":
        return (
            f"{technique} trains a Keras model, and this SavedModel has no Keras metadata to rebuild one from: only "
            "post-training recipes are possible, or save the model as .keras"
        )
    if technique in NEEDS_TWIN and facts.library == "keras":
        lacking = next((layer for layer in facts.layers if layer.class_name in WITHOUT_TWIN), None)
        if lacking is not None:
            return (
                f"{technique} works on Keras 2 only, which has no {lacking.class_name} (layer '{lacking.path}'). "
                "Use int8, which quantizes after training; pruning and clustering work on the Keras 3 model itself"
            )
    entries = facts.support.get(technique, ())
    if entries and not any(entry.treated for entry in entries):
        reasons = dict.fromkeys(entry.reason for entry in entries if entry.reason)
        return f"{technique} finds nothing to treat in this model: {'; '.join(reasons)}"
    return None
