"""Limits on the command line: exit codes, and the table for pipelines."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Finished, Sample, call_lwdash

from lwdash.cli.arguments import command_parser
from lwdash.cli.check_records import are_kept, checked_runs, exceeded_lines, markdown_lines
from lwdash.cli.main import COMMANDS

BASELINE: dict[str, Any] = {
    "id": 1, "recipe": "float32", "state": "succeeded", "error": None, "size_bytes": 84_000, "accuracy": 0.98,
    "baseline_accuracy": 0.98, "agreement": 1.0, "verdict": "equivalent", "rows": 217,
    "host": {"cpu": "Some CPU", "cores": 2, "threads": 1, "litert": "2.3.0"},
}  # fmt: skip
INT8 = {
    **BASELINE,
    "id": 2,
    "recipe": "int8",
    "size_bytes": 25_584,
    "accuracy": 0.95,
    "verdict": "cannot tell",
}
BROKEN = {
    "id": 3, "recipe": "prune(skip=[a|b])", "state": "failed", "error": "no layer is\nnamed 'a|b'", "verdict": None,
}  # fmt: skip


def test_the_markdown_table_has_a_row_for_each_run_and_a_column_for_each_limit() -> None:
    limits = {"size_bytes": 30_000.0, "accuracy_drop": 0.01}
    checked = checked_runs([INT8, BROKEN], limits)
    assert not are_kept(checked)
    lines = markdown_lines(checked, BASELINE, limits)
    assert lines[:5] == [
        "| Recipe | Size (kB), at most 30 | Drop of accuracy (points), at most 1 | Accuracy | Verdict | Limits |",
        "| --- | --: | --: | --: | --- | --- |",
        "| `float32` | 84 | 0 | 98.00% | baseline |  |",
        "| `int8` | 25.584 | **3** | 95.00% | not significant | **not kept** |",
        "| `prune(skip=[a\\|b])` | **not measured** | **not measured** | – | failed | **not kept** |",
    ]
    assert lines[6] == "Run 3 failed: no layer is named 'a\\|b'"
    assert (
        lines[7] == "Measured on 217 evaluation rows; latency on Some CPU, 2 cores, 1 thread, LiteRT 2.3.0."
    )
    assert exceeded_lines(checked)[0] == "run 2: limit not kept: drop of accuracy 3 points, at most 1 points"


def test_limits_that_are_kept_are_told_so() -> None:
    limits = {"size_bytes": 30_000.0}
    checked = checked_runs([INT8], limits)
    assert are_kept(checked)
    assert exceeded_lines(checked) == []
    assert markdown_lines(checked, BASELINE, limits)[3].endswith("| kept |")


def test_the_commands_of_the_page_on_pipelines_can_be_parsed() -> None:
    text = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"lwdash (check .*)", text)
    assert len(commands) >= 2
    for command in commands:
        words = [
            word.strip("'\"")
            for word in re.findall(r"'[^']*'|\"[^\"]*\"|\S+", command.split(" >")[0].split(" |")[0])
        ]
        options = command_parser(COMMANDS).parse_args(words)
        assert options.max_size is not None


@pytest.mark.processes
@pytest.mark.tensorflow
def test_a_limit_that_is_not_kept_makes_the_exit_code_1(
    finished: Finished, sample: Sample, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    shutil.copytree(finished.home, home, ignore=shutil.ignore_patterns("scratch", "engine.lock"))
    given = (sample.model, "--data", sample.data, "--label", "label", "--recipe", "float16")
    broken = call_lwdash(home, "check", *given, "--max-size", "0.5", "--max-drop", "90")
    assert broken.code == 1, broken.err
    assert broken.out.startswith("| Recipe | Size (kB), at most 0.5 |")
    assert "| **not kept** |" in broken.out
    kept = call_lwdash(home, "run", *given, "--max-size", "500", "--max-drop", "90", "--json")
    assert kept.code == 0, kept.err
    assert kept.json["are_limits_kept"] is True
    assert {check["limit"]: check["is_kept"] for check in kept.json["checks"]} == {
        "size_bytes": True,
        "accuracy_drop": True,
    }


@pytest.mark.processes
def test_check_without_a_limit_is_wrong_usage(tmp_path: Path) -> None:
    called = call_lwdash(
        tmp_path / "home", "check", "m.keras", "--data", "d.csv", "--recipe", "int8", "--json"
    )
    assert called.code == 2
    assert "--max-size" in called.json["error"]
