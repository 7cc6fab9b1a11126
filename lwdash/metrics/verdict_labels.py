"""Short labels of verdicts, for tables and charts."""

from collections.abc import Sequence

NOT_SIGNIFICANT = "not significant"


def verdict_label(
    verdict: str | None, interval: Sequence[float] | None = None, *, is_share: bool = True
) -> str | None:
    """The verdict in a few words. A difference that is not significant is shown as the largest possible loss.

    interval: 95 % interval of the difference to the baseline. is_share: True for accuracies (more is better),
    False for errors (less is better).
    """
    if verdict != "cannot tell":
        return verdict
    if interval is None:
        return NOT_SIGNIFICANT
    low, high = interval
    if is_share:
        return "no loss found" + (f" (at most −{-100 * low:.1f} points)" if low < 0 else "")
    return "no loss found" + (f" (error at most +{high:.3g})" if high > 0 else "")
