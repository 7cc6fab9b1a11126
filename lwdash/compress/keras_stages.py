"""The keras stage of a recipe: applies techniques to the live model, one cached stage per step."""

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lwdash.compress.agreement import predict
from lwdash.compress.cached_stages import StageProduct, StageReport, Stages, Trainer, skipped_facts
from lwdash.compress.live_models import LiveModels
from lwdash.compress.stage_keys import StageKeys
from lwdash.contract import Progress, Training
from lwdash.errors import BridgeRefused, RecipeError
from lwdash.keras_models.stored_model import write_model
from lwdash.recipe import Step, training_recipe
from lwdash.techniques import TECHNIQUES


class KerasStages:
    """Keras models after the steps of a recipe. They stay in memory until `forget`, since the export needs them too."""

    def __init__(
        self,
        models: LiveModels,
        stages: Stages,
        keys: StageKeys,
        progress: Progress,
        elsewhere: Trainer | None = None,
        gpu: str | None = None,
    ):
        """elsewhere: trains in a process with a GPU. gpu: name of the GPU that this process trains on."""
        self.models, self.stages, self.keys, self.progress = models, stages, keys, progress
        self.elsewhere, self.gpu = elsewhere, gpu
        self._live: dict[str, Any] = {}
        self._asked: set[str] = set()

    def forget(self) -> None:
        """Free the models of the previous recipe."""
        self._live, self._asked = {}, set()

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
            self._train_elsewhere(steps, key)
            stored = self.stages.make(str(steps[-1]), "keras", key, lambda: self._apply_last(steps))
            if key not in self._live:
                self._live[key] = self.models.read_stored(stored.data)
        return self._live[key]

    def stored_model(self, steps: Sequence[Step]) -> Path | None:
        """The cached file of the model after `steps`; None where it is no longer stored."""
        found = self.stages.cache.get(self.keys.keras_model(steps))
        return found[0] if found else None

    def _train_elsewhere(self, steps: Sequence[Step], key: str) -> None:
        """Let a process with a GPU train and store the stage, where there is one. It is asked once, not for each step."""
        if self.elsewhere is None or key in self._asked or self.stages.cache.get(key):
            return
        self._asked |= {self.keys.keras_model(steps[:count]) for count in range(1, len(steps) + 1)}
        started = time.monotonic()
        trained = [StageReport(**report) for report in self.elsewhere(str(training_recipe(steps)), key) or ()]
        for report in trained:
            self.stages.report(report)
        self.stages.away_s += time.monotonic() - started - sum(report.seconds for report in trained)

    def _apply_last(self, steps: Sequence[Step]) -> StageProduct:
        *earlier, step = steps
        source = self.model_after(earlier) if earlier else self.models.trainable
        try:
            formats = {"formats": step.formats} if step.formats else {}
            treated = TECHNIQUES[step.name].apply(source, step.params, self._training, **formats)
        except BridgeRefused as error:
            refusal = self.models.twin.refusal
            if refusal is None:
                raise
            raise BridgeRefused(f"{error}. There is none because {refusal}") from error
        self._live[self.keys.keras_model(steps)] = treated.model
        facts = {**treated.facts, **self.models.twin.facts, "skipped": skipped_facts(treated.skipped)}
        if self.gpu:
            facts["gpu"] = self.gpu
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
