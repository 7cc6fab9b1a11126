"""Lets a code file that was written for Keras 2 import it by the names it had: `keras` and `tensorflow.keras`.

Here `keras` is Keras 3, and tf_keras is Keras 2. Only imports of the code file are redirected.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

OLD_NAMES = ("tensorflow.keras", "tensorflow.python.keras", "keras")


def keras_2_builtins() -> dict[str, Any]:
    """Builtins for the globals of a code file, with an import statement that finds tf_keras.

    `tf.keras`, too, is tf_keras from now on in this process, since functions look it up when they are called.
    """
    import tensorflow
    import tf_keras

    tensorflow.keras = tf_keras
    return {**vars(builtins), "__import__": _import}


def _import(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    old = next((old for old in OLD_NAMES if name == old or name.startswith(f"{old}.")), None)
    if level or old is None:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    found = import_module(f"tf_keras{name.removeprefix(old)}")
    for part in fromlist or ():
        if not hasattr(found, part):
            import_module(f"{found.__name__}.{part}")
    if fromlist:
        return found
    return import_module("tf_keras" if old == "keras" else "tensorflow")
