"""The scan of a model's config: every class and function in it must be on the allow-list
(allowed_classes.py).

It walks plain JSON, so it also checks wrappers, nested models and arguments of calls. A model's top-level
compile settings are not scanned: models are loaded uncompiled, so a custom metric is harmless and need not be
refused.
"""

from __future__ import annotations

import difflib
from typing import Any, Protocol

from lwdash.errors import ModelRefused
from lwdash.keras_models.application_layers import application_layer
from lwdash.keras_models.custom_code.code_file import WAYS
from lwdash.keras_models.scan import allowed_classes
from lwdash.keras_models.scan.value_kinds import UNPRINTABLE

MAX_DEPTH = 150
MAX_SHOWN = 100
"""Characters of a name in the file that an error message repeats."""
FUNCTIONS = allowed_classes.ACTIVATIONS | allowed_classes.LOSS_FUNCTIONS
FILE_KEYS = frozenset(
    {"vocabulary", "vocabulary_file", "vocab_file", "filepath", "file_path", "filename", "asset_path"}
)
CODE_KEYS = {
    "function_type": "it carries a marshalled Python function",
    "py_module": "it names a Python module to import",
    "module_objects": "it carries Python objects",
    "custom_objects": "it carries custom objects",
}


class Defined(Protocol):
    """Names that a user's code file defines, see `custom_code.running`."""

    @property
    def name(self) -> str: ...

    @property
    def listed(self) -> str: ...

    def finds(self, name: Any) -> bool: ...


def scan_model_config(entry: dict[str, Any], code: Defined | None = None) -> None:
    """Raises ModelRefused naming the layer and the reason if `entry`, a whole serialised model, is not plain Keras.

    code: the user's code file, which the user allowed to run: what it defines, and Lambda layers, are accepted too.
    """
    entry = {key: value for key, value in entry.items() if key != "compile_config"}
    _Scan(code=code).visit(entry, "the model", 0)


def scan_object_config(entry: dict[str, Any], where: str) -> None:
    """The same for a single serialised object, reported as `where` throughout."""
    _Scan(where).visit(entry, where, 0)


EXPORT = (
    " Its computation, without its code, can be quantized after training: call model.export('folder'), "
    "zip the folder, and give that."
)


CODE = f" {WAYS}."
LAMBDAS = ("Lambda", "__lambda__")


def _refuse(where: str, reason: str, way_out: str = "") -> ModelRefused:
    return ModelRefused(
        f"{where} is refused: {reason}. Only standard Keras layers, without custom code, are loaded.{way_out}"
    )


class _Scan:
    """State of one walk; `where` is the innermost layer, because a user can find it again in the model."""

    def __init__(self, fixed: str | None = None, code: Defined | None = None):
        self.fixed, self.code = fixed, code

    def visit(self, value: Any, where: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _refuse(where, f"its config is nested more than {MAX_DEPTH} deep")
        if isinstance(value, dict):
            where = self.fixed or _layer_name(value) or where
            if "class_name" in value:
                self.check_class(value, where)
            self.check_keys(value, where)
            for key, item in value.items():
                self.visit(item, where, depth + 1)
                if "activation" in str(key):
                    self.check_activation(item, where)
        elif isinstance(value, list):
            for item in value:
                self.visit(item, where, depth + 1)

    def check_class(self, entry: dict[str, Any], where: str) -> None:
        class_name, module = entry["class_name"], entry.get("module")
        if not isinstance(class_name, str) or not isinstance(module, (str, type(None))):
            raise _refuse(where, f"its class is not a name but {_shown(class_name)} of {_shown(module)}")
        if self.is_allowed(entry):
            return
        if class_name in allowed_classes.CODE_LAYERS:
            way_out = CODE + EXPORT if class_name in LAMBDAS else EXPORT
            raise _refuse(where, allowed_classes.CODE_LAYERS[class_name], way_out)
        if class_name == "function":
            self.check_function(entry, where)
            return
        if application_layer(entry) is not None:
            return
        self.check_registered_name(entry, where)
        if class_name in allowed_classes.QUANTIZED_POLICIES:
            raise _refuse(where, f"it is already quantized ({class_name}); give the float model instead")
        if class_name not in allowed_classes.CLASSES.get(module, frozenset()):
            raise self.refuse_custom(where, _unknown_class(module, class_name))
        if class_name in allowed_classes.TF_LAMBDA_LAYERS:
            self.check_tensorflow_function(entry, where)

    def check_registered_name(self, entry: dict[str, Any], where: str) -> None:
        registered = entry.get("registered_name")
        if registered is not None and registered != entry["class_name"]:
            raise self.refuse_custom(
                where, f"it is the custom object '{_shown(registered)}', whose code is not in the file"
            )

    def is_allowed(self, entry: dict[str, Any]) -> bool:
        """True for what the user's code file defines, and for a Lambda where there is such a file."""
        if self.code is None:
            return False
        names = (entry["class_name"], entry.get("registered_name"))
        if entry["class_name"] == "function":
            names = (entry.get("config"), entry.get("registered_name"))
        return names[0] in LAMBDAS or any(map(self.code.finds, names))

    def refuse_custom(self, where: str, reason: str) -> ModelRefused:
        """The refusal of something custom: the code file lacks it, or there is none."""
        if self.code is None:
            return _refuse(where, reason, CODE + EXPORT)
        return ModelRefused(
            f"{where} is refused: {reason}, and {self.code.name} does not define it (it defines: {self.code.listed}). "
            "Add its class or function to that file"
        )

    def check_function(self, entry: dict[str, Any], where: str) -> None:
        module, name = entry.get("module"), entry.get("config")
        if not isinstance(name, str) or not isinstance(module, (str, type(None))):
            raise _refuse(where, f"its function is not a name but {_shown(name)} of {_shown(module)}")
        if module not in allowed_classes.FUNCTION_MODULES or name not in FUNCTIONS:
            raise self.refuse_custom(
                where, f"it uses the function '{_shown(module)}.{_shown(name)}', which is not one of Keras's"
            )
        if entry.get("registered_name") not in (None, "function", name):
            raise self.refuse_custom(
                where, f"it uses the custom function '{_shown(entry['registered_name'])}'"
            )

    def check_tensorflow_function(self, entry: dict[str, Any], where: str) -> None:
        config = entry.get("config")
        function = config.get("function") if isinstance(config, dict) else None
        if entry["class_name"] == "SlicingOpLambda" and function in (None, "__operators__.getitem"):
            return
        if not isinstance(function, str) or function not in allowed_classes.TF_FUNCTIONS:
            raise _refuse(
                where,
                f"it calls the TensorFlow function '{_shown(function)}', which is not on the list of safe ones",
            )

    def check_keys(self, entry: dict[str, Any], where: str) -> None:
        for key, reason in CODE_KEYS.items():
            if entry.get(key) and self.code is None:
                raise _refuse(where, reason, CODE)
        for key in FILE_KEYS & set(entry):
            if isinstance(entry[key], str) and entry[key]:
                raise _refuse(
                    where,
                    f"its {key} is the file path '{_shown(entry[key])}', and a model may not read files",
                )
        is_object = (
            "function" in entry and "class_name" not in entry and not isinstance(entry["function"], str)
        )
        if is_object and self.code is None:
            raise _refuse(where, "it carries a function object", CODE)

    def check_activation(self, value: Any, where: str) -> None:
        if self.code is not None and (self.code.finds(value) or not isinstance(value, str)):
            return
        if isinstance(value, str) and value not in allowed_classes.ACTIVATIONS:
            nearest = difflib.get_close_matches(value[:MAX_SHOWN], allowed_classes.ACTIVATIONS, n=1)
            hint = f" (nearest: '{nearest[0]}')" if nearest else ""
            raise self.refuse_custom(where, f"its activation '{_shown(value)}' is not one of Keras's{hint}")
        if isinstance(value, list) or (isinstance(value, dict) and "class_name" not in value):
            raise _refuse(where, "its activation is a marshalled function")


def _shown(value: Any) -> str:
    """A value of the file for an error message: shortened, without control characters."""
    text = UNPRINTABLE.sub("�", str(value)[: MAX_SHOWN + 1])
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _layer_name(entry: dict[str, Any]) -> str | None:
    """Name and class of a serialised layer for messages; None for configs of other objects."""
    config = entry.get("config")
    name = entry.get("name") or (config.get("name") if isinstance(config, dict) else None)
    if isinstance(name, str) and isinstance(entry.get("class_name"), str):
        return f"layer '{_shown(name)}' ({_shown(entry['class_name'])})"
    return None


def _unknown_class(module: str | None, class_name: str) -> str:
    if module is None or module in allowed_classes.CLASSES:
        return (
            f"'{_shown(class_name)}' is not a standard Keras class but a custom layer or subclassed "
            "model, whose code is not in the file"
        )
    if module.split(".")[0] in ("keras", "tf_keras"):
        return f"'{_shown(module)}.{_shown(class_name)}' is not one of the allowed Keras objects"
    return f"it comes from the module '{_shown(module)}', not from Keras"
