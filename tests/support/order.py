"""The order in which several test workers take files, so that all are busy to the end.

Files of quick tests come last, the longest of them first: whichever worker is free takes the next. Before them, files
that mostly wait (for a browser, a server, a process) alternate with files that compute.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest

from support.quick import FOLDERS, TESTS

LONGEST = (
    "test_search_replay.py", "test_pages.py", "test_run_page.py", "test_search.py", "test_coded_file.py", "test_verdict.py",
    "test_readers.py", "test_hostile_models.py", "test_architecture.py", "test_latency.py",
)  # fmt: skip
"""Files of quick tests that take several seconds each."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        files = [list(tests) for _, tests in groupby(items, key=lambda item: item.path)]
        items[:] = [item for tests in ordered(files) for item in tests]


def ordered(files: Sequence[list[pytest.Item]]) -> list[list[pytest.Item]]:
    """Tests by file, in the order described above."""
    quick = [tests for tests in files if all(item.get_closest_marker("quick") for item in tests)]
    others = [tests for tests in files if tests not in quick]
    waiting = [tests for tests in others if _folder(tests[0].path) in FOLDERS]
    computing = [tests for tests in others if tests not in waiting]
    places = [((i + 0.5) / len(group), group[i]) for group in (waiting, computing) for i in range(len(group))]
    quick.sort(key=lambda tests: tests[0].path.name not in LONGEST)
    return [tests for _, tests in sorted(places, key=lambda place: place[0])] + quick


def _folder(path: Path) -> str:
    return path.relative_to(TESTS).parts[0]
