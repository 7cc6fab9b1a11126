"""The quick tests, `pytest -m quick`: those that need neither TensorFlow nor a browser nor a database server.

A test is quick unless its folder, its fixtures, its parameters or a marker tell otherwise. While only quick tests run,
TensorFlow cannot be imported: a test that is counted among them wrongly fails and names the marker.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).parents[1]
HEAVY = frozenset({"tensorflow", "keras", "tf_keras", "tensorflow_model_optimization"})
FOLDERS = frozenset({"bench", "browser", "cluster", "faults", "server"})
FIXTURES = frozenset({"postgres", "s3", "sample", "finished", "zoo"})
"""Fixtures that start a server or train a network, directly or through another fixture."""
MARKERS = frozenset({"slow", "tensorflow", "processes"})


def is_quick(item: pytest.Item) -> bool:
    folder = item.path.relative_to(TESTS).parts[0]
    fixtures = set(getattr(item, "fixturenames", ()))
    parameters = getattr(item, "callspec", None)
    values = parameters.params.values() if parameters else ()
    return not (
        folder in FOLDERS
        or fixtures & FIXTURES
        or "postgresql" in map(str, values)
        or any(item.get_closest_marker(name) for name in MARKERS)
    )


class NoTensorFlow(MetaPathFinder):
    """Refuses TensorFlow and what imports it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in HEAVY:
            raise ImportError(f"a quick test imports {name}: mark it with @pytest.mark.tensorflow")
        return None


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("markexpr") == "quick":
        sys.meta_path.insert(0, NoTensorFlow())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Folders without quick tests need not be imported to find that out."""
    is_left_out = collection_path.parent == TESTS and collection_path.name in FOLDERS
    return True if is_left_out and config.getoption("markexpr") == "quick" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_quick(item):
            item.add_marker("quick")
