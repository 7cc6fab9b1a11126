"""Fine-tuning a live model of either Keras on the train rows: on labels, on the original's outputs, or on both.

All techniques that train share this recipe. The learning rate rises in the first steps and then falls to zero, and
gradients are clipped. Where the model follows the original's outputs, it also learns from mixtures of rows.
Batch normalization keeps its statistics if rows are few, and dropout is off.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from lwdash.contract import Training
from lwdash.errors import InternalFault, RecipeError
from lwdash.keras_models.ports import library_of
from lwdash.parameters import Flag, Integer, Number, parameter
from lwdash.training import distillation, held_out, mixing
from lwdash.training.inference_mode import as_in_inference

MAX_EPOCHS, MAX_EPOCHS_ON_LABELS = 250, 100
EPOCHS = Integer(
    "Epochs",
    "Number of passes over the train rows; auto gives about {steps:,} training steps, at most "
    f"{MAX_EPOCHS} passes, or {MAX_EPOCHS_ON_LABELS} if it learns from labels.",
    0,
    1000,
    "epochs",
    has_auto=True,
)
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises."""
MAX_GRADIENT_NORM = 1.0
MAX_CURVE_POINTS = 100
LEARNING_RATE = Number(
    "Learning rate", "Adam's step size during fine-tuning.", 0.0, 1.0, step=0.0001, low_open=True
)
VALIDATE = Flag(
    "Hold out rows",
    "A tenth of the train rows, or a fifth if the model learns from labels, decides whether the fine-tuning is kept, and "
    "with labels also which epoch. With fewer than 80 rows, none are held out.",
)
BATCH_SIZE = Integer("Batch size", "Rows per training step.", 1, 4096, "rows")


def epochs(steps: int) -> Any:
    """The parameter `epochs`, by default `auto` (0): as many as give about `steps` training steps."""
    return parameter(0, replace(EPOCHS, help=EPOCHS.help.format(steps=steps)))


def learning_rate(default: float) -> Any:
    return parameter(default, LEARNING_RATE)


def chosen_learning_rate(meaning: str) -> Any:
    """The parameter `learning_rate` of a technique that chooses it by default, as `meaning` says."""
    return parameter(None, replace(LEARNING_RATE, help=f"{LEARNING_RATE.help} {meaning}", has_auto=True))


def batch_size() -> Any:
    return parameter(32, BATCH_SIZE)


def validate() -> Any:
    return parameter(True, VALIDATE)


def epochs_for(epochs: int, steps: int, training: Training, batch: int) -> int:
    """`epochs`, or for 0 as many as give about `steps` training steps."""
    most = MAX_EPOCHS if training.follows_original else MAX_EPOCHS_ON_LABELS
    return epochs or min(most, max(1, round(steps / _steps_an_epoch(training.rows, batch))))


def steps_in_all(rows: int, batch: int, epochs: int) -> int:
    """Number of training steps of `epochs`, for deriving a schedule."""
    return _steps_an_epoch(rows, batch) * epochs


def _steps_an_epoch(rows: int, batch: int) -> int:
    return -(-rows // min(batch, rows))


def seed_everything(seed: int) -> None:
    """The same seed gives the same weights to the bit (one process, CPU)."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def finetune(
    model: Any,
    training: Training,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    what: str,
    callbacks: Sequence[Any] = (),
    validation: held_out.Validation | None = None,
    moves_activations: bool = False,
    pruned_kernels: Callable[[], Sequence[np.ndarray]] | None = None,
) -> dict[str, Any]:
    """Train `model` in place; return the source of its targets and the last loss.

    validation: if there are enough rows, a part of them is held out, and the weights that are best there are
    kept, or those without fine-tuning. None trains on all rows and keeps the last weights.
    moves_activations: the weights change so much that batch normalization needs new statistics, of any number of rows.
    pruned_kernels: returns the present values of the kernels whose sparsity belongs into the training curve.
    Raises InternalFault when the loss is not finite.
    """
    library = library_of(model)
    targets, losses, source = training_targets(training, library)
    learnt, kept_back = held_out.parts(training) if validation else (np.arange(training.rows), None)
    steps = _steps_an_epoch(len(learnt), batch_size)
    rate = _rising_and_falling(library, learning_rate, steps * epochs)
    optimizer = library.optimizers.Adam(rate, global_clipnorm=MAX_GRADIENT_NORM)
    callbacks = [*callbacks, _progress_report(library, training, what, epochs, steps)]
    sparsities: list[float] = []
    best = None
    if pruned_kernels is not None:
        callbacks.append(_sparsity_record(library, pruned_kernels, sparsities))
    if validation and kept_back is not None:
        watching, best = held_out.watch(
            library,
            validation,
            [values[kept_back] for values in training.inputs],
            [values[kept_back] for values in targets],
            losses,
            epochs,
            held_out.interval_for(training, epochs),
        )
        callbacks.append(watching)
    inputs = [values[learnt] for values in training.inputs]
    targets = [values[learnt] for values in targets]
    mixed = 0
    if training.follows_original and mixing.can_mix(training):
        inputs, targets = _with_mixtures(training, inputs, targets, steps * epochs * batch_size)
        mixed = len(inputs[0]) - len(learnt)
    with ExitStack() as stack:
        if is_gentle(training) and not moves_activations:
            stack.enter_context(as_in_inference(model))
        model.compile(optimizer=optimizer, loss=losses)
        history = model.fit(
            _batches(inputs, targets, min(batch_size, len(learnt)), training.seed),
            steps_per_epoch=steps,
            epochs=epochs,
            verbose=0,
            callbacks=callbacks,
        )
    if library.__name__ == "keras":
        model.compiled = (
            False  # a copy or a stored model would contain the losses, which cannot be read again
        )
    loss = float(history.history["loss"][-1])
    if not np.isfinite(loss):
        raise InternalFault(
            f"fine-tuning diverged: the loss became {loss}; try a smaller learning_rate than {learning_rate:g}"
        )
    facts = {"learnt_from": source, "rows": len(learnt), "epochs": epochs, "loss": loss}
    if mixed:
        facts["mixed_rows"] = mixed
    facts["training_curve"] = training_curve(
        history.history["loss"], best.compared if best else (), sparsities
    )
    if best is None:
        return facts
    model.set_weights(best.weights)
    return {**facts, **best.facts(epochs)}


def training_curve(
    losses: Sequence[float],
    held_out_losses: Sequence[tuple[int, float]],
    sparsities: Sequence[float] = (),
) -> dict[str, Any]:
    """{"loss", "held_out", "sparsity"}: (epoch, value) for the rows learnt from, held-out rows and the kernels, as JSON.

    losses: of each epoch; at most MAX_CURVE_POINTS of them are kept, the first and the last always.
    held_out_losses: (epoch, loss), where epoch 0 is without fine-tuning.
    sparsities: 0-1, before the first epoch and after each; "sparsity" is left out where there are none.
    """
    kept = _spread(len(losses), MAX_CURVE_POINTS)
    curve = {
        "loss": [[int(i) + 1, float(f"{losses[i]:.5g}")] for i in kept],
        "held_out": [[epoch, float(f"{loss:.5g}")] for epoch, loss in held_out_losses],
    }
    if sparsities:
        epochs = [0, *(int(i) + 1 for i in kept)]
        curve["sparsity"] = [[epoch, float(f"{sparsities[epoch]:.4g}")] for epoch in epochs]
    return curve


def curve_of_rounds(curves: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The curve of the last of several fine-tunings of one model, with those before it as `earlier_rounds`.

    All together have about MAX_CURVE_POINTS points of each kind, and at least the ends of each round.
    """
    room = max(2, MAX_CURVE_POINTS // len(curves))
    thin = [
        {key: [curve[key][i] for i in _spread(len(curve[key]), room)] for key in curve} for curve in curves
    ]
    return {**thin[-1], **({"earlier_rounds": thin[:-1]} if len(thin) > 1 else {})}


def _spread(count: int, wanted: int) -> np.ndarray:
    """At most `wanted` indices below `count`, evenly spread, with both ends."""
    return np.unique(np.linspace(0, count - 1, wanted).round().astype(int)) if count else np.arange(0)


def _sparsity_record(library: Any, kernels: Callable[[], Sequence[np.ndarray]], shares: list[float]) -> Any:
    """A callback that adds to `shares` the share of zeros (0-1) in all kernels together, before the first epoch and after
    each. It belongs after the callbacks that set weights to zero.
    """

    def measure() -> None:
        values = kernels()
        zeros, weights = sum(int((v == 0).sum()) for v in values), sum(v.size for v in values)
        shares.append(zeros / max(1, weights))

    class SparsityRecord(library.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_begin(self, logs: Any = None) -> None:
            measure()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            measure()

    return SparsityRecord()


def is_gentle(training: Training) -> bool:
    """True if a fine-tuning keeps the statistics of batch normalization: too few rows for others, or no labels."""
    return training.follows_original or training.rows < distillation.MANY_ROWS


def _with_mixtures(
    training: Training, inputs: list[np.ndarray], targets: list[np.ndarray], wanted: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Rows and mixtures of them, about as many as the training draws, with the original's outputs."""
    assert training.outputs_of is not None
    training.progress("computing the outputs of the original model", 0.0)
    mixed = mixing.mixtures(inputs, wanted, training.seed)
    outputs = training.outputs_of(mixed)
    return (
        [np.concatenate(pair) for pair in zip(inputs, mixed, strict=True)],
        [np.concatenate(pair) for pair in zip(targets, outputs, strict=True)],
    )


def _batches(inputs: list[np.ndarray], targets: list[np.ndarray], size: int, seed: int) -> Any:
    """Batches without end, in another random order in each pass; every batch is full."""
    import tensorflow as tf

    pair = tuple(tuple(values) if len(values) > 1 else values[0] for values in (inputs, targets))
    tensors = tf.nest.map_structure(tf.convert_to_tensor, pair)
    count = len(inputs[0])
    order = tf.data.Dataset.range(count).shuffle(count, seed=seed).repeat().batch(size, drop_remainder=True)
    chosen = order.map(lambda rows: tf.nest.map_structure(lambda values: tf.gather(values, rows), tensors))
    return chosen.prefetch(2)


def _rising_and_falling(library: Any, peak: float, steps: int) -> Any:
    """The learning rate rises in the first tenth of the steps, and falls to zero along a cosine."""
    rising = max(1, round(WARM_UP * steps))
    return library.optimizers.schedules.CosineDecay(
        peak / rising, max(1, steps - rising), warmup_target=peak, warmup_steps=rising
    )


def training_targets(training: Training, library: Any) -> tuple[list[np.ndarray], list[Any], str]:
    """Target of each output, its loss, and their source: labels, the teacher, or both."""
    if training.labels is None or len(training.teacher) > 1:
        kinds = [
            _kind(teacher_outputs, training.task, len(training.teacher))
            for teacher_outputs in training.teacher
        ]
        losses = [distillation.softened(kind, training.temperature) for kind in kinds]
        return list(training.teacher), losses, "the original model's outputs"
    teacher_outputs, labels = training.teacher[0], training.labels
    kind, share = _kind(teacher_outputs, training.task, 1), training.teacher_share
    hard: Any = library.losses.MeanSquaredError()
    source = "targets"
    if training.task == "classification":
        hard = library.losses.SparseCategoricalCrossentropy(from_logits=kind != "softmax")
        source = "labels"
    elif training.task in ("binary", "multi-label"):
        hard = library.losses.BinaryCrossentropy(from_logits=kind not in ("sigmoid", "softmax"))
        source = "labels"
    if training.task != "classification":
        labels = labels.reshape(teacher_outputs.shape).astype("float32")
    if not share:
        return [labels], [hard], source
    soft = distillation.softened(kind, training.temperature)
    if share == 1:
        return [teacher_outputs], [soft], "the original model's outputs"
    if teacher_outputs.ndim != 2:
        raise RecipeError(
            f"teacher={share:g} needs one row of outputs per sample, but the model's outputs have shape "
            f"{teacher_outputs.shape[1:]}. Write teacher=0 for labels only or teacher=1 for the original model "
            "only"
        )
    target, loss = distillation.both(share, soft, hard, teacher_outputs, labels)
    return [target], [loss], f"{source} and the original model's outputs"


def _kind(teacher_outputs: np.ndarray, task: str, outputs: int) -> str:
    """Meaning of an output's numbers, as `distillation.softened` needs it."""
    if is_distribution(teacher_outputs):
        return "softmax"
    if outputs == 1 and task in ("binary", "multi-label"):
        return "sigmoid" if _is_probability(teacher_outputs) else "binary logits"
    return (
        "logits" if outputs == 1 and task == "classification" and teacher_outputs.shape[-1] > 1 else "values"
    )


def is_distribution(outputs: np.ndarray) -> bool:
    """True if the last axis holds probabilities that sum to 1, as after a softmax."""
    return (
        outputs.shape[-1] > 1
        and _is_probability(outputs)
        and bool(np.allclose(outputs.sum(axis=-1), 1.0, atol=1e-3))
    )


def _is_probability(outputs: np.ndarray) -> bool:
    return bool(outputs.min(initial=0) >= 0 and outputs.max(initial=0) <= 1.0 + 1e-6)


def _progress_report(library: Any, training: Training, what: str, epochs: int, steps: int) -> Any:
    """A callback that reports the progress from the first step on: an epoch of a large network takes minutes.

    steps: per epoch.
    """

    class ProgressReport(library.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch
            self.report(0)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.report(batch + 1)

        def report(self, done: int) -> None:
            training.progress(
                f"{what}: epoch {self.epoch + 1} of {epochs}", (self.epoch + done / steps) / epochs
            )

    return ProgressReport()
