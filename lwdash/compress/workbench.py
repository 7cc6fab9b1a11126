"""Runs a recipe: stages from a Keras file to a .tflite, each cached under the hash of all that went in.

Ten recipes that begin with the same pruning train it once; every post-training recipe starts from one
float .tflite. A cached stage needs neither TensorFlow nor the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.analyses.accuracy_waterfall import FILE, FLOAT_FILE, OUTPUTS
from lwdash.analyses.stage_losses import rows_to_answer, write_outputs
from lwdash.compress.agreement import check_export, match_outputs, predict
from lwdash.compress.cached_stages import Cache, Made, StageReport, Stages, content_key, library_versions
from lwdash.compress.quantizer_choice import pack
from lwdash.contract import Configure, Progress, Rows, Skipped, Training
from lwdash.datasets.dataset import Dataset
from lwdash.errors import BridgeRefused, ConversionFailed, RecipeError, ResultRejected
from lwdash.export.unrolled_loops import MOST_STEPS, RECURRENT, longest_sequence, refuse_loops, without_loops
from lwdash.keras_models.bridge.restructure import with_structure_of
from lwdash.keras_models.bridge.transfer import ALIKE, can_transfer, transfer_weights
from lwdash.keras_models.bridge.twin import Twin, find_twin
from lwdash.keras_models.canonical.form import Canonical, canonical_form
from lwdash.keras_models.load import load_model
from lwdash.keras_models.model_facts import ModelFacts
from lwdash.keras_models.saved_model.function import load_saved_function
from lwdash.keras_models.stored_model import kernels, read_model, write_model
from lwdash.quantize.structure_audit import Finding, as_facts, audit, lost_structure
from lwdash.recipe import Recipe, Step
from lwdash.techniques import TECHNIQUES, needs_rows
from lwdash.tflite.reader import read_tflite

COMPARED_ROWS = 16
STRUCTURING = ("prune", "cluster")
"""Techniques that leave zeros or shared values in the weights, which later steps must not destroy."""
ORIGINAL, TWIN = "the file's own", "the Keras 2 twin's"


@dataclass(frozen=True)
class Compressed:
    """What a recipe made."""

    tflite: bytes
    baseline: bytes
    stages: tuple[StageReport, ...]
    trail: tuple[Mapping[str, str], ...]
    """What led to the file, kept in the cache: {"stage", "kind": OUTPUTS or FILE, "key"}, the Keras model first."""

    def to_dict(self) -> dict[str, Any]:
        """Everything but the files, JSON-able."""
        stages = [asdict(stage) for stage in self.stages]
        skipped = [s for stage in stages for s in stage["skipped"]]
        libraries = list(library_versions())
        return {"stages": stages, "skipped": skipped, "trail": list(self.trail), "libraries": libraries}


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
    ):
        self.model_path, self.model_sha256, self.facts = model_path, model_sha256, facts
        self.dataset, self.dataset_key, self.task, self.seed = dataset, dataset_key, task, seed
        self.cache = cache
        self.stages = Stages(cache)
        self.progress: Progress = lambda doing, share: None
        self._live: dict[str, Any] = {}

    def compress(self, recipe: Recipe, progress: Progress) -> Compressed:
        """Runs the stages of a recipe. Raises LwdashError with the cause."""
        self.progress, self.stages.reports, self._live = progress, [], {}
        baseline = self._exported(())
        tflite = baseline if not recipe.keras_steps else self._exported(recipe.keras_steps)
        trail = self._trail(recipe.keras_steps, tflite.data)
        if recipe.tflite_step:
            tflite = self._packed(tflite, recipe.keras_steps, recipe.tflite_step)
        return Compressed(tflite.data, baseline.data, tuple(self.stages.reports), trail)

    def float_file(self, progress: Progress) -> bytes:
        """The float .tflite of the model as it is, which every run is compared with. Raises LwdashError."""
        self.progress = progress
        return self._exported(()).data

    def _trail(self, steps: Sequence[Step], exported: bytes) -> tuple[Mapping[str, str], ...]:
        """The answers of the Keras model and of each step's, kept, and the float .tflite: the waterfall's first stages."""
        trail = [{"stage": "Keras model", "kind": OUTPUTS, "key": self._answers((), exported)}]
        for count in range(1, len(steps) + 1):
            key = self._answers(steps[:count], exported)
            trail.append({"stage": str(steps[count - 1]), "kind": OUTPUTS, "key": key})
        key = self._key("export", steps, with_data=bool(steps))
        return (*trail, {"stage": FLOAT_FILE, "kind": FILE, "key": key})

    def _answers(self, steps: Sequence[Step], exported: bytes) -> str:
        """The key under which the Keras model's judged output after `steps`, on evaluation rows, is kept."""
        key = self._key("answers", steps, with_data=True)
        if self.cache.get(key):
            return key

        def make() -> Made:
            graph = read_tflite(exported).subgraphs[0]
            values = sum(graph.tensors[i].elements for i in graph.outputs)
            inputs, _ = self.dataset.part("evaluation")
            chosen = rows_to_answer(len(next(iter(inputs.values()))), values)
            model = self._keras_model(steps) if steps else self._original
            self.progress("asking the Keras model for its answers", 0.0)
            outputs = predict(model, [inputs[name][chosen] for name in self._input_names])
            return Made(
                write_outputs(outputs[self.dataset.judged(self.facts.ports[1])]), {"rows": len(chosen)}
            )

        self.stages.make(f"answers of {steps[-1].name if steps else 'the Keras model'}", "answers", key, make)
        return key

    def _exported(self, steps: Sequence[Step]) -> Made:
        key = self._key("export", steps, with_data=bool(steps))

        def make() -> Made:
            treated = self._keras_model(steps) if steps else None
            graph = self._baseline_graph if steps else None
            return self._converted(treated, graph)

        name = f"float32 after {' + '.join(s.name for s in steps)}" if steps else "float32"
        return self.stages.make(name, "export", key, make)

    def _packed(self, source: Made, earlier: Sequence[Step], step: Step) -> Made:
        technique = TECHNIQUES[step.name]
        with_rows = needs_rows(step.name, step.params)
        key = self._key("tflite", (*earlier, step), with_data=bool(earlier) or with_rows)

        def convert(configure: Configure, rows: Rows | None) -> bytes:
            return self._converted_anew(source.data, earlier, configure, rows)

        def make() -> Made:
            self.progress(f"{technique.LABEL.lower()}", 0.0)
            rows = self.dataset.part("calibration")[0] if with_rows else None
            packed, sqnr = pack(
                technique,
                step.params,
                source.data,
                rows,
                compared=self._some_rows(),
                convert=convert,
                unroll=lambda: self._unrolled(earlier),
            )
            findings = self._audit(earlier, packed.data)
            facts = {**packed.facts, "sqnr_db": sqnr, **({"audit": as_facts(findings)} if findings else {})}
            skipped = _words((*packed.skipped, *lost_structure(findings)))
            return Made(packed.data, {**facts, "skipped": skipped})

        return self.stages.make(str(step), "tflite", key, make)

    def _audit(self, steps: Sequence[Step], tflite: bytes) -> tuple[Finding, ...]:
        """What a file has kept of the zeros and shared values that earlier steps made."""
        last = max((i for i, step in enumerate(steps) if step.name in STRUCTURING), default=None)
        if last is None:
            return ()
        found = self.cache.get(self._key("keras model", steps[: last + 1], with_data=True))
        return audit(kernels(found[0].read_bytes()), tflite) if found else ()

    @property
    def _baseline_graph(self) -> str:
        """Which graph the baseline was exported from: treated models use the same, to be comparable."""
        found = self.cache.get(self._key("export", (), with_data=False))
        return found[1]["graph"] if found else TWIN

    def _converted(self, treated: Any | None, graph: str | None) -> Made:
        """The float .tflite of a treated twin, or of the original: from the Keras 3 graph where that works."""
        self.progress("converting to .tflite", 0.0)
        if graph is None:
            graph = ORIGINAL if self._original_is_lean else TWIN
            if graph == ORIGINAL and self.facts.library == "keras":
                try:
                    return self._converted(None, ORIGINAL)
                except (ConversionFailed, ResultRejected):
                    if not self._has_twin:
                        raise
                    graph = TWIN
        data, facts = self._float_file(treated, self._in_graph(treated, graph))
        canonical = {} if self.facts.library == "none" else self._canonical.facts
        twin = self._found_twin.facts if graph == TWIN else {}
        return Made(data, {**facts, "graph": graph, **twin, **canonical})

    def _float_file(self, treated: Any | None, model: Any) -> tuple[bytes, dict[str, Any]]:
        """The checked float .tflite of `model` and what is known of it: traced, or through a SavedModel if it must."""
        try:
            return self._checked_export(treated, model)
        except (ConversionFailed, ResultRejected):
            if self.facts.library == "none":  # there is no Keras model to save
                raise
            data, facts = self._checked_export(treated, model, through_saved_model=True)
            return data, {**facts, "through_saved_model": True}

    def _checked_export(
        self, treated: Any | None, model: Any, *, through_saved_model: bool = False
    ) -> tuple[bytes, dict[str, Any]]:
        data = TECHNIQUES["float32"].apply(
            model, self._input_names, self._input_shapes, through_saved_model=through_saved_model
        )
        return self._checked(treated, data)

    def _checked(self, treated: Any | None, data: bytes) -> tuple[bytes, dict[str, Any]]:
        rows = self._some_rows()
        model = treated if treated is not None else self._original
        return check_export(predict(model, [rows[name] for name in self._input_names]), data, rows)

    def _unrolled(self, steps: Sequence[Step]) -> bytes | None:
        """The float .tflite with recurrent layers as single steps; None where there is no twin or too many steps."""
        steps_seen = longest_sequence(self.facts, self._input_shapes)
        if not 0 < steps_seen <= MOST_STEPS or not (self.facts.library == "tf_keras" or self._has_twin):
            return None

        def make() -> Made:
            treated = self._keras_model(steps) if steps else None
            model = treated if treated is not None else self._twin
            data, facts = self._float_file(treated, without_loops(model))
            return Made(data, {**facts, "time_steps": steps_seen, **self._found_twin.facts})

        key = self._key("unrolled", steps, with_data=bool(steps))
        return self.stages.make("recurrent layers unrolled", "export", key, make).data

    def _in_graph(self, treated: Any | None, graph: str) -> Any:
        """The live model to convert: the original or a treated twin of it, as `graph` says."""
        if graph == TWIN:
            return treated if treated is not None else self._twin
        if not self._has_twin or treated is None:
            return treated if treated is not None else self._original
        model = with_structure_of(treated, canonical_form(load_model(self.model_path, self.facts)).model)
        if model is None:
            return treated
        transfer_weights(treated, model)
        return model

    def _converted_anew(
        self, source: bytes, steps: Sequence[Step], configure: Configure, rows: Rows | None
    ) -> bytes:
        """The model after keras-stage `steps` through TFLiteConverter, its outputs in the order of `source`."""
        from lwdash.export.float_file import with_output_order
        from lwdash.export.keras_converter import convert_with
        from lwdash.measure.runner import Runner

        if rows is not None:
            refuse_loops(source)
        model = self._in_graph(self._keras_model(steps) if steps else None, self._baseline_graph)
        found = self.cache.get(self._key("export", steps, with_data=bool(steps)))
        data = convert_with(
            model,
            self._input_names,
            self._input_shapes,
            configure=configure,
            rows=rows,
            through_saved_model=bool(found and found[1].get("through_saved_model")),
        )
        some = self._some_rows()
        expected, got = (list(Runner(file).run(some).values()) for file in (source, data))
        return with_output_order(data, match_outputs(expected, got)[0]) if len(expected) > 1 else data

    @property
    def _original_is_lean(self) -> bool:
        """Whether the original's own graph is the better one: recurrent Keras 3 layers become loops, not operators."""
        if self.facts.library != "keras":
            return True
        classes = {layer.class_name for layer in self.facts.layers if layer.parameters}
        if classes <= ALIKE:  # the usual case, told without building the twin
            return True
        is_recurrent = any(layer.class_name in RECURRENT for layer in self.facts.layers)
        return not self._has_twin or (not is_recurrent and can_transfer(self._twin, self._original))

    def _keras_model(self, steps: Sequence[Step]) -> Any:
        """The live tf_keras model after the keras-stage steps."""
        if self.facts.library == "none":
            raise RecipeError(
                f"{steps[0].name} trains a Keras model, and this SavedModel has no Keras metadata to rebuild one from: "
                "only post-training recipes are possible, or save the model as .keras"
            )
        *earlier, step = steps
        key = self._key("keras model", steps, with_data=True)
        if key in self._live:
            return self._live[key]

        def make() -> Made:
            source = self._keras_model(earlier) if earlier else self._trainable
            try:
                treated = TECHNIQUES[step.name].apply(source, step.params, self._training)
            except BridgeRefused as error:
                if self._found_twin.refusal is None:
                    raise
                raise BridgeRefused(f"{error}. There is none because {self._found_twin.refusal}") from error
            self._live[key] = treated.model
            facts = {**treated.facts, **self._found_twin.facts}
            return Made(write_model(treated.model), {**facts, "skipped": _words(treated.skipped)})

        made = self.stages.make(str(step), "keras", key, make)
        if key not in self._live:
            self._live[key] = read_model(made.data)
        return self._live[key]

    def _key(self, kind: str, steps: Sequence[Step], *, with_data: bool) -> str:
        return content_key(
            {
                "kind": kind,
                "model": self.model_sha256,
                "shapes": self._input_shapes,
                "steps": [step.to_dict() for step in steps],
                "data": self.dataset_key if with_data else None,
                "task": self.task if with_data else None,
                "seed": self.seed if with_data else None,
                "libraries": library_versions(),
            }
        )

    @property
    def _input_names(self) -> list[str]:
        return [tensor.name for tensor in self.facts.inputs]

    @property
    def _input_shapes(self) -> list[tuple[int, ...]]:
        return [tuple(self.dataset.inputs[name].shape[1:]) for name in self._input_names]

    @cached_property
    def _original(self) -> Any:
        self.progress("loading the model", 0.0)
        if self.facts.library == "none":
            return load_saved_function(self.model_path)
        return self._canonical.model

    @cached_property
    def _canonical(self) -> Canonical:
        rows = self._some_rows()
        loaded = load_model(self.model_path, self.facts)
        return canonical_form(loaded, [rows[name] for name in self._input_names])

    @cached_property
    def _found_twin(self) -> Twin:
        original = self._original
        if self.facts.library == "keras":
            self.progress("bridging Keras 3 to Keras 2", 0.0)
        rows = self._some_rows()
        return find_twin(original, [rows[name] for name in self._input_names])

    @property
    def _twin(self) -> Any:
        """The tf_keras model that TFMOT works on. Raises BridgeRefused."""
        if self._found_twin.model is None:
            raise BridgeRefused(self._found_twin.refusal)
        return self._found_twin.model

    @cached_property
    def _trainable(self) -> Any:
        """What keras-stage techniques work on: the twin, or the Keras 3 model itself where there is none."""
        return self._twin if self._has_twin else self._original

    @property
    def _has_twin(self) -> bool:
        return self._found_twin.model is not None

    @cached_property
    def _training(self) -> Training:
        inputs, labels = self.dataset.part("train")
        arrays = [inputs[name] for name in self._input_names]
        self.progress("asking the original model for its answers", 0.0)
        return Training(
            inputs=arrays,
            labels=labels,
            teacher=predict(self._original, arrays),
            task=self.task,
            seed=self.seed,
            progress=lambda doing, share: self.progress(doing, share),
        )

    def _some_rows(self) -> dict[str, np.ndarray]:
        inputs, _ = self.dataset.part("calibration")
        return {name: values[:COMPARED_ROWS] for name, values in inputs.items()}


def _words(skipped: Sequence[Skipped]) -> list[dict[str, str]]:
    return [asdict(s) for s in skipped]
