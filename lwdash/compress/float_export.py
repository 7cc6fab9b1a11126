"""The export stage of a recipe: a checked float .tflite of a Keras model, from the graph that exports best."""

from collections.abc import Sequence
from typing import Any

from lwdash.compress.agreement import check_export, match_outputs, predict
from lwdash.compress.cached_stages import StageProduct, Stages
from lwdash.compress.keras_stages import KerasStages
from lwdash.compress.live_models import LiveModels
from lwdash.compress.stage_keys import StageKeys
from lwdash.compress.tflite_model import baseline_file
from lwdash.contract import Configure, Progress, Rows
from lwdash.errors import ConversionFailed, ResultRejected
from lwdash.export.float_file import with_output_order
from lwdash.export.keras_converter import convert_with
from lwdash.export.unrolled_loops import MAX_TIME_STEPS, longest_sequence, refuse_loops, without_loops
from lwdash.keras_models.bridge.restructure import with_structure_of
from lwdash.keras_models.bridge.transfer import transfer_weights
from lwdash.keras_models.ports import fixed_rows
from lwdash.measure.runner import Runner
from lwdash.recipe import Step
from lwdash.techniques import TECHNIQUES

ORIGINAL, TWIN, OWN_FILE = "the file's own", "the Keras 2 twin's", "the file itself"
"""The graphs that a file can be exported from, as shown on a run."""


class FloatExport:
    """Float files of one model after any keras-stage steps, all from the graph of its baseline, to be comparable."""

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

    def float_file(self, steps: Sequence[Step]) -> StageProduct:
        """The float .tflite after `steps`; without steps the baseline, which must be made first."""

        def make() -> StageProduct:
            if not steps:
                return self._export_baseline()
            return self._export(self.keras_stages.model_after(steps), self._baseline_graph)

        name = f"float32 after {' + '.join(s.name for s in steps)}" if steps else "float32"
        return self.stages.make(name, "export", self.keys.float_file(steps), make)

    def unrolled_file(self, steps: Sequence[Step]) -> bytes | None:
        """The float .tflite with each time step as separate operators; None without a twin or with too many steps."""
        time_steps = longest_sequence(self.models.facts, self.models.input_shapes)
        if not 0 < time_steps <= MAX_TIME_STEPS:
            return None
        if self.models.facts.library != "tf_keras" and not self.models.has_twin:
            return None

        def make() -> StageProduct:
            treated = self.keras_stages.model_after(steps) if steps else None
            model = self.models.twin_model if treated is None else treated
            data, facts = self._convert_checked(treated, without_loops(model))
            return StageProduct(data, {**facts, "time_steps": time_steps, **self.models.twin.facts})

        key = self.keys.unrolled_file(steps)
        return self.stages.make("recurrent layers unrolled", "export", key, make).data

    def convert_anew(
        self, float_file: bytes, steps: Sequence[Step], configure: Configure, rows: Rows | None
    ) -> bytes:
        """The Keras model after `steps` through TFLiteConverter, its outputs in the order of `float_file`.

        Raises ConversionFailed.
        """
        if self.models.facts.is_tflite:
            raise ConversionFailed(
                "TFLiteConverter starts from a Keras model, and this experiment has a .tflite"
            )
        if rows is not None:
            refuse_loops(float_file)
        treated = self.keras_stages.model_after(steps) if steps else None
        exported = self.stages.cache.get(self.keys.float_file(steps))
        data = convert_with(
            self._model_to_convert(treated, self._baseline_graph),
            self.models.input_names,
            self.models.input_shapes,
            configure=configure,
            rows=rows,
            through_saved_model=bool(exported and exported[1].get("through_saved_model")),
        )
        sample = self.models.sample_rows()
        expected, received = (list(Runner(file).run(sample).values()) for file in (float_file, data))
        if len(expected) == 1:
            return data
        return with_output_order(data, match_outputs(expected, received)[0])

    @property
    def _baseline_graph(self) -> str:
        found = self.stages.cache.get(self.keys.float_file(()))
        return found[1]["graph"] if found else TWIN

    def _export_baseline(self) -> StageProduct:
        """The untreated model: from its own graph if that exports well, otherwise from the twin's."""
        if self.models.facts.is_tflite:
            self.progress("running the .tflite", 0.0)
            return StageProduct(
                baseline_file(self.models.model_path, self.models.sample_rows()), {"graph": OWN_FILE}
            )
        self.progress("converting to .tflite", 0.0)
        if not self.models.is_original_lean:
            return self._export(None, TWIN)
        try:
            return self._export(None, ORIGINAL)
        except (ConversionFailed, ResultRejected):
            if not self.models.is_keras_3 or not self.models.has_twin:
                raise
            return self._export(None, TWIN)

    def _export(self, treated: Any | None, graph: str) -> StageProduct:
        """The float .tflite of a treated model, or of the original where `treated` is None."""
        self.progress("converting to .tflite", 0.0)
        data, facts = self._convert_checked(treated, self._model_to_convert(treated, graph))
        twin = self.models.twin.facts if graph == TWIN else {}
        return StageProduct(data, {**facts, "graph": graph, **twin, **self.models.canonical_facts})

    def _model_to_convert(self, treated: Any | None, graph: str) -> Any:
        """The original or the treated model, with the structure of `graph`."""
        if treated is None:
            return self.models.twin_model if graph == TWIN else self.models.original
        if graph == TWIN or not self.models.has_twin:
            return treated
        model = with_structure_of(treated, self.models.new_copy())
        if model is None:
            return treated
        transfer_weights(treated, model)
        return model

    def _convert_checked(self, treated: Any | None, model: Any) -> tuple[bytes, dict[str, Any]]:
        """The float .tflite of `model` and its facts: traced, or through a SavedModel where tracing fails."""
        try:
            return self._convert_and_check(treated, model)
        except (ConversionFailed, ResultRejected):
            if (
                self.models.is_function_only or (fixed_rows(model) or 1) > 1
            ):  # none to save, or none of one row
                raise
            data, facts = self._convert_and_check(treated, model, through_saved_model=True)
            return data, {**facts, "through_saved_model": True}

    def _convert_and_check(
        self, treated: Any | None, model: Any, *, through_saved_model: bool = False
    ) -> tuple[bytes, dict[str, Any]]:
        """Raises ResultRejected where the file's outputs are not those of the treated or original model."""
        data = TECHNIQUES["float32"].apply(
            model,
            self.models.input_names,
            self.models.input_shapes,
            through_saved_model=through_saved_model,
        )
        rows = self.models.sample_rows()
        reference = self.models.original if treated is None else treated
        return check_export(predict(reference, self.models.in_order(rows)), data, rows)
