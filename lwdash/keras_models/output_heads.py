"""The task of a model's last layer for labelled data, from its loss and its activation."""

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
    """The task of labels for an output of this shape (without the batch axis).

    "classification", "binary", "multi-label", "regression", `UNDECIDED`, or None where neither loss nor
    activation determines it.
    Never "reconstruction", which has no labels: it does not matter here whether an output has its input's
    shape.
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
    """True if the training implies a threshold of 0 for yes/no outputs, False for 0.5; None to detect it from
    the outputs.

    A regression loss pulls the outputs to the labels: 0 and 1, or -1 and 1. They are not logits, though some
    lie outside 0 … 1.
    """
    if task not in ("binary", "multi-label") or loss not in REGRESSION:
        return None
    return tuple(classes or ()) == ("-1", "1")
