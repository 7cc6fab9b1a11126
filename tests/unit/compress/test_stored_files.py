"""The check of a storage form's file: each file is run once, also where the technique has tried it already."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lwdash.compress import storage_stage
from lwdash.contract import Accepts, Packed
from lwdash.errors import ResultRejected

ROWS = {"input": np.zeros((2, 1), np.float32)}


class Runtime:
    """Accepts files that end in `!`."""

    def __init__(self, source: bytes, rows: Any):
        self.runs: list[bytes] = []
        RUNTIMES.append(self)

    def accepts(self, data: bytes) -> str | None:
        self.runs.append(data)
        return None if data.endswith(b"!") else "it stops"

    def facts(self, data: bytes) -> dict[str, Any]:
        return {}


RUNTIMES: list[Runtime] = []


def tried(*files: bytes) -> Any:
    """A technique that tries these files and returns the last."""

    def apply(source: bytes, params: Any, accepts: Accepts) -> Packed:
        for data in files[:-1]:
            accepts(data)
        return Packed(files[-1])

    return SimpleNamespace(NAME="tried", RUNTIME="litert", apply=apply)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Runtime]:
    monkeypatch.setattr(storage_stage, "CHECKS", {"litert": Runtime})
    RUNTIMES.clear()
    return RUNTIMES


def test_a_file_that_was_accepted_is_not_run_again(runs: list[Runtime]) -> None:
    stored = storage_stage.store(tried(b"ab!", b"a", b"ab!", b"ab!"), None, b"source", ROWS)
    assert stored.data == b"ab!"
    assert stored.facts["checked_rows"] == 2
    assert runs[0].runs == [b"ab!", b"a"]


@pytest.mark.parametrize("files", [(b"a", b"a"), (b"b",)])
def test_a_file_that_was_refused_or_never_tried_is_rejected(
    runs: list[Runtime], files: tuple[bytes, ...]
) -> None:
    with pytest.raises(ResultRejected, match="it stops"):
        storage_stage.store(tried(*files), None, b"source", ROWS)
    assert len(runs[0].runs) == 1
