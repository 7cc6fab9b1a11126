"""The agent is one file that needs the standard library, numpy and ai-edge-litert only."""

import ast
import sys

from lwdash.targets.device.agent_file import agent_file

LIBRARIES = {"numpy", "ai_edge_litert"}


def test_the_agent_imports_two_libraries_only() -> None:
    imported = set()
    for node in ast.walk(ast.parse(agent_file())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == LIBRARIES
    assert "lwdash" not in imported


def test_no_name_of_one_module_hides_that_of_another() -> None:
    names = []
    for node in ast.parse(agent_file()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
    assert sorted({name for name in names if names.count(name) > 1}) == []
