"""The forms of one uploaded model in memory: original, canonical form, Keras 2 twin, and the one to train."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.contract import Progress
from lwdash.datasets.dataset import Dataset
from lwdash.errors import BridgeRefused
from lwdash.export.unrolled_loops import RECURRENT
from lwdash.keras_models.bridge import custom_layers
from lwdash.keras_models.bridge.transfer import ALIKE, can_transfer
from lwdash.keras_models.bridge.twin import Twin, find_twin
from lwdash.keras_models.canonical.form import Canonical, canonical_form
from lwdash.keras_models.custom_code.code_file import CodeFile
from lwdash.keras_models.custom_code.running import CustomCode, run_code
from lwdash.keras_models.load import load_model
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.saved_model.function import load_saved_function
from lwdash.keras_models.stored_model import read_model

COMPARED_ROWS = 16
"""Calibration rows on which two forms of a model are compared."""


class LiveModels:
    """The forms of a model, each built at most once and only when it is needed."""

    def __init__(
        self,
        model_path: Path,
        facts: ModelFacts,
        dataset: Dataset,
        progress: Progress,
        code: CodeFile | None = None,
    ):
        self.model_path, self.facts, self.dataset = model_path, facts, dataset
        self.progress, self.code = progress, code

    @cached_property
    def _custom(self) -> CustomCode | None:
        """Definitions in the user's code file, which runs when this is first read."""
        if self.code is None:
            return None
        custom = run_code(self.code, self.facts.library)
        if self.is_keras_3:
            custom_layers.register(custom.objects)
        return custom

    def _load(self) -> Any:
        return load_model(self.model_path, self.facts, self._custom)

    def read_stored(self, data: bytes) -> Any:
        """A live model that a stage stored, see `stored_model`."""
        _ = self._custom
        return read_model(data)

    @property
    def input_names(self) -> list[str]:
        return [tensor.name for tensor in self.facts.inputs]

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """Without the batch axis; every axis is known from the data."""
        return [tuple(self.dataset.inputs[name].shape[1:]) for name in self.input_names]

    def sample_rows(self) -> dict[str, np.ndarray]:
        """The first calibration rows by input name, for comparisons."""
        inputs, _ = self.dataset.part("calibration")
        return {name: values[:COMPARED_ROWS] for name, values in inputs.items()}

    def in_order(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Arrays by input name as a list in the model's order."""
        return [inputs[name] for name in self.input_names]

    @property
    def is_keras_3(self) -> bool:
        return self.facts.library == "keras"

    @property
    def is_function_only(self) -> bool:
        """True for a SavedModel without Keras metadata: there are no layers to train or to save."""
        return self.facts.library == "none"

    @cached_property
    def original(self) -> Any:
        """The uploaded model: in canonical form, or the function of a SavedModel without Keras metadata."""
        self.progress("loading the model", 0.0)
        if self.is_function_only:
            return load_saved_function(self.model_path)
        return self._canonical.model

    @property
    def canonical_facts(self) -> dict[str, Any]:
        """Facts for the run on changes by the canonical form; empty without changes."""
        if self.is_function_only:
            return (
                {"canonical_form": {"changes": list(changes)}} if (changes := self.original.changes) else {}
            )
        return self._canonical.facts

    @cached_property
    def _canonical(self) -> Canonical:
        return canonical_form(self._load(), self.in_order(self.sample_rows()))

    def new_copy(self) -> Any:
        """A freshly loaded original in canonical form, to be given other weights."""
        return canonical_form(self._load()).model

    @cached_property
    def twin(self) -> Twin:
        """The search for a Keras 2 twin: the model, or the reason why there is none."""
        original = self.original
        if self.is_keras_3:
            self.progress("bridging Keras 3 to Keras 2", 0.0)
        return find_twin(original, self.in_order(self.sample_rows()))

    @property
    def has_twin(self) -> bool:
        return self.twin.model is not None

    @property
    def twin_model(self) -> Any:
        """The tf_keras model: the original or its twin. Raises BridgeRefused."""
        if self.twin.model is None:
            raise BridgeRefused(self.twin.refusal)
        return self.twin.model

    @property
    def trainable(self) -> Any:
        """The model that keras-stage techniques start from: the twin, or the Keras 3 model where there is none."""
        return self.twin_model if self.has_twin else self.original

    @property
    def is_original_lean(self) -> bool:
        """True if the original's graph exports better than the twin's.

        It does not for recurrent Keras 3 layers: they become loops instead of single operators.
        """
        if not self.is_keras_3:
            return True
        classes = {layer.class_name for layer in self.facts.layers if layer.parameters}
        if classes <= ALIKE:  # the usual case, decided without building the twin
            return True
        is_recurrent = any(layer.class_name in RECURRENT for layer in self.facts.layers)
        return not self.has_twin or (not is_recurrent and can_transfer(self.twin_model, self.original))
