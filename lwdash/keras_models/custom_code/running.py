"""Runs a code file in this process, and makes what it defines known to the Keras that wrote the model."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from lwdash.errors import ModelRefused
from lwdash.keras_models.custom_code.code_file import CodeFile, read_code
from lwdash.keras_models.custom_code.keras_2_names import keras_2_builtins
from lwdash.keras_models.scan.allowed_classes import ACTIVATIONS, CLASSES, LOSS_FUNCTIONS

MAX_LISTED = 12
STANDARD = frozenset().union(*CLASSES.values(), ACTIVATIONS, LOSS_FUNCTIONS)
"""Names that a plain definition does not replace: a helper called `relu` is not meant as the activation."""


@dataclass(frozen=True)
class CustomCode:
    """Definitions of a code file. objects: classes and functions by every name that a model file may have for them."""

    name: str
    objects: Mapping[str, Any]

    def finds(self, name: Any) -> bool:
        """True for a name in a model's config, with or without a package: `Package>Name`."""
        return isinstance(name, str) and (name in self.objects or name.rpartition(">")[2] in self.objects)

    @property
    def listed(self) -> str:
        """The defined names, for messages."""
        names = sorted({name.rpartition(">")[2] for name in self.objects})
        more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
        return ", ".join(names[:MAX_LISTED]) + more or "nothing"


def run_code(file: CodeFile, library: str) -> CustomCode:
    """Run a code file, for the rest of this process, and register what it defines with `library`.

    library: "keras" or "tf_keras", the one that wrote the model. Registered classes, dictionaries named
    `custom_objects` and plain classes and functions are found. Lambda layers can be loaded afterwards; their functions
    find the names of the file. Raises ModelRefused, with the line, where the file cannot be run.
    """
    text = read_code(file)
    registry, lambda_module, allow_lambda = _library(library)
    before = dict(registry)
    module = ModuleType(f"code_of_{Path(file.name).stem}")
    module.__file__ = file.name
    sys.modules[module.__name__] = module  # dataclasses look their module up
    if library == "tf_keras":
        module.__dict__["__builtins__"] = keras_2_builtins()
    try:
        exec(compile(text, file.name, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as error:
        raise ModelRefused(
            f"{file.name}{_line(error, file.name)} ends the process. Give a file that only defines layers and functions, "
            'and put programs under `if __name__ == "__main__":`'
        ) from error
    except ModuleNotFoundError as error:
        raise ModelRefused(
            f"{file.name}{_line(error, file.name)} imports '{error.name}', which is not installed where lwdash runs. "
            "Put all that the layers need into this one file"
        ) from error
    except Exception as error:
        raise ModelRefused(
            f"{file.name}{_line(error, file.name)} fails: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        ) from error
    registered = {name: found for name, found in registry.items() if before.get(name) is not found}
    objects = {**_plain(module), **_dictionaries(module), **registered}
    objects |= {name.rpartition(">")[2]: found for name, found in registered.items()}
    registry.update(objects)
    for name, value in vars(module).items():
        lambda_module.__dict__.setdefault(name, value)
    allow_lambda()
    return CustomCode(file.name, objects)


def _library(name: str) -> tuple[dict[str, Any], ModuleType, Callable[[], None]]:
    """The registry of custom objects, the module in whose names a lambda is rebuilt, and the end of safe mode."""
    if name == "keras":
        import keras
        from keras.src.utils import python_utils

        return keras.saving.get_custom_objects(), python_utils, keras.config.enable_unsafe_deserialization
    import tf_keras
    from tf_keras.src.layers.core import lambda_layer
    from tf_keras.src.saving.serialization_lib import enable_unsafe_deserialization

    return tf_keras.utils.get_custom_objects(), lambda_layer, enable_unsafe_deserialization


def _plain(module: ModuleType) -> dict[str, Any]:
    """Classes and functions that are defined in the file itself."""
    return {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and callable(value) and name not in STANDARD
    }


def _dictionaries(module: ModuleType) -> dict[str, Any]:
    """The entries of dictionaries named custom_objects, also in capitals or after a prefix."""
    found: dict[str, Any] = {}
    for name, value in vars(module).items():
        if name.lower().endswith("custom_objects") and isinstance(value, Mapping):
            found.update(
                {key: entry for key, entry in value.items() if isinstance(key, str) and callable(entry)}
            )
    return found


def _line(error: BaseException, name: str) -> str:
    """The place in the code file where an error arose, as `, line 3`."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]
    return f", line {lines[-1]}" if lines else ""


def with_packages(code: CustomCode, config: Any) -> dict[str, Any]:
    """The objects of `code`, also under the names with packages (`Package>Name`) that a model's config has for them."""
    objects, pending = dict(code.objects), [config]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            for name in (value.get("class_name"), value.get("registered_name")):
                if isinstance(name, str) and name not in objects and ">" in name and code.finds(name):
                    objects[name] = objects[name.rpartition(">")[2]]
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return objects
