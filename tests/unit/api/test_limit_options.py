"""Limits of the Python interface: all that an experiment can have, in the units of the command line, and no other."""

from typing import get_type_hints

import pytest

from lwdash.api.limit_options import PREFIX, LimitOptions, stored_limits
from lwdash.errors import UserMistake
from lwdash.metrics.limits import LIMITS


def test_every_limit_is_a_keyword() -> None:
    assert set(get_type_hints(LimitOptions)) == {PREFIX + limit.option.name for limit in LIMITS.values()}


def test_limits_are_stored_in_their_units() -> None:
    assert stored_limits({"max_size": 20, "max_drop": 1, "max_npu": None}) == {
        "size_bytes": 20_000,
        "accuracy_drop": 0.01,
    }


def test_another_keyword_and_a_negative_value_are_refused() -> None:
    with pytest.raises(TypeError, match="'max_siez'"):
        stored_limits({"max_siez": 20})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(UserMistake, match="a number from 0 on"):
        stored_limits({"max_size": -1})
