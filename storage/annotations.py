"""Annotations of runs and experiments: titles, tags, notes, limits, and preferences for the pages.

None of these is a measurement, so they may change after a run has ended.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from storage.errors import NotWritten
from storage.tables import Experiment, Preference, Run
from storage.visitors import visitor_of

MAX_TAGS = 20
LONGEST_TAG = 40
LONGEST_TITLE = 200
LONGEST_NOTE = 10_000


def set_title(engine: Engine, run_id: int, title: str) -> None:
    """Set a run's title; an empty title removes it. Raises NotWritten when it is too long."""
    text = " ".join(title.split())
    if len(text) > LONGEST_TITLE:
        raise NotWritten(f"a title has at most {LONGEST_TITLE} letters, this one has {len(text)}")
    _set(engine, run_id, title=text or None)


def set_note(engine: Engine, run_id: int, note: str) -> None:
    """Write a run's note. Raises NotWritten when it is too long."""
    if len(note) > LONGEST_NOTE:
        raise NotWritten(f"a note has at most {LONGEST_NOTE:,} letters, this one has {len(note):,}")
    _set(engine, run_id, note=note.strip())


def add_tags(engine: Engine, run_ids: Sequence[int], tags: Sequence[str]) -> None:
    """Add tags to runs, each once. Raises NotWritten before anything is written when a tag is invalid."""
    wanted = [_tag(tag) for tag in tags if tag.strip()]
    _change_tags(
        engine, run_ids, lambda old: [*old, *(tag for tag in dict.fromkeys(wanted) if tag not in old)]
    )


def remove_tags(engine: Engine, run_ids: Sequence[int], tags: Sequence[str]) -> None:
    """Remove tags from runs; tags that a run does not have are ignored."""
    _change_tags(engine, run_ids, lambda old: [tag for tag in old if tag not in tags])


def set_limits(engine: Engine, experiment_id: int, limits: Mapping[str, float]) -> None:
    """Replaces an experiment's limits. Which there can be is decided above the storage."""
    with engine.begin() as connection:
        connection.execute(
            update(Experiment).where(Experiment.id == experiment_id).values(limits=dict(limits))
        )


def get_preference(engine: Engine, owner: str, key: str) -> Mapping[str, Any] | None:
    """A user's choice under `key`, or None; owner: "" if sign-in is disabled."""
    query = select(Preference.value).where(Preference.owner == owner, Preference.key == key)
    with engine.connect() as connection:
        return connection.execute(query).scalar()


def set_preference(engine: Engine, owner: str, key: str, value: Mapping[str, Any]) -> None:
    """Store a user's choice; the last one counts. A visitor with a share link has no stored choices."""
    if not visitor_of(engine).is_known:
        return
    known = (
        update(Preference).where(Preference.owner == owner, Preference.key == key).values(value=dict(value))
    )
    with engine.begin() as connection:
        if connection.execute(known).rowcount:
            return
    try:
        with engine.begin() as connection:
            connection.execute(insert(Preference).values(owner=owner, key=key, value=dict(value)))
    except IntegrityError:  # the same user wrote it on another page at the same time
        with engine.begin() as connection:
            connection.execute(known)


def _set(engine: Engine, run_id: int, **values: Any) -> None:
    with engine.begin() as connection:
        connection.execute(update(Run).where(Run.id == run_id).values(**values))


def _tag(text: str) -> str:
    tag = " ".join(text.split())
    if len(tag) > LONGEST_TAG:
        raise NotWritten(f"a tag has at most {LONGEST_TAG} letters, {tag[:LONGEST_TAG]!r}… has {len(tag)}")
    if "," in tag:
        raise NotWritten(f"a tag has no comma, received {tag!r}")
    return tag


def _change_tags(engine: Engine, run_ids: Sequence[int], change: Callable[[list[str]], list[str]]) -> None:
    """In one transaction: either all of the runs get their new tags or none."""
    with engine.begin() as connection:
        for start in range(0, len(run_ids), 500):
            part = list(run_ids[start : start + 500])
            query = select(Run.id, Run.tags).where(Run.id.in_(part)).with_for_update()
            for run_id, old in connection.execute(query).all():
                new = change(list(old or []))
                if len(new) > MAX_TAGS:
                    raise NotWritten(f"a run has at most {MAX_TAGS} tags, run {run_id} would have {len(new)}")
                if new != old:
                    connection.execute(update(Run).where(Run.id == run_id).values(tags=new))
