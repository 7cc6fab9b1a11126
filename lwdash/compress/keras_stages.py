"""The keras stage of a recipe: applies techniques to the live model, one cached stage per step."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lwdash.compress.agreement import predict
from lwdash.compress.cached_stages import StageProduct, Stages, skipped_facts
from lwdash.compress.live_models import LiveModels
from lwdash.compress.stage_keys import StageKeys
from lwdash.contract import Progress, Training
from lwdash.errors import BridgeRefused, RecipeError
from lwdash.keras_models.stored_model import write_model
from lwdash.recipe import Step
from lwdash.techniques import TECHNIQUES


class KerasStages:
    """Keras models after the steps of a recipe. They stay in memory until `forget`, since the export needs them too."""

    def __init__(self, models: LiveModels, stages: Stages, keys: StageKeys, progress: Progress):
        self.models, self.stages, self.keys, self.progress = models, stages, keys, progress
        self._live: dict[str, Any] = {}

    def forget(self) -> None:
        """Free the models of the previous recipe."""
        self._live = {}

    def model_after(self, steps: Sequence[Step]) -> Any:
        """The live Keras model after one or more `steps`: treated now, or read from the cache.

        Raises RecipeError for a SavedModel without Keras metadata, and the errors of the techniques.
        """
        if self.models.is_function_only:
            raise RecipeError(
                f"{steps[0].name} trains a Keras model, but this SavedModel has no Keras metadata to "
                "rebuild one from. Use post-training recipes only, or save the model as .keras"
            )
        key = self.keys.keras_model(steps)
        if key not in self._live:
            stored = self.stages.make(str(steps[-1]), "keras", key, lambda: self._apply_last(steps))
            if key not in self._live:
                self._live[key] = self.models.read_stored(stored.data)
        return self._live[key]

    def stored_model(self, steps: Sequence[Step]) -> Path | None:
        """The cached file of the model after `steps`; None where it is no longer stored."""
        found = self.stages.cache.get(self.keys.keras_model(steps))
        return found[0] if found else None

    def _apply_last(self, steps: Sequence[Step]) -> StageProduct:
        *earlier, step = steps
        source = self.model_after(earlier) if earlier else self.models.trainable
        try:
            treated = TECHNIQUES[step.name].apply(source, step.params, self._training)
        except BridgeRefused as error:
            refusal = self.models.twin.refusal
            if refusal is None:
                raise
            raise BridgeRefused(f"{error}. There is none because {refusal}") from error
        self._live[self.keys.keras_model(steps)] = treated.model
        facts = {**treated.facts, **self.models.twin.facts, "skipped": skipped_facts(treated.skipped)}
        return StageProduct(write_model(treated.model), facts)

    @cached_property
    def _training(self) -> Training:
        inputs, labels = self.models.dataset.part("train")
        arrays = self.models.in_order(inputs)
        self.progress("computing the outputs of the original model", 0.0)
        return Training(
            inputs=arrays,
            labels=labels,
            teacher=predict(self.models.original, arrays),
            task=self.keys.task,
            seed=self.keys.seed,
            progress=self.progress,
            outputs_of=lambda rows: predict(self.models.original, rows),
        )
