"""The notebooks of docs/ run from top to bottom in an empty folder, and hold the outputs of such a run."""

from pathlib import Path

import pytest
from conftest import ROOT
from support.notebooks import code_cells, execute

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def test_the_page_on_python_leads_to_all_of_them() -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == 2
    assert [path.name for path in NOTEBOOKS if f"(notebooks/{path.name})" not in text] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stored_and_none_is_an_error(notebook: Path) -> None:
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert kinds <= {"stream", "execute_result"}
    assert str(Path.home()) not in notebook.read_text(encoding="utf-8")


@pytest.mark.tensorflow
@pytest.mark.processes
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(notebook: Path, tmp_path: Path) -> None:
    found = execute(notebook, tmp_path)
    stored = [cell["outputs"] for cell in code_cells(notebook)]
    assert [[sorted(o.get("data", {})) for o in outputs] for outputs in found] == [
        [sorted(o.get("data", {})) for o in outputs] for outputs in stored
    ]
