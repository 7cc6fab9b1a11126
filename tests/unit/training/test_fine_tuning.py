"""What fine-tuning learns from: labels, the original model, or both by Hinton's loss."""

import dataclasses
import importlib
from typing import Any

import numpy as np
import pytest

from lwdash.contract import Training
from lwdash.errors import RecipeError
from lwdash.training.distillation import softened
from lwdash.training.fine_tuning import finetune, training_targets

pytestmark = pytest.mark.tensorflow

ROWS, CLASSES = 7, 4
CHANCE = np.random.default_rng(5)
TEACHER_LOGITS = CHANCE.normal(0, 3, (ROWS, CLASSES))
STUDENT_LOGITS = CHANCE.normal(0, 3, (ROWS, CLASSES))
LABELS = np.arange(ROWS) % CLASSES


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def hinton(temperature: float) -> float:
    p, q = softmax(TEACHER_LOGITS / temperature), softmax(STUDENT_LOGITS / temperature)
    return float(temperature**2 * np.mean(np.sum(p * (np.log(p) - np.log(q)), axis=-1)))


def cross_entropy() -> float:
    return float(-np.mean(np.log(softmax(STUDENT_LOGITS)[np.arange(ROWS), LABELS])))


def training(teacher: np.ndarray, labels: np.ndarray | None, task: str, **changed: Any) -> Training:
    rows = np.zeros((len(teacher), 2), "float32")
    return Training([rows], labels, [teacher], task, 0, lambda doing, share: None, **changed)


def loss_of(training: Training, output: np.ndarray) -> float:
    import tf_keras

    targets, losses, _ = training_targets(training, tf_keras)
    return float(losses[0](targets[0], output.astype("float32")))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_soft_loss_is_hintons_from_logits_and_from_probabilities(temperature: float) -> None:
    from_logits = softened("logits", temperature)(TEACHER_LOGITS, STUDENT_LOGITS)
    assert float(from_logits) == pytest.approx(hinton(temperature), rel=1e-4)
    from_softmax = softened("softmax", temperature)(softmax(TEACHER_LOGITS), softmax(STUDENT_LOGITS))
    assert float(from_softmax) == pytest.approx(hinton(temperature), rel=1e-3)


@pytest.mark.parametrize("are_logits", [True, False])
@pytest.mark.parametrize(("share", "temperature"), [(0.0, 1.0), (0.3, 4.0), (1.0, 2.0)])
def test_labels_and_teacher_are_weighed(share: float, temperature: float, are_logits: bool) -> None:
    shape = (lambda logits: logits) if are_logits else softmax
    both = training(shape(TEACHER_LOGITS).astype("float32"), LABELS, "classification",
                    teacher_share=share, temperature=temperature)  # fmt: skip
    expected = share * hinton(temperature) + (1 - share) * cross_entropy()
    assert loss_of(both, shape(STUDENT_LOGITS)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_yes_or_no_answer_is_softened_too(share: float) -> None:
    z_t, z_s, temperature = TEACHER_LOGITS[:, :1], STUDENT_LOGITS[:, :1], 3.0
    labels = (np.arange(ROWS) % 2).astype("int64")
    p, q = sigmoid(z_t / temperature), sigmoid(z_s / temperature)
    soft = temperature**2 * np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    answer = sigmoid(z_s)[:, 0]
    hard = -np.mean(labels * np.log(answer) + (1 - labels) * np.log(1 - answer))
    both = training(
        sigmoid(z_t).astype("float32"), labels, "binary", teacher_share=share, temperature=temperature
    )
    assert loss_of(both, sigmoid(z_s)) == pytest.approx(share * soft + (1 - share) * hard, rel=1e-3)


def test_numbers_are_compared_by_their_squared_difference() -> None:
    both = training(
        TEACHER_LOGITS.astype("float32"),
        STUDENT_LOGITS + 1,
        "regression",
        teacher_share=0.25,
        temperature=9.0,
    )
    expected = 0.25 * np.mean((TEACHER_LOGITS - STUDENT_LOGITS) ** 2) + 0.75
    assert loss_of(both, STUDENT_LOGITS) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("labels", "share", "said"),
    [
        (LABELS, 0.0, "labels"),
        (LABELS, 0.5, "labels and the original model's outputs"),
        (LABELS, 1.0, "the original model's outputs"),
        (None, 0.0, "the original model's outputs"),
    ],
)
def test_it_is_said_what_was_learnt_from(labels: np.ndarray | None, share: float, said: str) -> None:
    import tf_keras

    given = training(softmax(TEACHER_LOGITS), labels, "classification", teacher_share=share)
    assert training_targets(given, tf_keras)[2] == said


def test_without_labels_the_share_is_the_whole() -> None:
    alone = training(softmax(TEACHER_LOGITS), None, "classification", teacher_share=0.1, temperature=4.0)
    assert loss_of(alone, softmax(STUDENT_LOGITS)) == pytest.approx(hinton(4.0), rel=1e-3)


def test_a_share_between_needs_one_row_of_outputs_a_sample() -> None:
    import tf_keras

    frames = np.zeros((ROWS, 3, CLASSES), "float32") + 0.25
    with pytest.raises(RecipeError, match=r"teacher=0\.5 .*\(3, 4\)"):
        training_targets(training(frames, LABELS, "classification", teacher_share=0.5), tf_keras)


@pytest.mark.parametrize("library_name", ["tf_keras", "keras"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_model_of_either_keras_learns(library_name: str, share: float) -> None:
    """From a teacher that knows the rule, on labels that follow it."""
    import importlib

    library = importlib.import_module(library_name)
    library.utils.set_random_seed(0)
    rows = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    labels = (rows[:, 0] > 0).astype("int64")
    teacher = softmax(np.stack([-6 * rows[:, 0], 6 * rows[:, 0]], axis=1)).astype("float32")
    inputs = library.Input((2,))
    model = library.Model(inputs, library.layers.Dense(2, activation="softmax")(inputs))
    given = Training([rows], labels, [teacher], "classification", 0, lambda doing, done: None, share, 2.0)
    finetune(model, given, epochs=30, learning_rate=0.1, batch_size=16, what="test")
    assert np.mean(model.predict(rows, verbose=0).argmax(axis=1) == labels) > 0.95


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_a_training_tells_where_it_is_from_its_first_step_on(library: str) -> None:
    """An epoch of a large network takes minutes, in which the run would still say what it did before."""
    keras = importlib.import_module(library)
    told: list[tuple[str, float]] = []
    given = training(np.zeros((10, 1), "float32"), np.zeros(10, "float32"), "regression")
    given = dataclasses.replace(given, progress=lambda doing, share: told.append((doing, round(share, 3))))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    finetune(model, given, epochs=2, learning_rate=0.1, batch_size=5, what="pruning")
    assert told == [
        (f"pruning: epoch {epoch} of 2", share)
        for epoch, share in ((1, 0.0), (1, 0.25), (1, 0.5), (2, 0.5), (2, 0.75), (2, 1.0))
    ]
