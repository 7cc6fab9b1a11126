"""Recipes to try next, each with the metric of the run that suggests it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from lwdash.advice.evidence import Evidence
from lwdash.advice.loop_suggestions import grows_again, keep_loops
from lwdash.advice.recipe_changes import Suggestion, changed, percent, with_format, with_keras
from lwdash.advice.storage_suggestions import sparse_storage, tables_and_codes
from lwdash.recipe import Recipe, Step
from lwdash.techniques import TECHNIQUES

MAX_SUGGESTIONS = 6
MAX_SPARSITY = 0.95
MIN_CLUSTERS, MAX_CLUSTERS = 4, 128
MORE_ROWS = 4
ROUNDING = ("dynamic", "weight_only", "int8")
"""Formats with a choice of bits and of rounding."""
MULTIPLYING = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")
"""Types of operators that usually take most of a network's time."""


Rule = Callable[[Evidence, Recipe], Iterator[Suggestion]]


def suggest(evidence: Evidence) -> list[Suggestion]:
    """The most promising recipes first, at most `MAX_SUGGESTIONS`, without the run's own recipe and without
    repetitions.
    """
    recipe = evidence.recipe
    if recipe is None or evidence.metrics.get("is_baseline_below_chance") or evidence.is_on_generated_rows:
        return []  # the loss is unknown, so there is no advice on it
    found: dict[str, Suggestion] = {}
    for rule in RULES:
        for suggestion in rule(evidence, recipe):
            if suggestion.recipe != str(recipe) and not grows_again(evidence, suggestion):
                found.setdefault(suggestion.recipe, suggestion)
    return list(found.values())[:MAX_SUGGESTIONS]


def _first_steps(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """Number formats to try after the float file."""
    if recipe.keras_steps or recipe.tflite_step:
        return
    size = evidence.metrics.get("size_bytes")
    at_most = f" of {size / 1000:,.1f} kB" if size else ""
    yield Suggestion(
        "Full integer", f"8-bit weights take about a quarter{at_most}. Most microcontrollers run only this format.", "int8"
    )  # fmt: skip
    yield Suggestion(
        "Half-precision floats", "Half the bytes, almost no loss: the reference for int8.", "float16"
    )
    if evidence.can_train:
        yield Suggestion(
            "Prune 80 %, then int8, then sparse storage",
            "The file does not store zeros: a .tflite of about half the int8 size, for phones and computers.",
            "prune(sparsity=0.8) + int8 + sparse",
        )


def _integer_throughout(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    step, floats = recipe.tflite_step, evidence.float_operators
    if not floats or step is None or step.params.backend == "tflite":
        return
    named = ", ".join(dict.fromkeys(floats))
    yield from with_format(
        recipe, replace(step.params, backend="tflite", ranges="minmax"), step.name,
        "Quantize with TFLiteConverter",
        f"{len(floats)} {'operator computes' if len(floats) == 1 else 'operators compute'} in float "
        f"({named}). TensorFlow's own converter may have integer forms of them.",
    )  # fmt: skip


def _lost_output(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """For an output (or one of its numbers) lost by a shared scale: 16 bits, or a last layer in floats."""
    step, lost = recipe.tflite_step, evidence.lost_outputs
    if not lost or step is None or step.name not in ("int8", "mixed"):
        return
    last = evidence.last_layer
    if last and step.name == "int8" and step.params.backend == "litert":
        mixed = TECHNIQUES["mixed"].Params(
            default="int8", overrides=((last, "float32"),), io="float32", per_channel=step.params.per_channel,
            rows=step.params.rows, ranges=step.params.ranges,
        )  # fmt: skip
        yield from with_format(
            recipe, mixed, "mixed", f"Keep {last} in float",
            (
                f"{lost} The last layer and the output in float32 need no common scale. All earlier "
                "layers stay in 8 bits."
            ),
            "lost output",
        )  # fmt: skip
    if evidence.metrics.get("outputs_fit_16_bits", True):
        yield from with_format(
            recipe, TECHNIQUES["int16x8"].Params(), "int16x8", "16-bit activations",
            f"{lost} 16 bits have 256 steps where 8 bits have one.", "lost output",
        )  # fmt: skip


def _worst_layer(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    step, worst = recipe.tflite_step, evidence.lost_signal
    if step is None or worst is None or recipe.keras_steps or not evidence.has_rounding_lost:
        return  # after training, a layer differs from the baseline's for other reasons than rounding
    came = "" if worst.before_db is None else f", and {worst.before_db:.1f} dB before it"
    reason = (
        f"The signal drops most in {worst.layer}: its output has {worst.after_db:.1f} dB SQNR{came}, on "
        "calibration rows. 16-bit activations are slow on a PC, where LiteRT has only reference kernels; "
        "DSPs run them fast."
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
    yield from with_format(recipe, mixed, "mixed", f"Keep {worst.layer} in 16 bit", reason)


def _scales(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    step = recipe.tflite_step
    if step is None or not evidence.has_rounding_lost or getattr(step.params, "per_channel", True):
        return
    yield from with_format(
        recipe, replace(step.params, per_channel=True), step.name, "Per-channel scale",
        f"{_capital(evidence.loss_text)} with one scale per kernel. A scale per channel is more exact "
        "and costs 12 bytes per channel.",
    )  # fmt: skip


def _ranges(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    step, used = recipe.tflite_step, evidence.calibration_rows
    if step is None or not hasattr(step.params, "ranges") or getattr(step.params, "backend", "") == "tflite":
        return
    sqnr = evidence.quantization_sqnr_db
    if not evidence.has_rounding_lost:
        return
    if used is not None and used == step.params.rows:
        yield from with_format(
            recipe, replace(step.params, rows=MORE_ROWS * used), step.name, "More calibration rows",
            (
                f"{used:,} rows set the ranges, the maximum of this recipe. More rows cover more of the "
                "values that occur."
            ),
        )  # fmt: skip
    if step.params.ranges == "minmax":
        loss = _capital(evidence.loss_text)
        if sqnr is not None:
            loss = f"Quantizing leaves {sqnr:.1f} dB SQNR on {evidence.quantization_rows} rows"
        yield from with_format(
            recipe, replace(step.params, ranges="mse"), step.name, "Clip outliers",
            (
                f"{loss}. Ranges with the least squared error clip outliers, and so have a finer grid "
                "where most values are."
            ),
        )  # fmt: skip


def _training(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    names = [s.name for s in recipe.keras_steps]
    step = recipe.tflite_step
    if (
        not evidence.can_train
        or not evidence.has_rounding_lost
        or step is None
        or step.name not in TECHNIQUES["qat"].FORMATS_AFTER
        or "qat" in names
    ):
        return
    form = {(True, False): "PQAT", (False, True): "CQAT", (True, True): "PCQAT"}.get(
        ("prune" in names, "cluster" in names), "QAT"
    )
    kept = "; zeros and shared values are preserved" if form != "QAT" else ""
    yield from with_keras(
        recipe, Step("qat", TECHNIQUES["qat"].Params()), f"Quantization-aware ({form})",
        (
            f"{_capital(evidence.loss_text)}: fine-tuning with simulated rounding can recover a "
            f"loss from rounding{kept}."
        ),
    )  # fmt: skip


def _lost_structure(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    step = recipe.tflite_step
    if step is None or not getattr(step.params, "per_channel", False):
        return
    if any(each.name == "qat" for each in recipe.steps):  # it was trained for one scale per channel
        return
    torn = [
        f
        for f in evidence.audit
        if f.get("distinct_stored") is not None and f["distinct_stored"] > f["distinct"]
    ]
    if torn:
        worst = max(torn, key=lambda f: f["distinct_stored"])
        yield from with_format(
            recipe, replace(step.params, per_channel=False), step.name, "Per-tensor scale",
            f"The {worst['distinct']} shared values of {worst['kernel'].rpartition(':')[0]} are "
            f"{worst['distinct_stored']} in the file. One scale for the whole kernel keeps equal weights "
            "equal.",
        )  # fmt: skip


def _less_structure(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """For a loss caused by pruning or clustering: less of it."""
    if not evidence.has_lost or not evidence.can_train:
        return
    for step in recipe.keras_steps:
        if step.name == "prune" and not _is_by_layer(step):
            yield from with_keras(
                recipe, changed(step, sparsity=None, mean_sparsity=step.params.sparsity), "As many zeros, by layer",
                f"With {percent(step.params.sparsity)} zeros in each layer: {evidence.loss_text}. Sensitive layers keep "
                "more weights, others fewer.",
            )  # fmt: skip
        if step.name == "prune" and not _is_by_layer(step) and step.params.sparsity > 0.2:
            gentler = round(1 - min(1.0, 2 * (1 - step.params.sparsity)), 2) or round(
                step.params.sparsity / 2, 2
            )
            yield from with_keras(
                recipe, changed(step, sparsity=gentler), f"Prune less: {percent(gentler)}",
                f"With {percent(step.params.sparsity)} zeros: {evidence.loss_text}.",
            )  # fmt: skip
        if step.name == "cluster" and step.params.clusters < MAX_CLUSTERS:
            yield from with_keras(
                recipe, changed(step, clusters=2 * step.params.clusters), f"{2 * step.params.clusters} clusters",
                f"With {step.params.clusters} values per kernel: {evidence.loss_text}.",
            )  # fmt: skip


def _is_by_layer(step: Step) -> bool:
    """True for a pruning whose sparsity differs from layer to layer, so that one number does not describe it."""
    return step.name == "prune" and (step.params.sparsity is None or bool(step.params.layers))


def _fast_kernels(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """For a file that is slow because operators run outside LiteRT's fast kernels: a format that these kernels support."""
    step, found, speedup = (
        recipe.tflite_step,
        evidence.metrics.get("xnnpack"),
        evidence.metrics.get("speedup"),
    )
    if step is None or not isinstance(found, dict) or not found["outside"] or not speedup:
        return
    between = evidence.metrics.get("speedup_ci")
    if (between[1] if isinstance(between, (list, tuple)) else speedup) >= 1:
        return
    types = {one["type"]: one for one in found["outside_operators"]}
    multiplying = [types[name] for name in MULTIPLYING if name in types]
    if not multiplying:
        return
    named = ", ".join(one["type"] + (f" ×{one['count']}" if one["count"] > 1 else "") for one in multiplying)
    runs = "runs" if sum(one["count"] for one in multiplying) == 1 else "run"
    reason = (
        f"Measured at {speedup:.2f} times the original's speed: {named} {runs} outside LiteRT's fast "
        "kernels. "
    )
    backend = getattr(step.params, "backend", "litert")
    if step.name == "weight_only" and step.params.bits == "4":
        yield from with_format(
            recipe, TECHNIQUES["dynamic"].Params(bits="4", algorithm=step.params.algorithm), "dynamic",
            "4 bits, dynamic activations",
            reason + "These kernels support 4-bit weights in dense layers and 1 × 1 convolutions with "
                     "dynamic activations.",
        )  # fmt: skip
    if step.name in ("weight_only", "dynamic") and step.params.bits == "4":
        yield from with_format(
            recipe, TECHNIQUES["dynamic"].Params(), "dynamic", "8-bit weights, fast kernels",
            reason + "With 8-bit weights they also support convolutions.",
        )  # fmt: skip
    if step.name == "dynamic" and backend == "tflite":
        yield from with_format(
            recipe, replace(step.params, backend="litert"), "dynamic", "Quantize for fast kernels",
            reason + "With backend=litert, the file stores unsupported operators in a form that they support.",
        )  # fmt: skip
    if step.name == "int16x8":
        yield from with_format(
            recipe, TECHNIQUES["int8"].Params(), "int8", "8-bit activations",
            reason + "They do not support 16-bit activations.",
        )  # fmt: skip


def _finer_weights(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """For a loss caused by few bits per weight: better rounding, or more bits."""
    step = recipe.tflite_step
    if step is None or step.name not in ROUNDING or not evidence.has_rounding_lost:
        return
    is_by_rows = step.params.algorithm == "gptq" or (step.params.algorithm, step.params.bits) == (
        "default",
        "4",
    )
    is_worth_it = step.params.bits == "4" or step.name != "int8"
    if getattr(step.params, "backend", "litert") == "litert" and not is_by_rows and is_worth_it:
        yield from with_format(
            recipe, replace(step.params, algorithm="gptq"), step.name, "Round with GPTQ",
            f"{_capital(evidence.loss_text)} with {step.params.bits}-bit weights. GPTQ compensates each "
            "rounding in the following weights, using calibration rows.",
        )  # fmt: skip
    if step.params.bits == "4":
        compute = "integer" if step.name == "int8" else "float"
        yield from with_format(
            recipe, TECHNIQUES["auto"].Params(compute=compute), "auto", "More bits where they matter",
            f"{_capital(evidence.loss_text)} with 4-bit weights. auto measures each layer on calibration rows and "
            "keeps 4 bits where they change no results.",
        )  # fmt: skip
        yield from with_format(
            recipe, replace(step.params, bits="8"), step.name, "8-bit weights",
            f"{_capital(evidence.loss_text)} with 4-bit weights.",
        )  # fmt: skip


def _further(evidence: Evidence, recipe: Recipe) -> Iterator[Suggestion]:
    """For a run without loss: even smaller recipes."""
    if evidence.has_lost or evidence.metrics.get("is_baseline"):
        return
    nothing = f"No loss so far: {evidence.loss_text}" if evidence.difference is not None else "No loss so far"
    names = [s.name for s in recipe.keras_steps]
    for step in recipe.keras_steps if evidence.can_train else ():
        if _is_by_layer(step):
            continue
        sparser = round(1 - (1 - step.params.sparsity) / 2, 3) if step.name == "prune" else 1.0
        if sparser <= MAX_SPARSITY:
            yield from with_keras(
                recipe, changed(step, sparsity=sparser), f"Prune more: {percent(sparser)}",
                f"{nothing}. Try to remove half of the remaining weights.",
            )  # fmt: skip
        if step.name == "cluster" and step.params.clusters // 2 >= MIN_CLUSTERS:
            yield from with_keras(
                recipe, changed(step, clusters=step.params.clusters // 2), f"{step.params.clusters // 2} clusters",
                f"{nothing}. One bit less per weight in a packed file.",
            )  # fmt: skip
    format = recipe.tflite_step
    if format is not None and format.name in ("float16", "dynamic", "weight_only", "int16x8"):
        yield from with_format(
            recipe, TECHNIQUES["int8"].Params(), "int8", "Full integer",
            f"{nothing}. 8-bit weights and activations run on microcontrollers.",
        )  # fmt: skip
    backend = getattr(format.params, "backend", "litert") if format is not None else ""
    if format is not None and format.name in ROUNDING and format.params.bits == "8" and backend == "litert":
        yield from with_format(
            recipe, replace(format.params, bits="4"), format.name, "4-bit weights",
            f"{nothing}. Half the weight bytes; calibration rows compensate the rounding.",
        )  # fmt: skip
    if evidence.can_train and format is not None and "qat" not in names:
        for name, params, title, why in (
            (
                "prune",
                {"sparsity": 0.5},
                "Prune half first",
                "Half of the weights become zero, which reduces the gzipped size",
            ),
            (
                "cluster",
                {"clusters": 16},
                "16 clusters first",
                "Few shared values compress well: compare the gzipped and the Huffman-coded size",
            ),
        ):
            if name not in names:
                added = Step(name, TECHNIQUES[name].Params(**params))
                yield from with_keras(recipe, added, title, f"{nothing}. {why}.")


RULES: tuple[Rule, ...] = (
    keep_loops, sparse_storage, _first_steps, _integer_throughout, _lost_output, _worst_layer, _scales, _fast_kernels,
    _finer_weights, _training, _lost_structure, _less_structure, _ranges, _further, tables_and_codes,
)  # fmt: skip
"""In the order in which an engineer would try them."""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
