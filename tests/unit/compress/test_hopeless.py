"""When a training step has lost too much: the loss is that of the final metrics, and small losses may be recovered."""

import numpy as np
import pytest
from support.search_replay import EVALUATION_ROWS, WIDE_TABLE, load_worlds

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


@pytest.mark.parametrize("limit", [0.005, 0.01, 0.02, 0.05])
def test_no_recorded_run_within_its_limit_would_have_been_stopped(limit: float) -> None:
    """The float16 file of the first steps of a recipe shows what these have lost; a third of the others is stopped."""
    within, stopped, others = 0, 0, 0
    for world in load_worlds().values():
        baseline = world.baseline["accuracy"]
        for text, metrics in world.metrics.items():
            names = text.split(" + ")[:-1]
            earlier = [" + ".join([*names[:count], "float16"]) for count in range(1, len(names) + 1)]
            drops = [
                baseline - world.metrics[each]["accuracy"] for each in earlier if world.metrics.get(each)
            ]
            is_stopped = any(is_hopeless(drop, limit, EVALUATION_ROWS) for drop in drops)
            if metrics and baseline - metrics["accuracy"] <= limit:
                within += 1
                assert not is_stopped, text
            else:
                others, stopped = others + 1, stopped + is_stopped
    assert within > 200
    assert stopped > others / 3


@pytest.mark.parametrize("limit", [0.005, 0.01, 0.02, 0.05])
def test_no_recorded_run_of_the_whole_space_is_stopped_within_its_limit(limit: float) -> None:
    """The margins were settled before this table was recorded; it has the accuracy after each training step."""
    stopped = 0
    for world in load_worlds(WIDE_TABLE).values():
        assert len(world.stages) > 200
        hopeless = [recipe for recipe in world.recipes if world.stopped_after(recipe, limit)]
        assert not set(hopeless) & set(world.costs("gzip_bytes", limit))
        stopped += len(hopeless)
    assert stopped > 10
