"""Experiments and uploaded files in the database."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from storage.database import now
from storage.records import CODE, NamedFile, StoredExperiment, StoredFile, experiment_values
from storage.tables import Experiment, File
from storage.visitors import is_seen


def add_file(engine: Engine, *, sha256: str, kind: str, name: str, size_bytes: int) -> int:
    """Record an uploaded file. Equal content keeps its id and gets the new name."""
    known = update(File).where(File.sha256 == sha256, File.kind == kind).values(name=name).returning(File.id)
    added = insert(File).values(
        sha256=sha256, kind=kind, name=name, size_bytes=size_bytes, created_at=now(engine)
    )
    with engine.begin() as connection:
        found = connection.execute(known).scalar()
    if found is not None:
        return found
    try:
        with engine.begin() as connection:
            return connection.execute(added.returning(File.id)).scalar_one()
    except IntegrityError:  # another upload of the same content at the same time
        with engine.begin() as connection:
            return connection.execute(known).scalar_one()


def get_file(engine: Engine, sha256: str, kind: str) -> StoredFile | None:
    """An uploaded file, or None."""
    query = select(File.__table__).where(File.sha256 == sha256, File.kind == kind)
    with engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    return StoredFile(**row) if row else None


def set_file_facts(engine: Engine, file_id: int, facts: Mapping[str, Any] | None, error: str | None) -> None:
    """Record the inspection's facts, or the reason why the file is refused."""
    with engine.begin() as connection:
        connection.execute(update(File).where(File.id == file_id).values(facts=facts, error=error))


def fingerprint(values: Mapping[str, Any]) -> str:
    """SHA-256 of the properties that make runs comparable."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def identity_of(name: str, fingerprint: str, owner: str | None) -> str:
    """SHA-256 of the properties that identify an experiment."""
    return hashlib.sha256(json.dumps([name, fingerprint, owner]).encode()).hexdigest()


def add_experiment(
    engine: Engine,
    *,
    name: str,
    model: StoredFile,
    data: NamedFile,
    settings: Mapping[str, Any],
    task: str,
    seed: int,
    own_parts: Mapping[str, NamedFile] | None = None,
    owner: str | None = None,
    limits: Mapping[str, float] | None = None,
    threads: int = 1,
    code: NamedFile | None = None,
) -> int:
    """Record an experiment. The same name with the same model, data, settings and owner is the same
    experiment.

    own_parts: files for "evaluation" or "calibration", where they have their own. code: the Python file that the model
    needs. limits: as in the table; they judge runs and change none, so an experiment that is there already takes them
    over. With None it keeps its own.
    """
    files = {**(own_parts or {}), **({CODE: code} if code else {})}
    parts = {part: {"sha256": file.sha256, "name": file.name} for part, file in files.items()}
    mark = _fingerprint_of(model, data, files, settings, task, seed, threads)
    identity = identity_of(name, mark, owner)
    added = insert(Experiment).values(
        name=name,
        created_at=now(engine),
        model_sha256=model.sha256,
        model_name=model.name,
        model_facts=model.facts,
        data_sha256=data.sha256,
        data_name=data.name,
        own_parts=parts,
        settings=dict(settings),
        task=task,
        seed=seed,
        fingerprint=mark,
        identity=identity,
        owner=owner,
        limits=dict(limits or {}),
        threads=threads,
    )
    known = _known_experiment(engine, identity, limits)
    if known is not None:
        return known
    try:
        with engine.begin() as connection:
            return connection.execute(added.returning(Experiment.id)).scalar_one()
    except IntegrityError:  # another submission of the same experiment at the same time
        known = _known_experiment(engine, identity, limits)
        if known is None:
            raise
        return known


def same_experiment(
    engine: Engine,
    *,
    name: str,
    model: NamedFile,
    data: NamedFile,
    settings: Mapping[str, Any],
    task: str,
    seed: int,
    own_parts: Mapping[str, NamedFile] | None = None,
    owner: str | None = None,
    threads: int = 1,
    code: NamedFile | None = None,
) -> StoredExperiment | None:
    """The experiment that `add_experiment` would find with these arguments; None if it would record a new one."""
    files = {**(own_parts or {}), **({CODE: code} if code else {})}
    mark = _fingerprint_of(model, data, files, settings, task, seed, threads)
    query = select(Experiment.id).where(Experiment.identity == identity_of(name, mark, owner))
    with engine.connect() as connection:
        known = connection.execute(query).scalar()
    return None if known is None else get_experiment(engine, known)


def _fingerprint_of(
    model: NamedFile,
    data: NamedFile,
    files: Mapping[str, NamedFile],
    settings: Mapping[str, Any],
    task: str,
    seed: int,
    threads: int,
) -> str:
    fixed = {
        "model": model.sha256,
        "data": data.sha256,
        "parts": {part: file.sha256 for part, file in files.items()},
        "settings": dict(settings),
        "task": task,
        "seed": seed,
    }
    # One thread is left out, as before the number could be chosen.
    return fingerprint(fixed if threads == 1 else {**fixed, "threads": threads})


def _known_experiment(engine: Engine, identity: str, limits: Mapping[str, float] | None) -> int | None:
    """The experiment with this identity, which gets `limits`; None where there is none."""
    with engine.begin() as connection:
        known = connection.execute(select(Experiment.id).where(Experiment.identity == identity)).scalar()
        if known is not None and limits is not None:
            connection.execute(update(Experiment).where(Experiment.id == known).values(limits=dict(limits)))
        return known


def get_experiment(engine: Engine, experiment_id: int) -> StoredExperiment | None:
    """An experiment; None where there is none, or none that this engine's visitor sees."""
    with engine.connect() as connection:
        row = (
            connection.execute(
                select(Experiment.__table__).where(Experiment.id == experiment_id, is_seen(engine))
            )
            .mappings()
            .first()
        )
    return StoredExperiment(**experiment_values(row)) if row else None


def find_experiments(engine: Engine, name: str) -> list[int]:
    """Ids of the experiments with this name, newest first."""
    query = (
        select(Experiment.id).where(Experiment.name == name, is_seen(engine)).order_by(Experiment.id.desc())
    )
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


def experiment_names(engine: Engine, limit: int) -> list[str]:
    """Some names of experiments, in alphabetical order."""
    query = select(Experiment.name).where(is_seen(engine)).distinct().order_by(Experiment.name).limit(limit)
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())
