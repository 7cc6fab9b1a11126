"""Moves rows by gradient steps until the inputs of batch normalizations have the mean and variance stored with them.

The idea is that of ZeroQ (Cai et al., arXiv 2001.00281) and of the data generation of Sony's Model Compression Toolkit:
the stored statistics are those of the training rows, so rows that give the same ones are a stand-in for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lwdash.generated_rows.input_plans import InputPlan
from lwdash.keras_models.ports import leaf_layers

STEPS = 60
FIRST_STEPS = 240
"""For the first batch, where the scale of an input is unknown."""
LEARNING_RATE = 0.05
MAX_BATCH, MIN_BATCH = 64, 8
MAX_BATCH_VALUES = 24_000_000
"""Values of normalized tensors in a batch, which bound the memory of a step."""
MAX_WORK = 5_000_000_000
"""Values of normalized tensors in all steps together, about one to two minutes; the rows behind that stay as they start."""
MIN_STEPS = 10
NORMALIZATIONS = frozenset({"BatchNormalization", "SyncBatchNormalization"})


def normalizations(model: Any) -> list[Any]:
    """The batch normalizations of a live model that have statistics, those in nested models included."""
    return [
        layer
        for _, layer in leaf_layers(model)
        if type(layer).__name__ in NORMALIZATIONS and getattr(layer, "moving_mean", None) is not None
    ]


def match_statistics(
    model: Any, plans: Sequence[InputPlan], starts: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], float, float]:
    """The rows as the model takes them, and the distance of their statistics from the stored ones before and after.

    starts: for each input (rows, *shape): deviations from the mean, see `start_values`, or ids. A distance of 0 is a
    perfect match; 1 is a mean that is off by one deviation in every channel. Of a large network only the first rows are
    moved, see MAX_WORK; the distances are theirs.
    """
    layers = normalizations(model)
    rows = len(starts[0])
    a_row = _values_of_a_row(
        model, layers, [_values(plan, start[:2]) for plan, start in zip(plans, starts, strict=True)]
    )
    size = int(np.clip(MAX_BATCH_VALUES // a_row, MIN_BATCH, MAX_BATCH))
    affordable = MAX_WORK // (a_row * size)
    steps, first_steps = (int(np.clip(affordable, MIN_STEPS, most)) for most in (STEPS, FIRST_STEPS))
    moved = size * max(1, affordable // steps)
    is_open = any(plan.reach is None and plan.vocabulary is None for plan in plans)
    matcher = _Matcher(model, layers, plans)
    batches, before, after = [], [], []
    for begin in range(0, rows, size):
        own = [start[begin : begin + size] for start in starts]
        short = size - len(own[0])
        own = [np.concatenate([one, full[:short]]) for one, full in zip(own, starts, strict=True)]
        count = 0 if begin >= moved else first_steps if is_open and not begin else steps
        found, distances = matcher.run(own, count)
        batches.append([one[: size - short] for one in found])
        before += distances[:1]
        after += distances[-1:]
    arrays = [np.concatenate(parts) for parts in zip(*batches, strict=True)]
    return arrays, float(np.mean(before)), float(np.mean(after))


def plain_values(plans: Sequence[InputPlan], starts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The rows without any steps, for models without batch normalizations."""
    return [_values(plan, start) for plan, start in zip(plans, starts, strict=True)]


def _values(plan: InputPlan, start: np.ndarray) -> np.ndarray:
    if plan.vocabulary is not None:
        return start
    z = start if plan.reach is None else np.clip(start, -plan.reach, plan.reach)
    return z * np.asarray(plan.deviation, np.float32) + np.asarray(plan.mean, np.float32)


def _values_of_a_row(model: Any, layers: Sequence[Any], two_rows: Sequence[np.ndarray]) -> int:
    with _captured(layers) as seen:
        _call(model, two_rows)
    return max(1, sum(int(np.prod(inputs.shape[1:])) for _, inputs in seen))


def _call(model: Any, inputs: Sequence[Any]) -> Any:
    return model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)


@contextlib.contextmanager
def _captured(layers: Sequence[Any]) -> Iterator[list[tuple[Any, Any]]]:
    """Collects (layer, its inputs) of every call of these layers."""
    seen: list[tuple[Any, Any]] = []

    def watched(layer: Any, call: Any) -> Any:
        def watching(inputs: Any, *args: Any, **options: Any) -> Any:
            seen.append((layer, inputs))
            return call(inputs, *args, **options)

        return watching

    for layer in layers:
        layer.call = watched(layer, layer.call)
    try:
        yield seen
    finally:
        for layer in layers:
            del layer.call


class _Matcher:
    """The gradient steps for batches of one size. Scales that are unknown are kept from batch to batch."""

    def __init__(self, model: Any, layers: Sequence[Any], plans: Sequence[InputPlan]):
        import tensorflow as tf

        self.model, self.layers, self.plans = model, layers, plans
        self.scales = [
            tuple(tf.Variable(np.zeros(plan.shape[-1:], np.float32)) for _ in range(2)) for plan in plans
        ]
        self.rows: list[Any] = []
        self.step: Any = None

    def run(self, starts: Sequence[np.ndarray], steps: int) -> tuple[list[np.ndarray], list[float]]:
        """The values of a batch after the steps, and the distance before each of them."""
        import tensorflow as tf

        if not self.rows:
            self.rows = [tf.Variable(start) for start in starts]
            self.step = tf.function(self._step)
        for variable, start in zip(self.rows, starts, strict=True):
            variable.assign(start)
        trained = self._trained()
        moments = [(tf.zeros_like(v), tf.zeros_like(v)) for v in trained]
        distances = []
        for count in range(1, steps + 1):
            distance, moments = self.step(moments, tf.constant(float(count)))
            distances.append(float(distance))
        return [np.asarray(value) for value in self._inputs()], distances

    def _trained(self) -> list[Any]:
        """Rows of values, and the scales that are unknown; not ids."""
        found = []
        for plan, rows, scale in zip(self.plans, self.rows, self.scales, strict=True):
            if plan.vocabulary is None:
                found += [rows] if plan.reach is not None else [rows, *scale]
        return found

    def _inputs(self) -> list[Any]:
        import tensorflow as tf

        found = []
        for plan, rows, (log_scale, shift) in zip(self.plans, self.rows, self.scales, strict=True):
            if plan.vocabulary is not None:
                found.append(rows)
            elif plan.reach is None:
                found.append(rows * tf.exp(log_scale) + shift)
            else:
                mean, deviation = np.asarray(plan.mean, np.float32), np.asarray(plan.deviation, np.float32)
                found.append(tf.clip_by_value(rows, -plan.reach, plan.reach) * deviation + mean)
        return found

    def _distance(self) -> Any:
        import tensorflow as tf

        with _captured(self.layers) as seen:
            _call(self.model, self._inputs())
        total = 0.0
        for layer, inputs in seen:
            inputs = tf.cast(inputs, tf.float32)
            axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
            others = [a for a in range(len(inputs.shape)) if a != axis % len(inputs.shape)]
            mean, variance = tf.nn.moments(inputs, others)
            wanted = tf.cast(tf.convert_to_tensor(layer.moving_mean), tf.float32)
            deviation = tf.sqrt(
                tf.cast(tf.convert_to_tensor(layer.moving_variance), tf.float32) + layer.epsilon
            )
            off = (mean - wanted) / deviation, tf.sqrt(variance + 1e-6) / deviation - 1
            total += tf.reduce_mean(off[0] ** 2 + off[1] ** 2)
        return total / max(1, len(seen))

    def _step(self, moments: Any, count: Any) -> Any:
        """One step of Adam (Kingma and Ba, arXiv 1412.6980); rows stay within their range."""
        import tensorflow as tf

        trained = self._trained()
        with tf.GradientTape() as tape:
            distance = self._distance()
        new = []
        for variable, gradient, (first, second) in zip(
            trained, tape.gradient(distance, trained), moments, strict=True
        ):
            gradient = tf.zeros_like(variable) if gradient is None else gradient
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            towards = first / (1 - 0.9**count) / (tf.sqrt(second / (1 - 0.999**count)) + 1e-12)
            variable.assign_sub(LEARNING_RATE * towards)
            new.append((first, second))
        for plan, rows in zip(self.plans, self.rows, strict=True):
            if plan.vocabulary is None and plan.reach is not None:
                rows.assign(tf.clip_by_value(rows, -plan.reach, plan.reach))
        return distance, new
