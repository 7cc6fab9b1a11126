"""What CONTRIBUTING.md tells to run: hooks, make's targets and folders of tests exist and do the same checks."""

import re

import yaml
from conftest import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def checks_of_make_test() -> list[str]:
    """The commands of `make test` before the tests themselves."""
    recipe = re.search(r"^test:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    return [command.removesuffix(" .") for command in commands if "pytest" not in command]


def test_the_hooks_run_the_checks_of_make_test() -> None:
    configured = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    [local] = configured["repos"]
    assert local["repo"] == "local"
    entries = [re.sub(r" --(force-exclude|diff)\b", "", hook["entry"]) for hook in local["hooks"]]
    assert len(entries) == 3
    assert entries == checks_of_make_test()


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", TEXT)) <= targets


def test_every_folder_and_file_of_tests_that_is_named_exists() -> None:
    named = re.findall(r"\btests/[\w/.]+\w", TEXT)
    assert [name for name in named if not (ROOT / name).exists()] == []
