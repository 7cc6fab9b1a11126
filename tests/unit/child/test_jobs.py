"""Jobs and results: each kind crosses the process boundary, is executed, and is refused where it does not fit."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from lwdash.child import job_results, jobs
from lwdash.child.__main__ import _message
from lwdash.child.executors import EXECUTORS
from lwdash.child.job_results import RESULTS, Checked, Failure, Result, read_failure, read_result
from lwdash.child.jobs import JOBS, Check, Job, UploadedFile, read_job
from lwdash.child.stage_messages import (
    ComputedStage,
    FoundStage,
    MissingStage,
    StageRequest,
    read_computed,
    read_reply,
    read_request,
)
from lwdash.child.typed_messages import to_json
from lwdash.engine.child_process import run_child
from lwdash.engine.input_files import file_inspection
from lwdash.errors import DataRefused, MessageRefused
from lwdash.settings import Settings, load_settings

MODEL = UploadedFile("/store/aa/aaaa", "aaaa", "heart.keras")
BEATS = UploadedFile("/store/bb/bbbb", "bbbb", "beats.csv")
OTHERS = UploadedFile("/store/cc/cccc", "cccc", "others.csv")
VALUES: dict[Any, Any] = {
    str: "text",
    int: 3,
    float: 0.5,
    bool: True,
    UploadedFile: MODEL,
    Mapping[str, Any]: {"layers": [{"path": "dense"}]},
    Mapping[str, int]: {"train": 7},
    Mapping[str, str]: {"README.txt": "text"},
    Mapping[str, UploadedFile]: {"evaluation": OTHERS},
    tuple[str, ...]: ("a", "b"),
    tuple[Mapping[str, Any], ...]: ({"stage": "Keras model"},),
}


def example(kind: type) -> Any:
    """An object of a message class with a value in every field."""
    hints = get_type_hints(kind)
    return kind(**{field.name: value_of(hints[field.name]) for field in fields(kind)})


def value_of(hint: Any) -> Any:
    for inner, value in VALUES.items():
        if hint in (inner, inner | None):
            return value
    raise KeyError(hint)


@pytest.mark.parametrize("kind", JOBS, ids=lambda kind: kind.kind)
def test_a_job_arrives_as_it_was_built(kind: type[Job]) -> None:
    job = example(kind)
    assert read_job(json.loads(json.dumps(to_json(job)))) == job
    bare = replace(job, **{f.name: f.default for f in fields(kind) if f.default is not MISSING})
    assert read_job(json.loads(json.dumps(to_json(bare)))) == bare


@pytest.mark.parametrize("kind", RESULTS, ids=lambda kind: kind.kind)
def test_a_result_arrives_as_it_was_returned(kind: type[Result]) -> None:
    result = example(kind)
    assert read_result(json.loads(json.dumps(to_json(result)))) == result


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        (StageRequest, read_request),
        (FoundStage, read_reply),
        (MissingStage, read_reply),
        (ComputedStage, read_computed),
    ],
)
def test_a_message_about_a_stage_arrives_as_it_was_sent(kind: Any, read: Any) -> None:
    message = example(kind)
    assert read(json.loads(json.dumps(to_json(message)))) == message
    with pytest.raises(MessageRefused, match="lacks fields"):
        read({**to_json(message), "fields": {}})


@pytest.mark.parametrize(("module", "base", "listed"), [(jobs, Job, JOBS), (job_results, Result, RESULTS)])
def test_every_kind_is_listed_once(module: Any, base: type, listed: tuple[Any, ...]) -> None:
    defined = {each for each in vars(module).values() if isinstance(each, type) and issubclass(each, base)}
    assert {each for each in defined if hasattr(each, "kind")} == set(listed)
    assert len({each.kind for each in listed}) == len(listed)


def test_every_job_has_its_executor() -> None:
    assert set(EXECUTORS) == set(JOBS)
    assert len(set(EXECUTORS.values())) == len(JOBS)


def test_an_error_names_files_as_the_user_does() -> None:
    job = jobs.CompareLabels(
        model_facts={}, data=BEATS, parts={"evaluation": OTHERS}, settings={}, task=None, data_facts=None, model=MODEL,
        seed=0,
    )  # fmt: skip
    message = _message(DataRefused("bbbb has 3 columns, cccc has 2, aaaa wants 4"), job)
    assert message == "beats.csv has 3 columns, others.csv has 2, heart.keras wants 4"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path / "home")


def test_a_child_of_another_version_refuses_the_job_and_takes_the_next(settings: Settings) -> None:
    good = to_json(Check())
    waiting = [good, {**good, "lwdash": "0.0.1"}]
    failures: list[Failure] = []
    done: list[Result] = []
    ended = run_child(
        ["check"],
        scratch=settings.scratch,
        log=settings.logs / "check.log",
        handlers={
            "next": lambda _: {"job": waiting.pop() if waiting else None},
            "failed": lambda message: failures.append(read_failure(message["failure"])) or {},
            "done": lambda message: done.append(read_result(message["result"])) or {},
        },
        watch=lambda memory_mb: None,
    )
    assert ended.returncode == 0
    assert [failure.is_fault for failure in failures] == [True]
    assert failures[0].error.startswith("the job could not be read: 'check' was written by lwdash 0.0.1")
    assert [type(result) for result in done] == [Checked]


def test_a_result_that_is_not_the_jobs_ends_the_child_with_the_reason(settings: Settings) -> None:
    failure = file_inspection.ask_child(settings, Check(), job_results.Dissected)
    assert isinstance(failure, Failure)
    assert "unknown kind 'checked'; known are dissected" in failure.error
