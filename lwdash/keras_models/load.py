"""Loads a model with the library that wrote it. TensorFlow is imported here, inside the functions only."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lwdash.errors import ModelRefused
from lwdash.keras_models.application_layers import application_classes
from lwdash.keras_models.custom_code.running import CustomCode, with_packages
from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.model_file import read_model_file

SUFFIXES = {"keras": ".keras", "h5": ".h5"}


def load_model(path: Path, facts: ModelFacts, code: CustomCode | None = None) -> Any:
    """The live model in `path`, a keras.Model or a tf_keras.Model according to `facts.library`; uncompiled.

    code: what the user's code file defines, for a model with custom layers. Lambda layers are loaded only with it.

    The file is scanned again first, so that no loader gets a file that `inspect_model` would refuse.
    Raises ModelRefused with the loader's own reason when it fails.
    """
    if inspect_model(path, code).library != facts.library:
        raise ModelRefused("the model file is not the file that was inspected")
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
            known = application_classes(_module(facts.library))
            if code is not None:
                known |= with_packages(code, read_model_file(path, facts.format).config)
                _restart_names(facts.library)
            loaded = load(str(named), compile=False, safe_mode=code is None, custom_objects=known)
            return loaded if code is None else _without_subclass(loaded, _module(facts.library))
    except ModelRefused:
        raise
    except Exception as fault:
        raise ModelRefused(_explain(facts, fault, code)) from fault


def _restart_names(library: str) -> None:
    """Count automatic names anew: layers inside custom layers have such names, which get into the .tflite."""
    if library == "tf_keras":
        import tf_keras

        tf_keras.backend.reset_uids()
        return
    from keras.src.backend.common import global_state

    (global_state.get_global_attribute("object_name_uids") or {}).clear()


def _without_subclass(model: Any, library: Any) -> Any:
    """A subclass of the Functional as a plain Functional of the same layers: its own methods are for training."""
    is_plain = type(model) in (library.Model, library.Sequential) or type(model).__name__ == "Functional"
    if is_plain or not hasattr(model, "_nodes_by_depth"):
        return model
    return library.Model(list(model.inputs), list(model.outputs), name=model.name)


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

    # Keras writes TensorFlow's function name for this activation, but does not recognize it when copying a
    # layer.
    tf_keras.utils.get_custom_objects().setdefault("log_softmax_v2", tf.nn.log_softmax)

    def load(*arguments: Any, **options: Any) -> Any:
        with _weights_read_at_once():
            return tf_keras.models.load_model(*arguments, **options)

    return load


@contextmanager
def _weights_read_at_once() -> Iterator[None]:
    """Context in which Keras 2 reads the weights of a .keras file as a whole, as Keras 3 does.

    It seeks inside of the zip otherwise, which begins at the start of the member each time: an InceptionResNetV2 of 220 MB
    took 200 s.
    """
    from tf_keras.src.saving import saving_lib

    store = saving_lib.H5IOStore

    class WholeStore(store):  # type: ignore[misc, valid-type]
        def __init__(self, root_path: str, archive: Any = None, mode: str = "r"):
            if archive and mode == "r":
                super().__init__(io.BytesIO(archive.read(root_path)), None, mode)
            else:
                super().__init__(root_path, archive, mode)

    saving_lib.H5IOStore = WholeStore
    try:
        yield
    finally:
        saving_lib.H5IOStore = store


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


def _explain(facts: ModelFacts, fault: Exception, code: CustomCode | None) -> str:
    reason = _reason(fault)
    if code is not None:
        return (
            f"the model cannot be rebuilt with {code.name} (it defines: {code.listed}). Give the code that the model was "
            f"saved with, or save the model again as .keras. The loader's message: {reason}"
        )
    who = (
        f"Keras {facts.keras_version}"
        if facts.library == "keras"
        else f"Keras 2 (tf_keras, file of {facts.keras_version})"
    )
    advice = "Save it again with a current version of the same Keras."
    if facts.library == "keras" and facts.format == "h5":
        # Keras 3 writes .h5 files of models with operators, slicing or masks that it cannot read itself.
        advice = "Keras 3 cannot reload every .h5 that it writes: save the model again as .keras."
    return f"{who} cannot load this model. {advice} The loader's message: {reason}"


COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def _reason(fault: Exception) -> str:
    """The loader's message on one line. Keras repeats a whole config before the cause."""
    text = " ".join(COLOURS.sub("", str(fault)).split()).rpartition("Exception encountered: ")[2]
    return text[:400] or type(fault).__name__
