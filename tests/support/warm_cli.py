"""`lwdash ARGUMENTS` whose children are forked from a warm parent that is there at once.

The command line has a warm parent of its own, which imports TensorFlow first; here that one is forked, too. The
variable WARM_SOCKET has the address of the `ForkServer` that it comes from.
"""

import os
from collections.abc import Sequence
from typing import Any

from lwdash.cli import main as command_line
from lwdash.engine import child_process, warm_child
from lwdash.settings import load_settings
from support import warm_children

_forked = child_process._forked


def main(arguments: Sequence[str] | None = None) -> int:
    warm_child.PROGRAM = warm_children.program(os.environ["WARM_SOCKET"])
    child_process._forked = _forked_from_warm_parent
    return command_line.main(arguments)


def _forked_from_warm_parent(*arguments: Any, **options: Any) -> Any:
    warm_children.keep_warm_at_once(load_settings())
    return _forked(*arguments, **options)
