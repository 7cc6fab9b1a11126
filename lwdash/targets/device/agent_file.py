"""Writes the agent as one file: the modules by which lwdash itself measures, and the agent's own, one after another."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import lwdash

MODULES = (
    "process_lifetime",
    "measure.timing.host_facts",
    "measure.timing.ratio_interval",
    "measure.timing.interleaved",
    "measure.timing.forked_session",
    "measure.timing.rotation",
    "targets.device.measuring",
    "targets.device.agent",
)
"""Each imports only those before it, the standard library, numpy, and inside functions ai-edge-litert."""
FILE_NAME = "lwdash-device.py"
_HEAD = '''#!/usr/bin/env python3
"""Agent of lwdash {version}: measures .tflite files on this computer for an lwdash server.

It needs Python 3.10 or newer on Linux or macOS, numpy and ai-edge-litert. It connects out to the server and opens no port.
    pip install numpy ai-edge-litert
    LWDASH_DEVICE_TOKEN=... python3 {name} http://SERVER:8501
This file is written by `lwdash device agent` from modules of lwdash. Get it from your server again after an update.
"""

from __future__ import annotations

{imports}

try:
    import numpy as np
except ImportError:
    sys.exit("numpy is not installed: pip install numpy ai-edge-litert")
'''
_TAIL = """

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""


@functools.cache
def agent_file() -> str:
    """The agent's source."""
    imports, bodies = {"import sys"}, []
    for name in MODULES:
        source = (Path(lwdash.__file__).parent / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
        found, body = _split(source)
        imports |= found
        bodies.append(f"\n\n# --- lwdash.{name} ---\n\n{body}")
    head = _HEAD.format(version=lwdash.__version__, name=FILE_NAME, imports="\n".join(sorted(imports)))
    return head + "".join(bodies) + _TAIL


def _split(source: str) -> tuple[set[str], str]:
    """The imports of the standard library at the top of a module, and its source without docstring and imports."""
    tree, lines = ast.parse(source), source.splitlines()
    imports = set()
    for index, node in enumerate(tree.body):
        is_docstring = index == 0 and isinstance(node, ast.Expr)
        if isinstance(node, ast.Import | ast.ImportFrom):
            text = ast.unparse(node)
            if not text.startswith(("from __future__", "from lwdash", "import numpy")):
                imports.add(text)
        elif not is_docstring:
            continue
        assert node.end_lineno is not None
        lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return imports, "\n".join(lines).strip()
