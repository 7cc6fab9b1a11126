"""Loads a model with the library that wrote it. TensorFlow is imported here, inside the functions only."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from lwdash.errors import ModelRefused
from lwdash.keras_models.application_layers import application_classes
from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.model_facts import ModelFacts

SUFFIXES = {"keras": ".keras", "h5": ".h5"}


def load_model(path: Path, facts: ModelFacts) -> Any:
    """The live model in `path`, a keras.Model or a tf_keras.Model as `facts.library` says; uncompiled.

    The file is scanned again first, so that no file reaches a loader that `inspect_model` would refuse.
    Raises ModelRefused with the loader's own reason when it fails.
    """
    if inspect_model(path).library != facts.library:
        raise ModelRefused("the model file is not the one that was inspected")
    if facts.library == "none":
        raise ModelRefused(
            "this SavedModel has no Keras metadata, so it cannot be rebuilt as a Keras model: only "
            "post-training recipes are possible"
        )
    try:
        if facts.format == "savedmodel":
            return _load_saved_model(path)
        with tempfile.TemporaryDirectory(prefix="lwdash-load-") as folder:
            # Both libraries choose their reader by the suffix, which a stored artifact does not have.
            named = Path(folder) / f"model{SUFFIXES[facts.format]}"
            named.symlink_to(path.resolve())
            load = _loader(facts.library)
            own = application_classes(_module(facts.library))
            return load(str(named), compile=False, safe_mode=True, custom_objects=own)
    except ModelRefused:
        raise
    except Exception as fault:
        raise ModelRefused(_explain(facts, fault)) from fault


def _module(library: str) -> Any:
    import keras
    import tf_keras

    return keras if library == "keras" else tf_keras


def _loader(library: str) -> Any:
    if library == "keras":
        import keras

        return keras.saving.load_model
    import tensorflow as tf
    import tf_keras

    # It writes this activation under TensorFlow's name of the function, and does not know it when copying a layer.
    tf_keras.utils.get_custom_objects().setdefault("log_softmax_v2", tf.nn.log_softmax)
    return tf_keras.models.load_model


def _load_saved_model(path: Path) -> Any:
    import tf_keras

    from lwdash.keras_models.saved_model.archive import unpack_saved_model

    with tempfile.TemporaryDirectory(prefix="lwdash-load-") as folder:
        model = tf_keras.models.load_model(str(unpack_saved_model(path, Path(folder))), compile=False)
    if not hasattr(model, "get_config") or not hasattr(model, "layers"):
        raise ModelRefused(
            "the SavedModel was not rebuilt as a Keras model: only post-training recipes are possible"
        )
    return model


def _explain(facts: ModelFacts, fault: Exception) -> str:
    reason = " ".join(str(fault).split())[:400] or type(fault).__name__
    who = (
        f"Keras {facts.keras_version}"
        if facts.library == "keras"
        else f"Keras 2 (tf_keras, file of {facts.keras_version})"
    )
    advice = "Save it again with a current version of the same Keras."
    if facts.library == "keras" and facts.format == "h5":
        # Keras 3 writes .h5 files of models with operators, slicing or masks that it cannot read itself.
        advice = "Keras 3 cannot reload every .h5 that it writes: save the model again as .keras."
    return f"{who} cannot load this model. {advice} The loader says: {reason}"
