"""The task of a model's last layer where there are labels for it, as its loss and its activation tell."""

from __future__ import annotations

from collections.abc import Sequence

CATEGORICAL = frozenset(
    {
        "categorical_crossentropy",
        "sparse_categorical_crossentropy",
        "categorical_focal_crossentropy",
        "categorical_generalized_cross_entropy",
        "categorical_hinge",
        "kl_divergence",
    }
)
BINARY = frozenset({"binary_crossentropy", "binary_focal_crossentropy", "hinge", "squared_hinge"})
REGRESSION = frozenset(
    {
        "mean_squared_error",
        "mean_absolute_error",
        "mean_absolute_percentage_error",
        "mean_squared_logarithmic_error",
        "huber",
        "log_cosh",
        "poisson",
        "cosine_similarity",
    }
)
UNDECIDED = "undecided"
"""A sigmoid or tanh trained on a regression loss: two label values are classes, others are numbers to predict."""


def labelled_task(loss: str | None, activation: str | None, shape: Sequence[int | None] | None) -> str | None:
    """The task that labels of an output of this shape (without the batch axis) have.

    "classification", "binary", "multi-label", "regression", `UNDECIDED`, or None where neither loss nor activation tells.
    Never "reconstruction", which has no labels: whether an output has its input's shape does not matter here.
    """
    if not shape:
        return None
    if loss in CATEGORICAL or activation in ("softmax", "log_softmax"):
        return "classification"
    yes_or_no = "binary" if shape[-1] == 1 else "multi-label"
    if loss in BINARY:
        return yes_or_no
    if loss in REGRESSION:
        return UNDECIDED if activation in ("sigmoid", "tanh", "hard_sigmoid") else "regression"
    return yes_or_no if activation == "sigmoid" else None


def known_cut(loss: str | None, task: str, classes: Sequence[str] | None) -> bool | None:
    """Whether yes/no outputs are cut at 0 (True) or at 0.5 (False) because of how they were trained; None where the outputs
    themselves must tell.

    A regression loss draws the outputs to the labels: 0 and 1, or -1 and 1. They are no logits though some lie beyond 0 … 1.
    """
    if task not in ("binary", "multi-label") or loss not in REGRESSION:
        return None
    return tuple(classes or ()) == ("-1", "1")
