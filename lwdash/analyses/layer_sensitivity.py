"""Layer sensitivity: each layer quantized alone, each left out, and the gain from keeping the worst in float.

Everything is measured on calibration rows: a choice made on evaluation rows would have a selection bias.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from lwdash.analyses.sensitivity_result import Kept, LayerSensitivity, Scores, Sensitivity
from lwdash.errors import ConversionFailed, RecipeError, ResultRejected
from lwdash.measure.accuracy import agreement, judge, looks_like_logits, predicted_classes, sqnr_db
from lwdash.measure.runner import Runner
from lwdash.measure.script_ports import judged_output
from lwdash.parameters import is_layer_name
from lwdash.quantize.fast_kernels import fitted
from lwdash.quantize.number_formats import FLOAT32, FORMATS, Format, QuantizationPlan, can_have
from lwdash.quantize.quantizers.litert_quantizer import add_changed, needs_ranges, quantize_in
from lwdash.quantize.ranges.activation_ranges import Ranges, activation_ranges
from lwdash.quantize.read_back import Computed, computed
from lwdash.recipe import Recipe, Step, implied_format, make_recipe
from lwdash.spread_rows import spread
from lwdash.techniques import TECHNIQUES
from lwdash.tflite.reader import read_tflite

MAX_ROWS, MIN_ROWS = 200, 16
SECONDS = 20.0
"""Time limit for running all the files; large models use fewer rows."""
BETTER_FORMAT = {"int8": "int16x8", "int8x4": "int8", "dynamic4": "dynamic", "weight_only4": "weight_only"}
"""The next more exact format: a sensitive layer can be kept in it without returning to floats."""
FOUR_BITS = {"int8": "int8x4", "dynamic": "dynamic4", "weight_only": "weight_only4"}
MAX_KEPT_LAYERS = 4
"""Maximum number of kept layers, and no more than half of them."""
WORTH_DB = 1.0
"""Minimum gain of each further kept layer."""
WORTH_IT_DB = 2.0
"""Below this gain there is no recommendation: the loss is spread over the layers."""

Progress = Callable[[str, float], None]


def format_to_try(recipe: Recipe) -> str:
    """The number format that is analysed: the recipe's own, int8 for recipes that keep floats."""
    step = recipe.tflite_step
    if step is None or step.name == "float16":
        return "int8"
    if step.name == "mixed":
        return str(step.params.default) if step.params.default != FLOAT32 else "int8"
    is_narrow = getattr(step.params, "bits", "8") == "4"
    return FOUR_BITS.get(step.name, step.name) if is_narrow else step.name


def analyse(
    source: bytes,
    recipe: Recipe,
    rows: Mapping[str, np.ndarray],
    labels: np.ndarray | None,
    *,
    task: str,
    judged: int = 0,
    is_logit: bool | None = None,
    cores: int = 1,
    progress: Progress = lambda doing, share: None,
    seconds: float = SECONDS,
) -> Sensitivity:
    """Measure every layer of the float .tflite `source` that `recipe` quantizes.

    rows: calibration rows by input, (rows, *shape); labels: theirs, or None; judged: index of the output that
    they belong to. is_logit: as for `measure_run.measure`. cores: files run at the same time.
    Raises ConversionFailed where no layer can be quantized.
    """
    began = time.perf_counter()
    progress("finding the ranges", 0.0)
    bench = _Bench(source, recipe, rows, labels, task, judged, is_logit)
    layers = bench.layers
    trials: dict[str, QuantizationPlan] = {"": bench.plan(bench.format.name, {})}
    for layer in layers:
        if not bench.reason(layer):
            trials[f"alone {layer}"] = bench.plan(FLOAT32, {layer: bench.format.name})
            trials[f"without {layer}"] = bench.plan(bench.format.name, {layer: FLOAT32})
    bench.choose_rows(len(trials), seconds * cores)
    found = bench.try_all(trials, cores, lambda share: progress("measuring layer by layer", 0.9 * share))
    everything = found[""]
    if everything is None:
        raise ConversionFailed(
            f"no file could be made in {bench.format.name}, so the layers cannot be analysed"
        )
    table = tuple(_row(bench, layer, found, everything.figure) for layer in layers)
    progress("measuring the gain from keeping the worst layers", 0.9)
    kept = tuple(_kept(bench, recipe, table))
    return Sensitivity(
        format=bench.format.name,
        measure=bench.measure,
        rows=bench.count,
        range_rows=bench.range_rows,
        float_value=bench.value_of(bench.reference),
        everything=everything.figure,
        everything_bytes=everything.size_bytes,
        layers=table,
        kept=kept,
        advice=advise(everything.figure, kept),
        seconds=time.perf_counter() - began,
    )


def advise(everything: Scores, kept: Sequence[Kept]) -> str | None:
    """The recipe that keeps the worst layers, as long as each further one gains WORTH_DB. The smaller format
    is used if it is within WORTH_DB of the best. None if no choice gains WORTH_IT_DB.
    """
    if everything.sqnr_db is None:
        return None
    best: dict[str, Kept] = {}
    for one in kept:
        if one.figure.sqnr_db is None:
            continue
        known = best.get(one.format)
        more = 0 if known is None else len(one.layers) - len(known.layers)
        if known is None or one.figure.sqnr_db >= (known.figure.sqnr_db or 0.0) + more * WORTH_DB:
            best[one.format] = one
    ranked = sorted(best.values(), key=lambda one: (one.format == FLOAT32, one.size_bytes))
    top = max((one.figure.sqnr_db or 0.0 for one in ranked), default=0.0)
    for one in ranked:
        gained = (one.figure.sqnr_db or 0.0) - everything.sqnr_db
        if gained >= WORTH_IT_DB and (one.figure.sqnr_db or 0.0) >= top - WORTH_DB:
            return one.recipe
    return None


@dataclass(frozen=True)
class _Trial:
    figure: Scores
    size_bytes: int


class _Bench:
    """The float file, its ranges and its outputs, shared by all trials."""

    def __init__(
        self,
        source: bytes,
        recipe: Recipe,
        rows: Mapping[str, np.ndarray],
        labels: np.ndarray | None,
        task: str,
        judged: int,
        is_logit: bool | None = None,
    ):
        self.known_cut = is_logit
        self.source, self.task, self.labels, self.judged = source, task, labels, judged
        self.facts = read_tflite(source)
        self.format: Format = FORMATS[format_to_try(recipe)]
        params = recipe.tflite_step.params if recipe.tflite_step else None
        self.per_channel = getattr(params, "per_channel", True)
        self.how = getattr(params, "ranges", "minmax")
        self.operators = computed(source)
        self.layers = list(dict.fromkeys(o.layer for o in self.operators if o.activations == FLOAT32))
        self.most_range_rows = getattr(params, "rows", 256)
        self.all_rows = dict(rows)
        self.range_rows = min(self.most_range_rows, len(next(iter(rows.values()))))
        self._ranges: Ranges | None = None
        self._take(MAX_ROWS)

    def _take(self, most: int) -> None:
        chosen = spread(len(next(iter(self.all_rows.values()))), most)
        self.count = len(chosen)
        self.rows = {name: values[chosen] for name, values in self.all_rows.items()}
        self.some_labels = None if self.labels is None else self.labels[chosen]
        started = time.perf_counter()
        self.reference = self._outputs(self.source)
        self.run_seconds = time.perf_counter() - started
        self.is_logit = (
            looks_like_logits(self.task, self.reference) if self.known_cut is None else self.known_cut
        )

    def choose_rows(self, trials: int, seconds: float) -> None:
        """Use fewer rows if running every trial on all of them would take longer than `seconds`."""
        affordable = seconds / (trials + 2 * MAX_KEPT_LAYERS) / max(self.run_seconds / self.count, 1e-9)
        if affordable < self.count:
            self._take(max(MIN_ROWS, int(affordable)))

    @property
    def measure(self) -> str | None:
        if self.task not in ("classification", "binary", "multi-label"):
            return None
        return "accuracy" if self.labels is not None else "agreement"

    def value_of(self, outputs: np.ndarray) -> float | None:
        if self.measure == "accuracy":
            return judge(self.task, outputs, self.some_labels, self.rows, is_logit=self.is_logit).accuracy
        if self.measure == "agreement":
            ours, theirs = (
                predicted_classes(self.task, o, is_logit=self.is_logit) for o in (outputs, self.reference)
            )
            return agreement(ours, theirs)
        return None

    def reason(self, layer: str) -> str | None:
        """Reason why the layer has no form in the format; None if it has one."""
        own = self.operators_of(layer)
        if any(can_have(o.kind, self.format) and not o.is_inside for o in own):
            return None
        kinds = ", ".join(sorted({o.kind for o in own}))
        if any(o.is_inside for o in own):
            return f"{kinds}: inside a loop, which this analysis leaves in float"
        return f"{kinds}: litert-quantizer, which makes the files of this analysis, has no {self.format.name} form"

    def plan(self, default: str, overrides: Mapping[str, str]) -> QuantizationPlan:
        """Everything in `default` except the layers of `overrides`; integer inputs and outputs only if all is integer."""
        plan = QuantizationPlan()
        plan.add(FORMATS[default], per_channel=self.per_channel)
        for layer, name in overrides.items():
            scopes = [o.scope for o in self.operators_of(layer)]
            plan.add(FORMATS[name], scopes, per_channel=self.per_channel)
        asked = [FORMATS[overrides.get(o.layer, default)] for o in self.operators]
        stored = {format.name: self._stored_as(format) for format in asked}
        formats = [stored[format.name][i] for i, format in enumerate(asked)]
        add_changed(plan, self.operators, asked, formats, per_channel=self.per_channel)
        border = FORMATS[default] if FORMATS[default].is_static else FORMATS[FLOAT32]
        for operation in ("INPUT", "OUTPUT"):
            plan.add(border, operation=operation)
        return plan

    def _stored_as(self, format: Format) -> list[Format]:
        """The format of each operator when the whole file is requested in a format."""
        return [
            one.format for one in fitted(self.operators, [format] * len(self.operators), len(self.source))
        ]

    def try_all(
        self, trials: Mapping[str, QuantizationPlan], cores: int, progress: Callable[[float], None]
    ) -> dict[str, _Trial | None]:
        """Result of each trial by name; None where it could not be made or run. Files are made one by one
        (the quantizer is Python, and redirects its output) while `cores` others run.
        """
        found: dict[str, _Trial | None] = {}
        waiting: deque[tuple[str, Future[_Trial | None]]] = deque()
        with ThreadPoolExecutor(cores) as pool:
            for number, (name, plan) in enumerate(trials.items()):
                data = self._file(plan)
                waiting.append((name, pool.submit(self.measured, data)))
                while len(waiting) > cores:
                    done, future = waiting.popleft()
                    found[done] = future.result()
                progress((number + 1) / len(trials))
            for name, future in waiting:
                found[name] = future.result()
        return found

    def _file(self, plan: QuantizationPlan) -> bytes | None:
        try:
            if not needs_ranges(self.source, plan):
                return quantize_in(self.source, plan, None)
            if self._ranges is None:
                rows = {name: values[: self.range_rows] for name, values in self.all_rows.items()}
                self._ranges = activation_ranges(self.source, rows, self.how)
            return quantize_in(self.source, plan, self._ranges)
        except ConversionFailed:
            return None

    def measured(self, data: bytes | None) -> _Trial | None:
        """A file's metrics; None without a file, or if LiteRT cannot run it."""
        if data is None:
            return None
        try:
            outputs = self._outputs(data)
        except (ConversionFailed, ResultRejected):
            return None
        return _Trial(Scores(sqnr_db(self.reference, outputs), self.value_of(outputs)), len(data))

    def _outputs(self, data: bytes) -> np.ndarray:
        runner = Runner(data)
        return [*runner.run(self.rows).values()][judged_output(runner.facts, self.facts, self.judged)]

    def operators_of(self, layer: str) -> list[Computed]:
        return [o for o in self.operators if o.layer == layer]


def _row(
    bench: _Bench, layer: str, found: Mapping[str, _Trial | None], everything: Scores
) -> LayerSensitivity:
    own = bench.operators_of(layer)
    alone, without = (found.get(f"{which} {layer}") for which in ("alone", "without"))
    reason = bench.reason(layer)
    if reason is None and (alone is None or without is None):
        reason = f"no file could be made with only this layer, or all but this layer, in {bench.format.name}"
    gain = None
    if without is not None and everything.sqnr_db is not None and without.figure.sqnr_db is not None:
        gain = without.figure.sqnr_db - everything.sqnr_db
    return LayerSensitivity(
        layer=layer,
        operators=tuple(o.kind for o in own),
        parameters=sum(o.values for o in own),
        alone=alone.figure if alone else None,
        without=without.figure if without else None,
        gain_db=gain,
        reason=reason,
    )


def _kept(bench: _Bench, recipe: Recipe, table: Sequence[LayerSensitivity]) -> Iterator[Kept]:
    """The worst layers in a better format, one more each time, made by exactly the recipe that would be run.

    None after a training for a number format: its weights are those for the formats of this recipe, not of another.
    """
    if any(implied_format(step.name) for step in recipe.keras_steps):
        return
    worst = sorted(
        (row for row in table if row.gain_db is not None and row.gain_db > 0),
        key=lambda row: -(row.gain_db or 0.0),
    )
    most = min(MAX_KEPT_LAYERS, max(1, len(table) // 2))
    names = [row.layer for row in worst if is_layer_name(row.layer)][:most]
    technique = TECHNIQUES["mixed"]
    for format in dict.fromkeys((BETTER_FORMAT.get(bench.format.name, FLOAT32), FLOAT32)):
        for count in range(1, len(names) + 1):
            chosen = tuple(names[:count])
            params = technique.Params(
                default=bench.format.name,
                overrides=tuple((name, format) for name in chosen),
                per_channel=bench.per_channel,
                rows=bench.most_range_rows,
                ranges=bench.how,
            )
            try:
                text = str(make_recipe(*recipe.keras_steps, Step("mixed", params)))
                data = technique.apply(bench.source, params, bench.all_rows).data
            except (ConversionFailed, RecipeError):
                continue
            trial = bench.measured(data)
            if trial is not None:
                yield Kept(text, chosen, format, trial.figure, trial.size_bytes)
