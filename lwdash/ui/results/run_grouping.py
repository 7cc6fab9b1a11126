"""The groups in which an experiment's runs can be coloured and listed: by a parameter, by tags, by a target's verdict."""

import pandas as pd

from lwdash.metrics.offers import offering_of, refused_column
from lwdash.metrics.run_groups import RunGroups, by_numbers, by_words
from lwdash.metrics.target_values import names_in
from lwdash.ui.results.recipe_parameters import described_parameter, parameter_texts
from lwdash.ui.shared.memo import remembered

TAGS = "tags"
ON_TARGET = "on:"
"""Begins the key of the groups by the verdict of a target: `on:tflm`."""
NOT_USED, NO_TAG, NOT_MEASURED = "not used", "no tag", "not measured"


def known_groups(runs: pd.DataFrame) -> dict[str, RunGroups]:
    """Key → groups, for each fact that differs among these runs. runs: all of the experiment."""
    return remembered("groups", (runs,), lambda: _all(runs.set_index("id")))


def _all(runs: pd.DataFrame) -> dict[str, RunGroups]:
    """runs: with their ids as index."""
    found = [*_by_tags(runs), *_by_targets(runs), *_by_parameters(runs)]
    return {groups.key: groups for groups in found if len(groups.names) > 1}


def _by_tags(runs: pd.DataFrame) -> list[RunGroups]:
    if not runs["tags"].map(bool).any():
        return []
    words = runs["tags"].map(lambda own: ", ".join(sorted(own)) if own else None)
    return [by_words(TAGS, "Tags", words, NO_TAG)]


def _by_targets(runs: pd.DataFrame) -> list[RunGroups]:
    """The verdict of each target: it runs the file, or refuses it."""
    columns: dict[str, list[str]] = {}
    for column in runs.columns:
        target, dot, rest = column.partition(".")
        if dot and "@" not in rest and offering_of(target) is not None:
            columns.setdefault(target, []).append(column)
    found = []
    for target, own in columns.items():
        refused = refused_column(target)
        values = [column for column in own if column != refused]
        words = pd.Series(None, index=runs.index, dtype=object)
        words[runs[values].notna().any(axis=1)] = "runs"
        if refused in own:
            words[runs[refused] == 1] = "refused"
        offering = offering_of(target)
        title = names_in(runs).get(target) or (offering.label if offering else target)
        found.append(by_words(f"{ON_TARGET}{target}", f"Runs on {title}", words, NOT_MEASURED))
    return found


def _by_parameters(runs: pd.DataFrame) -> list[RunGroups]:
    texts = {recipe: parameter_texts(recipe) for recipe in runs["recipe"].unique()}
    columns = dict.fromkeys(column for own in texts.values() for column in own)
    found = []
    for column in columns:
        written = {recipe: own[column] for recipe, own in texts.items() if column in own}
        if len({text for text, _ in written.values()}) < 2:
            continue
        label = described_parameter(column).label
        words = runs["recipe"].map({recipe: text for recipe, (text, _) in written.items()}).astype(object)
        numbers = (
            runs["recipe"].map({recipe: number for recipe, (_, number) in written.items()}).astype(float)
        )
        if numbers.notna().any():
            names = {number: text for text, number in written.values() if number is not None}
            found.append(by_numbers(column, label, numbers, words, NOT_USED, names.__getitem__))
        else:
            found.append(by_words(column, label, words, NOT_USED))
    return found
