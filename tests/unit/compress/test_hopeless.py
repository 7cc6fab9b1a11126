"""When a training step has lost too much: the loss is that of the final metrics, and small losses may be recovered."""

import numpy as np
import pytest

from lwdash.compress.hopeless import accuracy_drop, is_hopeless

ONE_HOT = np.eye(3, dtype=np.float32)


def test_the_loss_is_of_accuracy_with_labels_and_of_agreement_without() -> None:
    reference, outputs = ONE_HOT[[0, 1, 2, 1]], ONE_HOT[[0, 1, 0, 0]]
    labels = np.array([0, 1, 1, 1])
    assert accuracy_drop("classification", reference, outputs, labels, is_logit=None) == 0.25
    assert accuracy_drop("classification", reference, outputs, None, is_logit=None) == 0.5
    assert accuracy_drop("regression", reference, outputs, labels, is_logit=None) is None
    logits, worse = np.array([[0.2], [-3.0]], np.float32), np.array([[-0.2], [-3.0]], np.float32)
    assert accuracy_drop("binary", logits, worse, np.array([1, 0]), is_logit=None) == 0.5
    assert accuracy_drop("binary", logits, worse, np.array([1, 0]), is_logit=False) == 0.0


@pytest.mark.parametrize(
    ("drop", "limit", "rows", "expected"),
    [
        (0.039, 0.01, 1000, False),
        (0.041, 0.01, 1000, True),
        (0.041, 0.01, 100, False),
        (0.06, 0.01, 100, True),
        (0.15, 0.1, 1000, False),
        (0.17, 0.1, 1000, True),
        (-0.02, 0.01, 1000, False),
    ],
)
def test_more_than_later_steps_recover_is_hopeless(
    drop: float, limit: float, rows: int, expected: bool
) -> None:
    assert is_hopeless(drop, limit, rows) == expected
