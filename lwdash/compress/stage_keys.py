"""Cache keys of a recipe's stages: one hash of all inputs of a stage."""

from collections.abc import Sequence
from dataclasses import dataclass

from lwdash.compress.cached_stages import content_key, library_versions
from lwdash.recipe import Recipe, Step


@dataclass(frozen=True)
class StageKeys:
    """Keys for one model with one data set and one seed. A stage's key contains the rows only if it used
    them.

    input_shapes: of the model's inputs in its order, without the batch axis. code_sha256: of the user's code file.
    """

    model_sha256: str
    input_shapes: Sequence[Sequence[int]]
    dataset_key: str
    task: str
    seed: int
    code_sha256: str | None = None

    def keras_model(self, steps: Sequence[Step]) -> str:
        """The Keras model after `steps`."""
        return self._key("keras model", steps, with_data=True)

    def outputs(self, steps: Sequence[Step]) -> str:
        """The outputs on evaluation rows of the Keras model after `steps`."""
        return self._key("answers", steps, with_data=True)

    def float_file(self, steps: Sequence[Step]) -> str:
        """The float .tflite of the Keras model after `steps`."""
        return self._key("export", steps, with_data=bool(steps))

    def unrolled_file(self, steps: Sequence[Step]) -> str:
        """The same with recurrent layers unrolled."""
        return self._key("unrolled", steps, with_data=bool(steps))

    def quantized_file(self, earlier: Sequence[Step], step: Step, *, with_rows: bool) -> str:
        """The .tflite that the format step `step` makes after `earlier`; with_rows: True if it is calibrated."""
        return self._key("tflite", (*earlier, step), with_data=bool(earlier) or with_rows)

    def stored_file(self, recipe: Recipe) -> str:
        """The file in the storage form of `recipe`, checked on calibration rows."""
        steps = [*recipe.keras_steps, recipe.tflite_step, recipe.storage_step]
        return self._key("storage", [step for step in steps if step], with_data=True)

    def _key(self, kind: str, steps: Sequence[Step], *, with_data: bool) -> str:
        return content_key(
            {
                "kind": kind,
                "model": self.model_sha256,
                **({"code": self.code_sha256} if self.code_sha256 else {}),
                "shapes": self.input_shapes,
                "steps": [step.to_dict() for step in steps],
                "data": self.dataset_key if with_data else None,
                "task": self.task if with_data else None,
                "seed": self.seed if with_data else None,
                "libraries": library_versions(),
            }
        )
