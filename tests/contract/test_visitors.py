"""What a database bound to a visitor shows and takes, on each back end, whichever function asks."""

import dataclasses
from collections.abc import Callable

import pytest
from conftest import add_experiment
from sqlalchemy import Engine, update

from storage import analyses, annotations, experiments, frames, run_rows, runs, searches, sharing, statistics
from storage.overview import found_experiments
from storage.store import Store
from storage.tables import Experiment, Run
from storage.visitors import EVERYBODY, NOBODY, NotAllowed, Visitor, bound_to, visitor_of

ADA, BOB = Visitor(email="ada@example.org"), Visitor(email="bob@example.org")
LINK = Visitor(shared=1)
LINK_OF_BOB = Visitor(email="bob@example.org", shared=1)


@pytest.fixture
def team(store: Store) -> Store:
    """Experiments 1 (Ada's, private), 2 (Ada's), 3 (nobody's) and 4 (Bob's, private), one run in each: 1 to 4."""
    for name in ("one", "two", "three", "four"):
        number = add_experiment(store, name)
        runs.add_runs(store.database, number, [("int8", False, False)], name)
    owners = {1: (ADA.email, True), 2: (ADA.email, False), 4: (BOB.email, True)}
    with store.database.begin() as connection:
        for number, (owner, is_private) in owners.items():
            changed = update(Experiment).where(Experiment.id == number)
            connection.execute(changed.values(owner=owner, is_private=is_private))
    return store


SEES = [
    (EVERYBODY, {1, 2, 3, 4}),
    (ADA, {1, 2, 3}),
    (BOB, {2, 3, 4}),
    (NOBODY, set()),
    (LINK, {1}),
    (LINK_OF_BOB, {1}),
]


@pytest.mark.parametrize(("visitor", "seen"), SEES)
def test_each_sees_what_is_theirs_or_open(team: Store, visitor: Visitor, seen: set[int]) -> None:
    engine = bound_to(team.database, visitor)
    numbers = range(1, 5)
    assert {n for n in numbers if experiments.get_experiment(engine, n)} == seen
    assert {n for n in numbers if run_rows.get_run(engine, n)} == seen
    assert {n for n in numbers if frames.run_row(engine, n)} == seen
    assert {found.id for found in found_experiments(engine)} == seen
    assert frames.count_experiments(engine) == len(seen)
    assert set(frames.newest_runs(engine, None, 10)) == seen
    assert frames.newest_experiment(engine) == max(seen, default=None)
    assert frames.newest_run(engine) == max(seen, default=None)
    assert {n for n, name in enumerate(("one", "two", "three", "four"), 1)
            if experiments.find_experiments(engine, name)} == seen  # fmt: skip
    assert len(experiments.experiment_names(engine, 10)) == len(seen)
    shown = {step.run_id for step in statistics.active_steps(engine, 10) if step.recipe is not None}
    assert shown == seen
    assert len(statistics.active_steps(engine, 10)) == 4


VERBS: dict[str, Callable[[Engine, int], object]] = {
    "cancel": runs.cancel,
    "note": lambda engine, n: annotations.set_note(engine, n, "changed"),
    "title": lambda engine, n: annotations.set_title(engine, n, "changed"),
    "tags": lambda engine, n: annotations.add_tags(engine, [n], ["changed"]),
    "limits": lambda engine, n: annotations.set_limits(engine, n, {"size_bytes": 7}),
    "share": sharing.share,
    "revoke": sharing.revoke,
    "add": lambda engine, n: runs.add_runs(engine, n, [("float16", False, False)], "new"),
    "private": lambda engine, n: sharing.set_private(engine, n, n != 1, visitor_of(engine).email or "eve"),
    "search": lambda engine, n: searches.add_search(engine, n, goal="size_bytes", budget=1, settings={}),
    "stop searching": searches.stop_searches,
    "delete": lambda engine, n: delete_run(engine, n),
}
"""Each is called with the number of an experiment, which is that of its run as well."""


def delete_run(engine: Engine, number: int) -> None:
    with engine.begin() as connection:
        connection.execute(Run.__table__.delete().where(Run.id == number))


def state_of(store: Store) -> dict[int, object]:
    """All of each experiment and its runs."""
    found: dict[int, object] = {}
    for number in range(1, 5):
        rows = [run_rows.get_run(store.database, i) for i in range(1, 9)]
        mine = [row for row in rows if row and row.experiment_id == number]
        sought = searches.get_searches(store.database, number)
        found[number] = (experiments.get_experiment(store.database, number), mine, sought)
    return found


@pytest.mark.parametrize(
    ("visitor", "own"),
    [
        (EVERYBODY, {1, 2, 3, 4}),
        (ADA, {1, 2, 3}),
        (BOB, {3, 4}),
        (NOBODY, set()),
        (LINK, set()),
        (LINK_OF_BOB, set()),
    ],
)
def test_each_changes_only_what_is_theirs_or_nobodys(team: Store, visitor: Visitor, own: set[int]) -> None:
    engine = bound_to(team.database, visitor)
    for name, verb in VERBS.items():
        before = state_of(team)
        for number in range(1, 5):
            try:
                verb(engine, number)
            except NotAllowed:
                assert number not in own, name
        after = state_of(team)
        changed = {number for number in before if before[number] != after[number]}
        assert changed == own - ({4} if name == "private" else set()), name  # 4 is private already


def test_a_link_writes_nothing_anywhere(team: Store) -> None:
    engine = bound_to(team.database, LINK)
    annotations.set_preference(engine, "", "columns", {"shown": []})
    assert annotations.get_preference(team.database, "", "columns") is None
    with pytest.raises(NotAllowed):
        experiments.add_file(engine, sha256="f" * 64, kind="model", name="x", size_bytes=1)
    with pytest.raises(NotAllowed):
        analyses.add_analysis(engine, 1, analyses.SENSITIVITY) if _succeeded(team, 1) else None


def _succeeded(store: Store, number: int) -> bool:
    with store.database.begin() as connection:
        connection.execute(update(Run).where(Run.id == number).values(state="succeeded"))
    return True


def test_a_known_person_keeps_preferences_and_files(team: Store) -> None:
    engine = bound_to(team.database, BOB)
    annotations.set_preference(engine, "bob@example.org", "columns", {"shown": ["size"]})
    assert annotations.get_preference(team.database, "bob@example.org", "columns") == {"shown": ["size"]}
    assert experiments.add_file(engine, sha256="f" * 64, kind="model", name="x", size_bytes=1) > 0


def test_the_same_name_of_two_people_is_two_experiments(team: Store) -> None:
    rows = [
        dataclasses.replace(experiments.get_file(team.database, letter * 64, kind), facts={})
        for kind, letter in (("model", "a"), ("data", "b"))
    ]
    given = {
        "name": "mine",
        "model": rows[0],
        "data": rows[1],
        "settings": {},
        "task": "classification",
        "seed": 0,
    }
    first, second = (experiments.add_experiment(team.database, **given, owner=v.email) for v in (ADA, BOB))
    again = experiments.add_experiment(team.database, **given, owner=BOB.email)
    assert first != second == again


def test_tokens_are_long_and_open_one_experiment(team: Store) -> None:
    token = sharing.share(team.database, 1)
    assert len(token) >= 43
    assert sharing.shared_experiment(team.database, token) == 1
    for wrong in ("", token[:-1], token + "x", token.swapcase(), "ä" * 40, "x" * 5000, "%", "' OR 1=1 --"):
        assert sharing.shared_experiment(team.database, wrong) is None
    sharing.revoke(team.database, 1)
    assert sharing.shared_experiment(team.database, token) is None
    assert sharing.share(team.database, 1) != token


def test_a_plain_engine_is_everybodys(team: Store) -> None:
    assert visitor_of(team.database) == EVERYBODY
    assert visitor_of(bound_to(team.database, BOB)) == BOB
    assert visitor_of(bound_to(bound_to(team.database, BOB), ADA)) == ADA
