"""A share that is not all is never shown as all of it."""

import pytest

from lwdash.percent_text import as_percent


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.997, 0, "99.7 %"),
        (0.5, 0, "50 %"),
        (1.0, 0, "100 %"),
        (0.0, 1, "0.0 %"),
        (0.002, 0, "0.2 %"),
        (0.99996, 1, "99.996 %"),
        (1 - 1e-9, 0, "> 99.9999 %"),
        (1e-9, 0, "< 0.0001 %"),
        (-0.25, 1, "-25.0 %"),
    ],
)
def test_percent_is_rounded_but_never_to_all_or_nothing(share: float, digits: int, text: str) -> None:
    assert as_percent(share, digits) == text
