"""Runs a recipe: stages from a Keras file to a .tflite, each cached under the hash of all its inputs.

Ten recipes that begin with the same pruning train it once. Every post-training recipe starts from one float
.tflite. A cached stage needs neither TensorFlow nor the model.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lwdash.compress.cached_stages import Cache, StageReport, Stages, Trainer, library_versions
from lwdash.compress.float_export import FloatExport
from lwdash.compress.format_stage import FormatStage
from lwdash.compress.hopeless import Hopeless, is_hopeless
from lwdash.compress.keras_stages import KerasStages
from lwdash.compress.live_models import LiveModels
from lwdash.compress.stage_keys import StageKeys
from lwdash.compress.stage_trail import StageTrail, Trail
from lwdash.compress.storage_stage import StorageStage
from lwdash.contract import Progress
from lwdash.datasets.dataset import Dataset
from lwdash.errors import UserMistake
from lwdash.keras_models.custom_code.code_file import CodeFile
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.obstacles import obstacle
from lwdash.recipe import Recipe, Step, implied_format, make_recipe, parse_recipe
from lwdash.techniques import TECHNIQUES


@dataclass(frozen=True)
class Compressed:
    """The file of a recipe, its baseline, and reports on the stages between them.

    stored: the file in a storage form that LiteRT does not run, such as look-up tables; None where there is none.
    trail: the stages that led to the file, for the accuracy waterfall; see `stage_trail`.
    """

    tflite: bytes
    baseline: bytes
    stored: bytes | None
    stages: tuple[StageReport, ...]
    trail: Trail

    def to_dict(self) -> dict[str, Any]:
        """All fields except the files, JSON-able."""
        return {**stages_record(self.stages), "trail": list(self.trail)}


def stages_record(reports: Sequence[StageReport]) -> dict[str, Any]:
    """The stored record of the stages of a run, JSON-able."""
    stages = [asdict(stage) for stage in reports]
    skipped = [s for stage in stages for s in stage["skipped"]]
    return {"stages": stages, "skipped": skipped, "libraries": list(library_versions())}


class Workbench:
    """One model with one data set: loaded at most once, shared by all the recipes of a child process."""

    def __init__(
        self,
        *,
        model_path: Path,
        model_sha256: str,
        facts: ModelFacts,
        dataset: Dataset,
        dataset_key: str,
        task: str,
        seed: int,
        cache: Cache,
        code: CodeFile | None = None,
        elsewhere: Trainer | None = None,
        gpu: str | None = None,
    ):
        """code: the user's code file, which may run in this process. elsewhere, gpu: see `KerasStages`."""
        self.facts, self.dataset = facts, dataset
        self.stages = Stages(cache)
        self._progress: Progress = lambda doing, share: None
        models = LiveModels(model_path, facts, dataset, self._report, code)
        code_sha256 = None if code is None else code.sha256
        keys = StageKeys(model_sha256, models.input_shapes, dataset_key, task, seed, code_sha256)
        self._keras_stages = KerasStages(models, self.stages, keys, self._report, elsewhere, gpu)
        self._export = FloatExport(models, self._keras_stages, self.stages, keys, self._report)
        self._trail = StageTrail(models, self._keras_stages, self.stages, keys, self._report)
        self._format = FormatStage(models, self._keras_stages, self._export, self.stages, keys, self._report)
        self._storage = StorageStage(models, self.stages, keys, self._report)

    def compress(
        self,
        recipe: Recipe,
        progress: Progress,
        *,
        max_drop: float | None = None,
        is_logit: bool | None = None,
    ) -> Compressed:
        """Run the stages of a recipe. Raises LwdashError with the cause.

        max_drop: the largest drop of accuracy, 0–1, of a file that is worth making. Raises Hopeless where a training step
        shows that this one's is larger; None: it is made anyway. is_logit: as for `measure`.
        """
        self._progress, self.stages.reports = progress, []
        if self.facts.is_tflite:
            self._refuse_steps(recipe)
        self._keras_stages.forget()
        baseline = self._export.float_file(())
        if max_drop is not None:
            free = [step for step in recipe.keras_steps if not implied_format(step.name)]
            self._refuse_hopeless(free, baseline.data, max_drop, is_logit)
        recipe = self._with_chosen_formats(recipe)
        steps = recipe.keras_steps
        if max_drop is not None:
            self._refuse_hopeless(steps, baseline.data, max_drop, is_logit)
        result = self._export.float_file(steps) if steps else baseline
        trail = self._trail.record(steps, result.data)
        if recipe.tflite_step:
            result = self._format.quantized_file(result.data, steps, recipe.tflite_step)
        stored = None
        if recipe.storage_step:
            form = self._storage.stored_file(result.data, recipe)
            if TECHNIQUES[recipe.storage_step.name].RUNTIME == "litert":
                result = form
            else:
                stored = form.data
        return Compressed(result.data, baseline.data, stored, tuple(self.stages.reports), trail)

    def _refuse_hopeless(
        self, steps: Sequence[Step], baseline: bytes, max_drop: float, is_logit: bool | None
    ) -> None:
        """Raises Hopeless after the first training step whose loss the later steps cannot recover."""
        for count, step in enumerate(steps, 1):
            drop, rows = self._trail.drop_after(steps[:count], baseline, is_logit=is_logit)
            if drop is not None and is_hopeless(drop, max_drop, rows):
                raise Hopeless(step, drop, max_drop, rows)

    def train(self, recipe: Recipe, progress: Progress) -> list[StageReport]:
        """Make the Keras stages of a recipe alone; return the report of each. Raises LwdashError with the cause."""
        self._progress, self.stages.reports = progress, []
        self._keras_stages.model_after(self._with_chosen_formats(recipe).keras_steps)
        return self.stages.reports

    def _with_chosen_formats(self, recipe: Recipe) -> Recipe:
        """A recipe that trains for the formats that `auto` chooses, with those that it chooses before the training."""
        format, steps = recipe.tflite_step, recipe.keras_steps
        if format is None or format.name != "auto" or not any(implied_format(step.name) for step in steps):
            return recipe
        earlier = tuple(step for step in steps if not implied_format(step.name))
        chosen = self._format.quantized_file(self._export.float_file(earlier).data, earlier, format)
        (mixed,) = parse_recipe(chosen.facts["auto"]["recipe"]).steps
        return make_recipe(*(mixed if step == format else step for step in recipe.steps))

    def _refuse_steps(self, recipe: Recipe) -> None:
        """Raises UserMistake for a step that a .tflite cannot go through."""
        for step in recipe.steps:
            if reason := obstacle(self.facts, step.name, step.stage):
                raise UserMistake(f"not possible with this model: {reason}")

    def float_file(self, progress: Progress) -> bytes:
        """The float .tflite of the unchanged model, the baseline of every run. Raises LwdashError."""
        self._progress = progress
        return self._export.float_file(()).data

    def _report(self, doing: str, share: float) -> None:
        """Report the progress of any part to the running recipe."""
        self._progress(doing, share)
