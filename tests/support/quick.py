"""The quick tests, `pytest -m quick`: those that need neither TensorFlow nor a browser nor a database server, and that do
not take long.

A test is quick unless its folder, its fixtures, its parameters or a marker tell otherwise. While only quick tests run,
TensorFlow cannot be imported, in child processes neither: a test that is counted among them wrongly fails and names the
marker.
"""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).parents[1]
HEAVY = frozenset({"tensorflow", "keras", "tf_keras", "tensorflow_model_optimization"})
FOLDERS = frozenset({"bench", "browser", "cluster", "faults", "server"})
FIXTURES = frozenset({"postgres", "s3", "sample", "finished", "zoo", "warm_children"})
"""Fixtures that start a server, train a network or start TensorFlow, directly or through another fixture."""
PARAMETERS = frozenset({"postgresql", "S3"})
"""Parameters that start a server."""
MARKERS = frozenset({"slow", "tensorflow", "processes", "long"})


def is_quick(item: pytest.Item) -> bool:
    folder = item.path.relative_to(TESTS).parts[0]
    fixtures = set(getattr(item, "fixturenames", ()))
    parameters = getattr(item, "callspec", None)
    values = parameters.params.values() if parameters else ()
    return not (
        folder in FOLDERS
        or fixtures & FIXTURES
        or PARAMETERS.intersection(map(str, values))
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


IN_A_CHILD = "a quick test imports {} in a child process: mark it with @pytest.mark.tensorflow"
REFUSAL = f"""from pathlib import Path
Path(__file__).parent.with_suffix(".imported").touch()
raise ImportError({IN_A_CHILD!r}.format(__name__))
"""
REFUSALS = pytest.StashKey[Path]()
"""A folder with packages of the names of TensorFlow and the others, which child processes find first."""


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("markexpr") != "quick":
        return
    sys.meta_path.insert(0, NoTensorFlow())
    gc.set_threshold(
        700, 10, 100
    )  # no large model waits to be freed: fewer collections of everything, a tenth of the time
    folder = config.stash[REFUSALS] = Path(tempfile.mkdtemp(prefix="lwdash-quick-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    for name in HEAVY:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(REFUSAL)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Processes of tests inherit PYTHONPATH; children of the engine have one of their own."""
    if folder := session.config.stash.get(REFUSALS, None):
        from lwdash.engine import child_process

        places = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), places] if places else [str(folder)])
        child_process.PROJECT = f"{folder}{os.pathsep}{child_process.PROJECT}"  # type: ignore[assignment]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fails a test whose child processes have imported TensorFlow, whatever they made of the refusal."""
    yield
    if folder := item.config.stash.get(REFUSALS, None):
        for mark in folder.glob("*.imported"):
            mark.unlink()
            pytest.fail(IN_A_CHILD.format(mark.stem))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Folders without quick tests need not be imported to find that out."""
    is_left_out = collection_path.parent == TESTS and collection_path.name in FOLDERS
    return True if is_left_out and config.getoption("markexpr") == "quick" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_quick(item):
            item.add_marker("quick")
