"""Labels of verdicts in tables: a result that is not significant states the largest possible loss."""

import pytest

from lwdash.metrics.verdict_labels import verdict_label


@pytest.mark.parametrize(
    ("verdict", "interval", "is_share", "label"),
    [
        ("worse", [-0.08, -0.02], True, "worse"),
        (None, None, True, None),
        ("cannot tell", None, True, "not significant"),
        ("cannot tell", [-0.037, 0.012], True, "no loss found (at most −3.7 points)"),
        ("cannot tell", [0.0, 0.012], True, "no loss found"),
        ("cannot tell", [-0.1, 0.25], False, "no loss found (error at most +0.25)"),
        ("cannot tell", [-0.1, 0.0], False, "no loss found"),
    ],
)
def test_a_label_states_the_verdict_or_the_largest_possible_loss(
    verdict: str | None, interval: list[float] | None, is_share: bool, label: str | None
) -> None:
    assert verdict_label(verdict, interval, is_share=is_share) == label
