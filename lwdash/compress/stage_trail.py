"""The trail of a run: the outputs of its Keras models and its float file, stored for the accuracy waterfall."""

from collections.abc import Mapping, Sequence

import numpy as np

from lwdash.analyses.accuracy_waterfall import FILE, FLOAT_FILE, OUTPUTS
from lwdash.analyses.stage_losses import compared_rows, read_outputs, write_outputs
from lwdash.compress.agreement import predict
from lwdash.compress.cached_stages import StageProduct, Stages
from lwdash.compress.hopeless import accuracy_drop
from lwdash.compress.keras_stages import KerasStages
from lwdash.compress.live_models import LiveModels
from lwdash.compress.stage_keys import StageKeys
from lwdash.contract import Progress
from lwdash.recipe import Step
from lwdash.spread_rows import spread
from lwdash.tflite.reader import read_tflite

Trail = tuple[Mapping[str, str], ...]
"""Entries {"stage", "kind": OUTPUTS or FILE, "key": cache key}, the Keras model first, the float file last."""


class StageTrail:
    """Stores the outputs of each stage on evaluation rows in the cache."""

    def __init__(
        self,
        models: LiveModels,
        keras_stages: KerasStages,
        stages: Stages,
        keys: StageKeys,
        progress: Progress,
    ):
        self.models, self.keras_stages = models, keras_stages
        self.stages, self.keys, self.progress = stages, keys, progress

    def record(self, steps: Sequence[Step], float_file: bytes) -> Trail:
        """The first stages of the waterfall: the Keras model, the model after each step, and the float .tflite.

        Empty where the model is a .tflite: there is no Keras model to compare with.
        """
        if self.models.facts.is_tflite:
            return ()
        trail = [{"stage": "Keras model", "kind": OUTPUTS, "key": self._outputs((), float_file)}]
        for count, step in enumerate(steps, 1):
            key = self._outputs(steps[:count], float_file)
            trail.append({"stage": str(step), "kind": OUTPUTS, "key": key})
        return (*trail, {"stage": FLOAT_FILE, "kind": FILE, "key": self.keys.float_file(steps)})

    def drop_after(
        self, steps: Sequence[Step], float_file: bytes, *, is_logit: bool | None
    ) -> tuple[float | None, int]:
        """The loss of accuracy of the Keras model after `steps`, see `hopeless.accuracy_drop`, and its number of rows."""
        reference, outputs = (self._read(self._outputs(each, float_file)) for each in ((), steps))
        inputs, labels = self.models.dataset.part("evaluation")
        chosen = spread(len(next(iter(inputs.values()))), len(outputs))
        picked = None if labels is None else labels[chosen]
        return accuracy_drop(self.keys.task, reference, outputs, picked, is_logit=is_logit), len(outputs)

    def _read(self, key: str) -> np.ndarray:
        found = self.stages.cache.get(key)
        assert found is not None, "these outputs were stored just before"
        return read_outputs(found[0].read_bytes())

    def _outputs(self, steps: Sequence[Step], float_file: bytes) -> str:
        """The cache key of the judged output of the Keras model after `steps`, which is computed if it is missing."""
        key = self.keys.outputs(steps)
        if self.stages.cache.get(key):
            return key

        def make() -> StageProduct:
            graph = read_tflite(float_file).subgraphs[0]
            values_a_row = sum(graph.tensors[i].elements for i in graph.outputs)
            inputs, _ = self.models.dataset.part("evaluation")
            chosen = compared_rows(len(next(iter(inputs.values()))), values_a_row)
            model = self.keras_stages.model_after(steps) if steps else self.models.original
            self.progress("computing the outputs of the Keras model", 0.0)
            outputs = predict(model, [values[chosen] for values in self.models.in_order(inputs)])
            judged = self.models.dataset.judged(self.models.facts.ports[1])
            return StageProduct(write_outputs(outputs[judged]), {"rows": len(chosen)})

        self.stages.make(f"outputs of {steps[-1].name if steps else 'the Keras model'}", "answers", key, make)
        return key
