"""Recipes to try next, each with the metric of the run that suggests it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lwdash.advice.evidence import Evidence
from lwdash.errors import RecipeError
from lwdash.recipe import Recipe, Step, make_recipe, parse_recipe
from lwdash.techniques import ORDER, TECHNIQUES

MOST = 6
SPARSEST = 0.95
FEWEST_CLUSTERS, MOST_CLUSTERS = 4, 128
MORE_ROWS = 4
MULTIPLYING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")
"""Types of operators that take most of the time of a network."""


@dataclass(frozen=True)
class Suggestion:
    """title: what to do, for a button. reason: what was measured, and what the change is for. recipe: canonical."""

    title: str
    reason: str
    recipe: str


Rule = Callable[[Evidence, Recipe], Iterator[Suggestion]]


def suggest(evidence: Evidence) -> list[Suggestion]:
    """The most promising recipes first, at most `MOST`, none of them the run's own and none twice."""
    recipe = evidence.recipe
    if recipe is None or evidence.figures.get("is_baseline_below_chance"):
        return []  # what was lost cannot be told, so nothing can be advised on it
    found: dict[str, Suggestion] = {}
    for rule in RULES:
        for suggestion in rule(evidence, recipe):
            if suggestion.recipe != str(recipe):
                found.setdefault(suggestion.recipe, suggestion)
    return list(found.values())[:MOST]


def _loops(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """An integer file of unrolled recurrent layers that is larger than the float one: keep the loops."""
    growth = evidence.growth
    if evidence.unrolled_steps and growth is not None and growth > 1:
        yield from _with_format(
            recipe, TECHNIQUES["dynamic"].Params(), "dynamic", "Keep the loops",
            f"The {evidence.unrolled_steps:,} unrolled time steps made the file {growth:.1f} times as large as the float "
            "one; dynamic stores the same weights in 8 bits and keeps the layers as loops.",
        )  # fmt: skip


def _first_steps(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """From the float file: the number formats."""
    if recipe.keras_steps or recipe.tflite_step:
        return
    size = evidence.figures.get("size_bytes")
    at_most = f" of {size / 1000:,.1f} kB" if size else ""
    yield Suggestion(
        "Full integer", f"8-bit weights are about a quarter{at_most}; most microcontrollers run nothing else.", "int8"
    )  # fmt: skip
    yield Suggestion("Half floats", "Half the bytes, practically no loss: what int8 has to beat.", "float16")
    if evidence.can_train:
        yield Suggestion(
            "Prune half, then int8",
            "Zeros shrink the gzipped file on top of int8: over-the-air updates and encoded weights on NPUs.",
            "prune(sparsity=0.5) + int8",
        )


def _integer_throughout(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    step, floats = recipe.tflite_step, evidence.float_operators
    if not floats or step is None or step.params.backend == "tflite":
        return
    named = ", ".join(dict.fromkeys(floats))
    yield from _with_format(
        recipe, replace(step.params, backend="tflite", ranges="minmax"), step.name,
        "Quantize with TFLiteConverter",
        f"{len(floats)} {'operator computes' if len(floats) == 1 else 'operators compute'} in float ({named}); "
        "TensorFlow's own converter has integer forms of others.",
    )  # fmt: skip


def _lost_output(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """Where an output, or one of its numbers, is lost to the scale that it shares: 16 bits, or a last layer in floats."""
    step, lost = recipe.tflite_step, evidence.lost_outputs
    if not lost or step is None or step.name not in ("int8", "mixed"):
        return
    last = evidence.last_layer
    if last and step.name == "int8" and step.params.backend == "litert":
        mixed = TECHNIQUES["mixed"].Params(
            default="int8", overrides=((last, "float32"),), io="float32", per_channel=step.params.per_channel,
            rows=step.params.rows, ranges=step.params.ranges,
        )  # fmt: skip
        yield from _with_format(
            recipe, mixed, "mixed", f"Keep {last} in float",
            f"{lost} The last layer and the output in float32 need no common scale; all layers before stay in 8 bits.",
        )  # fmt: skip
    if evidence.figures.get("outputs_fit_16_bits", True):
        yield from _with_format(
            recipe, TECHNIQUES["int16x8"].Params(), "int16x8", "16-bit activations",
            f"{lost} 16 bits have 256 steps where 8 bits have one.",
        )  # fmt: skip


def _worst_layer(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    step, worst = recipe.tflite_step, evidence.lost_signal
    if step is None or worst is None or recipe.keras_steps or not evidence.has_rounding_lost:
        return  # after training, a layer differs from the baseline's for other reasons than rounding
    came = "" if worst.before_db is None else f", and comes in at {worst.before_db:.1f} dB"
    reason = (
        f"The signal drops most in {worst.layer}: its output has {worst.after_db:.1f} dB SQNR{came}, on calibration rows. "
        "16-bit activations cost a PC time, since LiteRT has only reference kernels for them; DSPs are made for it."
    )
    params = TECHNIQUES["mixed"].Params
    override = (worst.layer, "int16x8")
    if step.name == "int8" and step.params.backend == "litert":
        mixed = params(
            default="int8", overrides=(override,), per_channel=step.params.per_channel, rows=step.params.rows,
            ranges=step.params.ranges, io="default" if step.params.io == "int8" else step.params.io,
        )  # fmt: skip
    elif (
        step.name == "mixed"
        and step.params.default == "int8"
        and worst.layer not in dict(step.params.overrides)
    ):
        mixed = replace(step.params, overrides=(*step.params.overrides, override))
    else:
        return
    yield from _with_format(recipe, mixed, "mixed", f"Keep {worst.layer} in 16 bit", reason)


def _scales(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    step = recipe.tflite_step
    if step is None or not evidence.has_rounding_lost or getattr(step.params, "per_channel", True):
        return
    yield from _with_format(
        recipe, replace(step.params, per_channel=True), step.name, "A scale each channel",
        f"{_capital(evidence.loss_words)} with one scale for a whole kernel; a scale each channel is more exact "
        "and costs 12 bytes a channel.",
    )  # fmt: skip


def _ranges(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    step, used = recipe.tflite_step, evidence.calibration_rows
    if step is None or not hasattr(step.params, "ranges") or getattr(step.params, "backend", "") == "tflite":
        return
    sqnr = evidence.quantization_sqnr_db
    if not evidence.has_rounding_lost:
        return
    if used is not None and used == step.params.rows:
        yield from _with_format(
            recipe, replace(step.params, rows=MORE_ROWS * used), step.name, "More calibration rows",
            f"{used:,} rows set the ranges, as many as the recipe allows; more rows show more of the values that occur.",
        )  # fmt: skip
    if step.params.ranges == "minmax":
        heard = _capital(evidence.loss_words)
        if sqnr is not None:
            heard = f"Quantizing leaves {sqnr:.1f} dB SQNR on {evidence.quantization_rows} rows"
        yield from _with_format(
            recipe, replace(step.params, ranges="mse"), step.name, "Clip outliers",
            f"{heard}: ranges with the least squared error give outliers up for a finer grid where most values lie.",
        )  # fmt: skip


def _training(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    names = [s.name for s in recipe.keras_steps]
    step = recipe.tflite_step
    if (
        not evidence.can_train
        or not evidence.has_rounding_lost
        or step is None
        or step.name != "int8"
        or "qat" in names
    ):
        return
    form = {(True, False): "PQAT", (False, True): "CQAT", (True, True): "PCQAT"}.get(
        ("prune" in names, "cluster" in names), "QAT"
    )
    kept = ", and what pruning and clustering made is kept" if form != "QAT" else ""
    yield from _with_keras(
        recipe, Step("qat", TECHNIQUES["qat"].Params()), f"Train for it ({form})",
        f"{_capital(evidence.loss_words)}: fine-tuning while rounding to 8 bits can win back what rounding cost{kept}.",
    )  # fmt: skip


def _lost_structure(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    step = recipe.tflite_step
    if step is None or not getattr(step.params, "per_channel", False):
        return
    if any(each.name == "qat" for each in recipe.steps):  # it has trained for a scale each channel
        return
    torn = [
        f
        for f in evidence.audit
        if f.get("distinct_stored") is not None and f["distinct_stored"] > f["distinct"]
    ]
    if torn:
        worst = max(torn, key=lambda f: f["distinct_stored"])
        yield from _with_format(
            recipe, replace(step.params, per_channel=False), step.name, "One scale a kernel",
            f"The {worst['distinct']} shared values of {worst['kernel'].rpartition(':')[0]} are "
            f"{worst['distinct_stored']} in the file: one scale for the whole kernel keeps equal weights equal.",
        )  # fmt: skip


def _less_structure(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """Where structure cost accuracy: less of it."""
    if not evidence.has_lost or not evidence.can_train:
        return
    for step in recipe.keras_steps:
        if step.name == "prune" and step.params.sparsity > 0.2:
            gentler = round(1 - min(1.0, 2 * (1 - step.params.sparsity)), 2) or round(
                step.params.sparsity / 2, 2
            )
            yield from _with_keras(
                recipe, _changed(step, sparsity=gentler), f"Prune less: {_percent(gentler)}",
                f"With {_percent(step.params.sparsity)} zeros: {evidence.loss_words}.",
            )  # fmt: skip
        if step.name == "cluster" and step.params.clusters < MOST_CLUSTERS:
            yield from _with_keras(
                recipe, _changed(step, clusters=2 * step.params.clusters), f"{2 * step.params.clusters} clusters",
                f"With {step.params.clusters} values a kernel: {evidence.loss_words}.",
            )  # fmt: skip


def _fast_kernels(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """Where operators outside of LiteRT's fast kernels make a file slower: the format that these kernels take."""
    step, found, speedup = (
        recipe.tflite_step,
        evidence.figures.get("xnnpack"),
        evidence.figures.get("speedup"),
    )
    if step is None or not isinstance(found, dict) or not found["outside"] or not speedup:
        return
    between = evidence.figures.get("speedup_ci")
    if (between[1] if isinstance(between, (list, tuple)) else speedup) >= 1:
        return
    types = {one["type"]: one for one in found["outside_operators"]}
    multiplying = [types[name] for name in MULTIPLYING if name in types]
    if not multiplying:
        return
    named = ", ".join(one["type"] + (f" ×{one['count']}" if one["count"] > 1 else "") for one in multiplying)
    runs = "runs" if sum(one["count"] for one in multiplying) == 1 else "run"
    reason = f"Measured at {speedup:.2f} times the original's speed: {named} {runs} outside of LiteRT's fast kernels. "
    backend = getattr(step.params, "backend", "litert")
    if step.name == "weight_only" and step.params.bits == "4":
        yield from _with_format(
            recipe, TECHNIQUES["dynamic"].Params(bits="4", algorithm=step.params.algorithm), "dynamic",
            "4 bits, quantized while running",
            reason + "These take 4-bit weights in dense layers and 1 × 1 convolutions whose activations are quantized "
            "while running.",
        )  # fmt: skip
    if step.name in ("weight_only", "dynamic") and step.params.bits == "4":
        yield from _with_format(
            recipe, TECHNIQUES["dynamic"].Params(), "dynamic", "8-bit weights, fast kernels",
            reason + "With 8-bit weights they take convolutions too.",
        )  # fmt: skip
    if step.name == "dynamic" and backend == "tflite":
        yield from _with_format(
            recipe, replace(step.params, backend="litert"), "dynamic", "Quantize for fast kernels",
            reason + "backend=litert stores what they cannot take so that they can.",
        )  # fmt: skip
    if step.name == "int16x8":
        yield from _with_format(
            recipe, TECHNIQUES["int8"].Params(), "int8", "8-bit activations",
            reason + "They have no form with 16-bit activations.",
        )  # fmt: skip


def _finer_weights(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """Where few bits a weight cost accuracy: a better rounding, or more bits."""
    step = recipe.tflite_step
    if step is None or step.name not in ("dynamic", "weight_only") or not evidence.has_rounding_lost:
        return
    if getattr(step.params, "backend", "litert") == "litert" and step.params.algorithm != "gptq":
        yield from _with_format(
            recipe, replace(step.params, algorithm="gptq"), step.name, "Round with GPTQ",
            f"{_capital(evidence.loss_words)} with {step.params.bits}-bit weights: GPTQ makes up for each rounding in "
            "the weights that follow, on calibration rows.",
        )  # fmt: skip
    if step.params.bits == "4" and step.params.algorithm == "minmax":
        yield from _with_format(
            recipe, replace(step.params, algorithm="octav"), step.name, "Round with OCTAV",
            f"{_capital(evidence.loss_words)} with 4-bit weights: OCTAV clips outliers of weights; it needs no rows.",
        )  # fmt: skip
    if step.params.bits == "4":
        yield from _with_format(
            recipe, replace(step.params, bits="8"), step.name, "8-bit weights",
            f"{_capital(evidence.loss_words)} with 4-bit weights.",
        )  # fmt: skip


def _further(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """Where nothing was lost: smaller still."""
    if evidence.has_lost or evidence.figures.get("is_baseline"):
        return
    nothing = f"There is room: {evidence.loss_words}" if evidence.difference is not None else "There is room"
    names = [s.name for s in recipe.keras_steps]
    for step in recipe.keras_steps if evidence.can_train else ():
        sparser = round(1 - (1 - step.params.sparsity) / 2, 3) if step.name == "prune" else 1.0
        if sparser <= SPARSEST:
            yield from _with_keras(
                recipe, _changed(step, sparsity=sparser), f"Prune more: {_percent(sparser)}",
                f"{nothing}. Half of the remaining weights can be tried.",
            )  # fmt: skip
        if step.name == "cluster" and step.params.clusters // 2 >= FEWEST_CLUSTERS:
            yield from _with_keras(
                recipe, _changed(step, clusters=step.params.clusters // 2), f"{step.params.clusters // 2} clusters",
                f"{nothing}. A bit less for each weight where the file is packed.",
            )  # fmt: skip
    format = recipe.tflite_step
    if format is not None and format.name in ("float16", "dynamic", "weight_only", "int16x8"):
        yield from _with_format(
            recipe, TECHNIQUES["int8"].Params(), "int8", "Full integer",
            f"{nothing}. 8-bit weights and activations, which microcontrollers run.",
        )  # fmt: skip
    if format is not None and format.name in ("dynamic", "weight_only") and format.params.bits == "8":
        yield from _with_format(
            recipe, replace(format.params, bits="4"), format.name, "4-bit weights", f"{nothing}. Half the weight bytes.",
        )  # fmt: skip
    if evidence.can_train and format is not None and "qat" not in names:
        for name, params, title, why in (
            (
                "prune",
                {"sparsity": 0.5},
                "Prune half first",
                "Half of the weights can go, which gzip turns into bytes",
            ),
            (
                "cluster",
                {"clusters": 16},
                "16 clusters first",
                "Few shared values pack well: look at gzip and Huffman",
            ),
        ):
            if name not in names:
                added = Step(name, TECHNIQUES[name].Params(**params))
                yield from _with_keras(recipe, added, title, f"{nothing}. {why}.")


RULES: tuple[Rule, ...] = (
    _loops, _first_steps, _integer_throughout, _lost_output, _worst_layer, _scales, _fast_kernels, _finer_weights,
    _training, _lost_structure,
    _less_structure, _ranges, _further,
)  # fmt: skip
"""In the order of what a person would try first."""


def _changed(step: Step, **values: Any) -> Step:
    return Step(step.name, replace(step.params, **values))


def _with_format(recipe: Recipe, params: Any, name: str, title: str, reason: str) -> Iterator[Suggestion]:
    """The recipe with another number format, if it may have that."""
    yield from _checked([*recipe.keras_steps, Step(name, params)], title, reason)


def _with_keras(recipe: Recipe, step: Step, title: str, reason: str) -> Iterator[Suggestion]:
    """The recipe with `step` among its keras-stage steps, in place of one of the same name, if it may have that."""
    kept = [s for s in recipe.keras_steps if s.name != step.name]
    ordered = sorted([*kept, step], key=lambda s: ORDER.index(s.name))
    yield from _checked([*ordered, *([recipe.tflite_step] if recipe.tflite_step else [])], title, reason)


def _checked(steps: list[Step], title: str, reason: str) -> Iterator[Suggestion]:
    try:
        recipe = make_recipe(*steps)
        if parse_recipe(str(recipe)) == recipe:
            yield Suggestion(title, reason, str(recipe))
    except RecipeError:
        return


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
