"""Executes the notebooks of docs/ without Jupyter, and stores their outputs: `python -m support.notebooks FILE…` in tests/.

A cell's output is what it prints, and the value of its last line: a frame as HTML, a figure as plotly's JSON, all else as
text.
"""

import ast
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECONDS = 900


def code_cells(notebook: Path) -> list[dict[str, Any]]:
    """The code cells, in order."""
    return [
        cell
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]


def execute(notebook: Path, folder: Path) -> list[list[dict[str, Any]]]:
    """The outputs of each code cell, executed in a process of its own with `folder` as home and working directory.

    Raises RuntimeError with the process's errors where a cell fails.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LWDASH_")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    ended = subprocess.run(
        [sys.executable, "-m", "support.notebooks", "--cells", str(notebook.resolve())],
        cwd=folder,
        env={**kept, "PYTHONPATH": path, "LWDASH_HOME": str(folder / "home"), "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(ended.stderr[-3000:])
    outputs: list[list[dict[str, Any]]] = json.loads(ended.stdout.splitlines()[-1])
    return outputs


def _execute_here(notebook: Path) -> list[list[dict[str, Any]]]:
    variables: dict[str, Any] = {"__name__": "__main__"}
    return [_outputs("".join(cell["source"]), variables) for cell in code_cells(notebook)]


def _outputs(source: str, variables: dict[str, Any]) -> list[dict[str, Any]]:
    """The outputs of one cell in the form of a notebook file."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), variables)
        value = (
            None if last is None else eval(compile(ast.Expression(last.value), "<cell>", "eval"), variables)
        )
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        lines = printed.getvalue().splitlines(keepends=True)
        outputs.append({"output_type": "stream", "name": "stdout", "text": lines})
    if value is not None:
        outputs.append({"output_type": "execute_result", "metadata": {}, "data": _shown(value)})
    return outputs


def _shown(value: Any) -> dict[str, Any]:
    import pandas as pd
    import plotly.graph_objects as go

    if isinstance(value, go.Figure):
        title = value.layout.title.text
        return {
            "text/plain": [f"Figure: {title}"],
            "application/vnd.plotly.v1+json": json.loads(value.to_json()),
        }
    shown: dict[str, Any] = {"text/plain": repr(value).splitlines(keepends=True)}
    if isinstance(value, pd.DataFrame):
        shown["text/html"] = value.to_html().splitlines(keepends=True)
    return shown


def write_outputs(notebook: Path) -> None:
    """Execute a notebook and store its outputs in the file."""
    with tempfile.TemporaryDirectory() as folder:
        found = execute(notebook, Path(folder))
    whole = json.loads(notebook.read_text(encoding="utf-8"))
    cells = [cell for cell in whole["cells"] if cell["cell_type"] == "code"]
    for number, (cell, outputs) in enumerate(zip(cells, found, strict=True), 1):
        cell["execution_count"] = number
        cell["outputs"] = [
            {**output, "execution_count": number} if output["output_type"] == "execute_result" else output
            for output in outputs
        ]
    notebook.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--cells":
        print(json.dumps(_execute_here(Path(sys.argv[2]))))
    else:
        for name in sys.argv[1:]:
            write_outputs(Path(name))
