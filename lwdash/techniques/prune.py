"""Pruning: weights become zero, at once without training, or step by step while the others are fine-tuned.

`method=obs` needs no labels and no training: layer by layer, it removes the weights that change the layer's outputs
least, and solves for the remaining ones (optimal brain surgeon; Optimal Brain Compression, arXiv 2208.11580, and
SparseGPT, arXiv 2301.00774). By default (`method=auto`), the result is then fine-tuned with fixed zeros.

`method=magnitude` removes the smallest weights step by step (schedule: Zhu & Gupta, arXiv 1710.01878). In a Keras 2 model
TFMOT does it, where it knows all layers. lwdash's own masks do it elsewhere, and for one threshold for all kernels, random
choice, patterns, depthwise kernels, rounds and rewinding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lwdash.contract import Training, Treated
from lwdash.errors import RecipeError
from lwdash.keras_models.ports import library_of
from lwdash.parameters import Choice, Flag, Integer, LayerNumbers, Names, Number, parameter, write_params
from lwdash.training import distillation, fine_tuning
from lwdash.training.kernels import DEPTHWISE_STAYS, Kernel, Kernels, beyond, choose, numbers_of_kernels
from lwdash.training.layerwise.layer_by_layer import why_not_solved
from lwdash.training.layerwise.sparsity_trials import SparsityTrials, Trial
from lwdash.training.model_copies import clone_live
from lwdash.training.pruning import tfmot_pruning
from lwdash.training.pruning.fixed_zeros import prune_at_once
from lwdash.training.pruning.gradual_pruning import prune_with_masks, prune_with_tfmot
from lwdash.training.pruning.pruned_training import PrunedTraining
from lwdash.training.pruning.pruning_masks import TWO_OF_FOUR, Masks, fits_two_of_four

NAME = "prune"
LABEL = "Pruning"
SUMMARY = "Sets the weights that matter least to zero, and fine-tunes the rest."
TRAP = "Zeros are stored like other weights. To make the .tflite smaller, add sparse as the last step; it is not faster."
STAGE = "keras"

AUTO, MAGNITUDE, OBS = "auto", "magnitude", "obs"
NO_LIMIT, MAX_DROP = 0.0, 1.0
STEPS = 1000
"""Default number of training steps: on three small networks, fewer steps at 80 % sparsity caused a visible loss."""
MAX_GENTLE_SPARSITY, GENTLE_STEPS = 0.5, 400
"""The same up to this sparsity, after optimal brain surgeon; three times as many gained 0.05 points."""
GENTLE_RATE, RATE, MAGNITUDE_RATE = 0.001, 0.003, 0.002
"""Learning rates up to `MAX_GENTLE_SPARSITY`, for more, and with `method=magnitude`."""
STRUCTURES = {
    "none": "anywhere",
    "2:4": "two of every four neighbours along the input channels, as sparse tensor cores need: sparsity is 0.5",
    "4x1": "blocks of 4 inputs × 1 output, as sparse kernels for CPUs require",
    "16x1": "blocks of 16 inputs × 1 output",
    "1x4": "blocks of 1 input × 4 outputs",
    "1x16": "blocks of 1 input × 16 outputs",
    "4x4": "blocks of 4 inputs × 4 outputs",
}
DONE_BY_TFMOT: Mapping[str, Any] = {
    "scope": "layer",
    "criterion": "magnitude",
    "structure": "none",
    "rounds": 1,
    "depthwise": False,
    "only": (),
}
"""TFMOT supports only these values. Its own 2:4 and blocks support only some kernel ranks. Where blocks do
not divide a kernel, it masks other positions than it prunes.
"""


SPARSITY = Number(
    "Sparsity",
    "Share of each kernel's weights that become zero. auto chooses one for each layer, by the change of the outputs that "
    "it causes on the train rows, see mean_sparsity and max_drop.",
    0.0,
    1.0,
    low_open=True,
    high_open=True,
    has_auto=True,
)


@dataclass(frozen=True)
class Params:
    sparsity: float | None = parameter(0.5, SPARSITY, always=True)
    method: str = parameter(
        AUTO,
        Choice(
            "Method",
            "Way to decide which weights become zero. obs alone takes seconds, needs no labels "
            "and does not train unless epochs are set. It is meant for up to about half of the weights.",
            {
                AUTO: "obs, then fine-tuning with fixed zeros; magnitude where scope, criterion, schedule, rounds or "
                "rewind are set",
                MAGNITUDE: "the smallest weights go step by step, and fine-tuning recovers the accuracy",
                OBS: "optimal brain surgeon: the weights go that change a layer's outputs least, and the others "
                "are solved for again",
            },
        ),
    )
    scope: str = parameter(
        "layer",
        Choice(
            "Scope",
            "The weights that the sparsity is a share of.",
            {
                "layer": "every kernel loses the same share",
                "global": "one threshold for all kernels: those with many small weights lose more",
            },
        ),
    )
    criterion: str = parameter(
        "magnitude",
        Choice(
            "Criterion",
            "Choice of the weights to remove.",
            {
                "magnitude": "the smallest",
                "random": "random weights, as a control: a better criterion has to beat it",
            },
        ),
    )
    schedule: str = parameter(
        "polynomial",
        Choice(
            "Schedule",
            "Development of the sparsity in each round.",
            {"polynomial": "rises step by step, then recovers", "constant": "at once, then recovers"},
        ),
    )
    structure: str = parameter("none", Choice("Pattern", "Allowed positions of zeros.", STRUCTURES))
    rounds: int = parameter(
        1,
        Integer(
            "Rounds",
            "Prune, fine-tune, prune again: each round removes the same share of the remaining weights, "
            "and each is fine-tuned for all the epochs.",
            1,
            50,
            "rounds",
        ),
    )
    rewind: str = parameter(
        "no",
        Choice(
            "Rewind",
            "Lottery tickets: the values that remaining weights return to before each round after the "
            "first. The values from before the network's own training are not in the file.",
            {
                "no": "they keep their trained values",
                "uploaded": "their values in the uploaded model",
                "early": "their values after one epoch of fine-tuning the uploaded model, before any was pruned",
            },
        ),
    )
    depthwise: bool = parameter(
        False,
        Flag(
            "Depthwise kernels too", "They have few weights per channel, so by default they stay as they are."
        ),
    )
    mean_sparsity: float = parameter(
        NO_LIMIT,
        Number(
            "Mean sparsity",
            "With sparsity=auto, the share of all treated weights that become zero. 0: as many as the maximum drop allows.",
            0.0,
            1.0,
            high_open=True,
        ),
    )
    max_drop: float = parameter(
        MAX_DROP,
        Number(
            "Maximum drop",
            "With auto and no mean: percentage points of train rows whose result may change before the fine-tuning, which "
            "then regains a part; for numbers, their error in percent of their standard deviation.",
            0.0,
            100.0,
            "points",
            step=0.1,
        ),
    )
    layers: tuple[tuple[str, float], ...] = parameter(
        (),
        LayerNumbers(
            "Sparsity of single layers",
            "Layer names or patterns, each with its sparsity; 0 leaves a layer alone. All other layers have the sparsity "
            "above.",
            replace(SPARSITY, low_open=False, has_auto=False),
        ),
    )
    epochs: int = fine_tuning.epochs(STEPS)
    learning_rate: float | None = fine_tuning.chosen_learning_rate(
        "auto is 0.001 for up to half of the weights and 0.003 for more, or 0.002 with method=magnitude."
    )
    batch_size: int = fine_tuning.batch_size()
    teacher: float | None = distillation.teacher()
    temperature: float = distillation.temperature()
    validate: bool = fine_tuning.validate()
    skip: tuple[str, ...] = parameter((), Names("Layers to skip", "Layers that are not pruned."))
    only: tuple[str, ...] = parameter(
        (), Names("Only these layers", "If given, all other layers are skipped.")
    )


FOR_MAGNITUDE = ("scope", "criterion", "schedule", "rounds", "rewind")
"""Parameters of `method=magnitude` alone. With `method=auto`, they choose it."""


def check(params: Params) -> None:
    """Raises RecipeError for parameters that exclude one another."""
    unused = _set_for_magnitude(params)
    _check_by_layer(params, unused)
    if params.method == OBS and params.teacher is not None:
        unused.append("teacher")
    if params.method == OBS and unused:
        raise RecipeError(
            f"prune: method=obs removes weights at once, layer by layer, and learns from the original only, but got "
            f"{unused[0]}={getattr(params, unused[0])}, which belongs to method=magnitude"
        )
    if params.structure == TWO_OF_FOUR and (params.sparsity, params.scope) != (0.5, "layer"):
        raise RecipeError(
            "prune: structure=2:4 removes half of every kernel, so it needs sparsity=0.5 and "
            f"scope=layer, but got sparsity={params.sparsity:g} and scope={params.scope}"
        )
    if params.rewind != "no" and (params.rounds < 2 or params.schedule != "constant"):
        raise RecipeError(
            f"prune: rewind={params.rewind} needs at least two rounds that prune at once, rounds=2 and "
            f"schedule=constant, but got rounds={params.rounds} and schedule={params.schedule}"
        )


def _check_by_layer(params: Params, for_magnitude: list[str]) -> None:
    limits = [
        name for name in ("mean_sparsity", "max_drop") if getattr(params, name) != getattr(Params, name)
    ]
    if params.sparsity is not None and limits:
        raise RecipeError(f"prune: {limits[0]} needs sparsity=auto, but got sparsity={params.sparsity:g}")
    if len(limits) > 1:
        raise RecipeError("prune: mean_sparsity and max_drop are two limits; write one of them")
    if params.sparsity is None and params.layers:
        raise RecipeError("prune: sparsity=auto chooses the number of every layer; write it without layers")
    if params.sparsity is not None and not params.layers:
        return
    what = "sparsity=auto" if params.sparsity is None else "layers"
    if params.structure == TWO_OF_FOUR:
        raise RecipeError(f"prune: structure=2:4 removes half of every kernel, so it excludes {what}")
    if params.method == MAGNITUDE or for_magnitude:
        other = "method" if params.method == MAGNITUDE else for_magnitude[0]
        raise RecipeError(
            f"prune: {what} needs method=auto or method=obs, but got {other}={getattr(params, other)}"
        )


def apply(model: Any, params: Params, training: Training) -> Treated:
    """A pruned copy of a model of either Keras; kernels reach their sparsity exactly (to a weight or a block).

    Kernels that are not pruned are listed as skipped with the reason.
    """
    fine_tuning.seed_everything(training.seed)
    if params.sparsity is None:
        params, chosen = _by_layer(model, params, training)
        treated = apply(model, params, training)
        return replace(treated, facts={**treated.facts, "by_layer": chosen})
    is_gentle = _mean_sparsity(model, params) <= MAX_GENTLE_SPARSITY
    is_magnitude = params.method == MAGNITUDE or (params.method == AUTO and bool(_set_for_magnitude(params)))
    if params.method == OBS:
        training = replace(training, teacher_share=1.0, temperature=params.temperature)
        return _at_once(model, params, training, _settings(params, params.epochs, is_gentle))
    training = distillation.taught(training, params)
    steps = GENTLE_STEPS if is_gentle and not is_magnitude else STEPS
    epochs = fine_tuning.epochs_for(params.epochs, steps, training, params.batch_size)
    settings = _settings(params, epochs, is_gentle, is_magnitude)
    return (_step_by_step if is_magnitude else _at_once)(model, params, training, settings)


def _settings(params: Params, epochs: int, is_gentle: bool, is_magnitude: bool = False) -> PrunedTraining:
    rate = params.learning_rate
    if rate is None:
        rate = MAGNITUDE_RATE if is_magnitude else GENTLE_RATE if is_gentle else RATE
    return PrunedTraining(epochs, rate, params.batch_size, params.validate)


def _set_for_magnitude(params: Params) -> list[str]:
    return [name for name in FOR_MAGNITUDE if getattr(params, name) != getattr(Params, name)]


def _step_by_step(model: Any, params: Params, training: Training, settings: PrunedTraining) -> Treated:
    assert params.sparsity is not None
    by_tfmot = (
        replace(params, method=MAGNITUDE) == replace(params, method=MAGNITUDE, **DONE_BY_TFMOT)
        and library_of(model).__name__ == "tf_keras"
        and not beyond(model, params.skip, tfmot_pruning.knows)
    )
    if by_tfmot:
        return prune_with_tfmot(
            model,
            training,
            settings,
            skip=params.skip,
            sparsity=params.sparsity,
            schedule=params.schedule,
        )
    pruned = clone_live(model)
    kernels = choose(pruned, params.skip, lambda kernel: _why_not(kernel, params), only=params.only)
    masks = Masks(
        kernels.chosen,
        scope=params.scope,
        criterion=params.criterion,
        structure=params.structure,
        seed=training.seed,
    )
    return prune_with_masks(
        pruned,
        kernels,
        masks,
        training,
        settings,
        sparsity=params.sparsity,
        schedule=params.schedule,
        rounds=params.rounds,
        rewind=params.rewind,
    )


def _at_once(model: Any, params: Params, training: Training, settings: PrunedTraining) -> Treated:
    pruned = clone_live(model)
    shares = _shares(pruned, params)
    return prune_at_once(
        pruned,
        _kernels_for_obs(pruned, params, shares),
        shares,
        training,
        settings,
        structure=params.structure,
        is_magnitude_too=params.method == AUTO,
    )


def _kernels_for_obs(model: Any, params: Params, shares: Mapping[str, float] | None = None) -> Kernels:
    """The kernels to prune; without `method=auto`, only those whose inputs are known. Raises RecipeError without any."""
    cannot = why_not_solved(model)
    return choose(
        model,
        params.skip,
        lambda kernel: (
            _why_not(kernel, params, shares) or (None if params.method == AUTO else cannot(kernel))
        ),
        only=params.only,
    )


def _shares(model: Any, params: Params) -> dict[str, float]:
    """Path of each kernel → the share of its weights to remove."""
    return numbers_of_kernels(model, params.sparsity, params.layers, "layers")


def _mean_sparsity(model: Any, params: Params) -> float:
    """Share of the treated weights that is to be removed."""
    assert params.sparsity is not None
    if not params.layers:
        return params.sparsity
    shares = _shares(model, params)
    kernels = choose(model, params.skip, lambda kernel: _why_not(kernel, params), only=params.only).chosen
    removed = sum(kernel.size * shares[path] for path, kernel in kernels.items())
    return removed / sum(kernel.size for kernel in kernels.values())


def _by_layer(model: Any, params: Params, training: Training) -> tuple[Params, dict[str, Any]]:
    """The parameters with a sparsity for each layer in the place of `sparsity=auto`, and what was tried."""
    trials = SparsityTrials(
        model,
        lambda trial: _kernels_for_obs(trial, params),
        training,
        structure=params.structure,
        is_magnitude_too=params.method == AUTO,
    )
    if params.mean_sparsity:
        chosen: Trial | None = trials.of_mean(params.mean_sparsity)
    else:
        chosen = trials.within_change(params.max_drop / 100)
    if chosen is None:
        raise RecipeError(
            f"prune: every choice that was tried changes the results of more than {params.max_drop / 100:.2%} of the train "
            f"rows, at least {trials.least_changed():.2%}. Set max_drop higher"
        )

    def as_params(attempt: Trial) -> Params:
        sparsity, layers = trials.as_numbers(attempt)
        return replace(params, sparsity=sparsity, layers=layers, mean_sparsity=NO_LIMIT, max_drop=MAX_DROP)

    return as_params(chosen), trials.facts(chosen, lambda one: f"{NAME}({write_params(as_params(one))})")


def _why_not(kernel: Kernel, params: Params, shares: Mapping[str, float] | None = None) -> str | None:
    if shares is not None and shares[kernel.path] == 0:
        return "the recipe gives it a sparsity of 0"
    if kernel.is_depthwise and not params.depthwise:
        return DEPTHWISE_STAYS
    if kernel.size == 1:
        return "it has only one weight"
    return fits_two_of_four(kernel) if params.structure == TWO_OF_FOUR else None
