"""The tflite stage of a recipe: converts a float .tflite to another number format, and audits it."""

from collections.abc import Sequence

from lwdash.compress.cached_stages import StageProduct, Stages, skipped_facts
from lwdash.compress.float_export import FloatExport
from lwdash.compress.keras_stages import KerasStages
from lwdash.compress.live_models import LiveModels
from lwdash.compress.quantizer_choice import pack
from lwdash.compress.stage_keys import StageKeys
from lwdash.contract import Configure, Progress, Rows
from lwdash.keras_models.stored_model import kernels
from lwdash.quantize.structure_audit import AuditedKernel, as_facts, audit, lost_structure
from lwdash.recipe import Step
from lwdash.techniques import TECHNIQUES, needs_rows

STRUCTURING = ("prune", "cluster", "lowbit")
"""Techniques that leave zeros or shared values in the weights, which later steps must not destroy."""


class FormatStage:
    """Quantized files of one model, each a cached stage."""

    def __init__(
        self,
        models: LiveModels,
        keras_stages: KerasStages,
        export: FloatExport,
        stages: Stages,
        keys: StageKeys,
        progress: Progress,
    ):
        self.models, self.keras_stages, self.export = models, keras_stages, export
        self.stages, self.keys, self.progress = stages, keys, progress

    def quantized_file(self, float_file: bytes, earlier: Sequence[Step], step: Step) -> StageProduct:
        """The file that `step` makes from `float_file`, the export after the keras-stage steps `earlier`."""
        technique = TECHNIQUES[step.name]
        with_rows = needs_rows(step.name, step.params)

        def convert(configure: Configure, rows: Rows | None) -> bytes:
            return self.export.convert_anew(float_file, earlier, configure, rows)

        def make() -> StageProduct:
            self.progress(f"{technique.LABEL.lower()}", 0.0)
            packed, sqnr = pack(
                technique,
                step.params,
                float_file,
                self.models.dataset.part("calibration")[0] if with_rows else None,
                compared=self.models.sample_rows(),
                convert=convert,
                unroll=lambda: self.export.unrolled_file(earlier),
            )
            findings = self._audit(earlier, packed.data)
            facts = {**packed.facts, "sqnr_db": sqnr, **({"audit": as_facts(findings)} if findings else {})}
            skipped = skipped_facts((*packed.skipped, *lost_structure(findings)))
            return StageProduct(packed.data, {**facts, "skipped": skipped})

        key = self.keys.quantized_file(earlier, step, with_rows=with_rows)
        return self.stages.make(str(step), "tflite", key, make)

    def _audit(self, steps: Sequence[Step], tflite: bytes) -> tuple[AuditedKernel, ...]:
        """Compare a file with the zeros and shared values from earlier steps."""
        last = max((i for i, step in enumerate(steps) if step.name in STRUCTURING), default=None)
        if last is None:
            return ()
        stored = self.keras_stages.stored_model(steps[: last + 1])
        return audit(kernels(stored.read_bytes()), tflite) if stored else ()
