"""Reasons why a technique cannot treat a model, found in the model's file before any run."""

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
"""Keras 3 layers that Keras 2 does not have. A model with one has no Keras 2 twin."""

NEEDS_TWIN = frozenset({"channels", "low_rank"})
"""Techniques that change the structure of a Keras 2 model; all others work on Keras 3 itself."""


def obstacle(facts: ModelFacts, technique: str, stage: str) -> str | None:
    """Reason why a technique cannot treat this model; None if the file shows no obstacle.

    technique, stage: its name and its place in a recipe, "keras" for those that train the model.
    """
    if stage == "tflite" and facts.is_quantized:
        return (
            f"{technique} starts from float weights, but this .tflite is quantized already. Use float32, which measures "
            "the file as it is, or a storage form such as coded; or give the float file, or the Keras model"
        )
    if stage != "keras":
        return None
    if facts.is_tflite:
        return (
            f"{technique} trains a Keras model, but a .tflite has no layers that could be trained. Use recipes after "
            "training, such as int8, or give the Keras model"
        )
    if facts.library == "none":
        return (
            f"{technique} trains a Keras model, but this SavedModel has no Keras metadata to rebuild one "
            "from. Use post-training recipes only, or save the model as .keras"
        )
    if technique in NEEDS_TWIN and facts.library == "keras":
        lacking = next((layer for layer in facts.layers if layer.class_name in WITHOUT_TWIN), None)
        if lacking is not None:
            return (
                f"{technique} works only on Keras 2, which has no {lacking.class_name} (layer "
                f"'{lacking.path}'). The other techniques, such as prune, cluster and qat, work on the Keras 3 "
                "model itself"
            )
    entries = facts.support.get(technique, ())
    if entries and not any(entry.treated for entry in entries):
        reasons = dict.fromkeys(entry.reason for entry in entries if entry.reason)
        return f"{technique} finds no layer to treat in this model: {'; '.join(reasons)}"
    return None
