"""Groups of runs: their names, order and ranges."""

import pandas as pd

from lwdash.metrics.run_groups import MAX_GROUPS, by_numbers, by_words


def test_words_are_groups_the_most_frequent_first() -> None:
    words = pd.Series(["b", "a", "b", None], index=[1, 2, 3, 4])
    groups = by_words("tags", "Tags", words, "no tag")
    assert groups.names == ("b", "a", "no tag")
    assert groups.has_others
    runs = pd.DataFrame({"id": [4, 1]}, index=[70, 80])
    assert list(groups.names_of(runs)) == ["no tag", "b"]
    assert by_words("tags", "Tags", words.dropna(), "no tag").names == ("b", "a")


def test_numbers_are_groups_in_order_and_automatic_values_follow_them() -> None:
    numbers, texts = pd.Series([8.0, 4.0, None, None]), pd.Series(["8", "4", "auto", None])
    groups = by_numbers("recipe:lowbit.bits", "Bits", numbers, texts, "not used", lambda value: f"{value:g}")
    assert groups.names == ("4", "8", "auto", "not used")
    assert list(groups.places) == [1, 0, 2, 3]
    assert groups.is_ordered


def test_many_numbers_are_ranges_without_overlap() -> None:
    numbers = pd.Series([i / 100 for i in range(40)] + [0.0] * 3)
    groups = by_numbers("k", "K", numbers, numbers.astype(str), "none", lambda value: f"{value:g}")
    assert 3 < len(groups.names) <= MAX_GROUPS
    assert groups.names[0].startswith("0 to ")
    assert groups.names[-1].endswith(" to 0.39")
    assert not groups.has_others
    spans = numbers.groupby(groups.places).agg(["min", "max"])
    assert (spans["min"].iloc[1:].to_numpy() > spans["max"].iloc[:-1].to_numpy()).all()
    assert groups.places.value_counts().min() >= 5
