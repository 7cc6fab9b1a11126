"""Complete examples in Markdown: new files and changes of files, taken from a page of docs/ and put into effect."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT

FENCE = re.compile(r"^```(python|diff) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def documented(page: str) -> dict[str, str]:
    """Path → source of each file as it is after following docs/PAGE: "python" blocks are new, "diff" blocks change."""
    found: dict[str, str] = {}
    for kind, path, text in FENCE.findall((ROOT / "docs" / page).read_text(encoding="utf-8")):
        exists = (ROOT / path).exists()
        assert exists == (kind == "diff"), f"{page}: {path} {'exists already' if exists else 'is missing'}"
        found[path] = changed((ROOT / path).read_text(encoding="utf-8"), text, path) if exists else text
    return found


def changed(source: str, diff: str, path: str) -> str:
    """`source` after the hunks of `diff`, each begun by "@@"; the lines that a hunk names must occur once."""
    for hunk in diff.split("@@\n")[1:]:
        lines = hunk.splitlines()
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
        count = f"\n{source}".count(f"\n{before}")
        assert count == 1, f"{path} has these lines {count} times:\n{before}"
        source = f"\n{source}".replace(f"\n{before}", f"\n{after}")[1:]
    return source


def module_name(path: str) -> str:
    return ".".join(Path(path).with_suffix("").parts).removesuffix(".__init__")


def loaded(path: str, source: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of this source. It is what is imported by its name until the test ends."""
    name = module_name(path)
    module = ModuleType(name)
    module.__file__ = str(ROOT / path)
    if path.endswith("__init__.py"):
        module.__path__ = [str((ROOT / path).parent)]
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(source, path, "exec"), module.__dict__)
    return module
