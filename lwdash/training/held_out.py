"""Fine-tuning that cannot make a model worse: held-out rows decide which weights are kept, or that none are.

Few rows are learnt by heart: the training loss falls while other rows get worse. So a part of the train rows is held
out. The weights without any fine-tuning are compared on it with the last ones, or, after a training on labels, with those of
several epochs; the best are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lwdash.contract import Training

MIN_ROWS = 80
"""With fewer train rows none are held out: 15 rows would decide by chance."""
SHARE, SHARE_FOLLOWING = 0.2, 0.1
"""Share of the rows that is held out. The original's outputs tell more about a row than its label, so fewer suffice."""
MIN_HELD_OUT, MAX_HELD_OUT = 16, 512
MAX_EVALUATIONS = 20
"""Maximum number of epochs whose weights are compared, spread over the training on labels. One that follows the original
does not learn its rows by heart, so its last weights are compared alone: choosing among many on few rows is chance."""
BATCH = 64

Weights = Sequence[np.ndarray]


@dataclass(frozen=True)
class Validation:
    """Settings of a technique for the validation of its fine-tuning.

    untrained: returns the weights that the technique would end with if it did not fine-tune; None: those of the model
    when training begins. It must leave the model as it is.
    first_step: the structure (such as the sparsity) is final from this step on; earlier epochs are never kept.
    """

    untrained: Callable[[], Weights] | None = None
    first_step: int = 0


def learnt_rows(training: Training) -> int:
    """Number of rows that a validated fine-tuning learns from."""
    return len(parts(training)[0])


def parts(training: Training) -> tuple[np.ndarray, np.ndarray | None]:
    """Indices of the rows to learn from, and of random ones that are held out; None if there are too few rows."""
    order = np.random.default_rng(training.seed).permutation(training.rows)
    if training.rows < MIN_ROWS:
        return np.arange(training.rows), None
    share = SHARE_FOLLOWING if training.follows_original else SHARE
    count = int(np.clip(share * training.rows, MIN_HELD_OUT, MAX_HELD_OUT))
    return np.sort(order[count:]), np.sort(order[:count])


def interval_for(training: Training, epochs: int) -> int:
    """Number of epochs from one comparison on held-out rows to the next."""
    return epochs if training.follows_original else max(1, epochs // MAX_EVALUATIONS)


@dataclass
class Best:
    """The weights with the lowest loss on held-out rows; epoch 0 is without fine-tuning."""

    rows: int
    untrained_loss: float = np.inf
    loss: float = np.inf
    epoch: int = 0
    weights: Weights = ()
    compared: list[tuple[int, float]] = field(default_factory=list)
    """(epoch, loss) of all compared weights."""

    def facts(self, epochs: int) -> dict[str, Any]:
        kept = (
            f"kept epoch {self.epoch} of {epochs}: on {self.rows} held-out rows better than no fine-tuning"
            if self.epoch
            else f"not kept: on {self.rows} held-out rows no better than no fine-tuning"
        )
        return {
            "fine_tuning": kept,
            "kept_epoch": self.epoch,
            "held_out_rows": self.rows,
            "held_out_loss": self.loss,
            "held_out_loss_without_fine_tuning": self.untrained_loss,
        }


def watch(
    library: Any,
    validation: Validation,
    inputs: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    losses: Sequence[Any],
    epochs: int,
    interval: int,
) -> tuple[Any, Best]:
    """A callback of `library` that compares the weights on held-out rows, and the best that it has found.

    It belongs after the callbacks that keep a structure. inputs, targets: one array per model input and output.
    interval: the number of epochs from one comparison to the next; the last epoch is always compared.
    """
    best = Best(len(inputs[0]))

    class Watching(library.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_train_begin(self, logs: Any = None) -> None:
            self.step = 0
            before = self.model.get_weights()
            best.weights = before if validation.untrained is None else validation.untrained()
            self.model.set_weights(best.weights)
            best.loss = best.untrained_loss = self.held_out_loss()
            best.compared.append((0, best.loss))
            self.model.set_weights(before)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.step += 1

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            is_compared = (epochs - epoch - 1) % interval == 0
            if not is_compared or self.step < validation.first_step:
                return
            loss = self.held_out_loss()
            best.compared.append((epoch + 1, loss))
            if loss < best.loss:
                best.loss, best.epoch, best.weights = loss, epoch + 1, self.model.get_weights()

        def held_out_loss(self) -> float:
            total = 0.0
            for start in range(0, best.rows, BATCH):
                part = slice(start, start + BATCH)
                given = [values[part] for values in inputs]
                outputs = self.model.predict_on_batch(given if len(given) > 1 else given[0])
                outputs = outputs if isinstance(outputs, list) else [outputs]
                pairs = zip(losses, targets, outputs, strict=True)
                total += len(given[0]) * sum(float(f(target[part], output)) for f, target, output in pairs)
            return total / best.rows

    return Watching(), best
