"""`lwdash ARGUMENTS` whose children are forked from a warm parent that is there at once.

The command line has a warm parent of its own, which imports TensorFlow first; here that one is forked, too. The
variable WARM_SOCKET has the address of the `ForkServer` that it comes from.
"""

import os
from collections.abc import Sequence
from typing import Any

from lwdash.cli import main as command_line
from lwdash.engine import child_process
from lwdash.settings import load_settings
from support.warm_children import keep_warm_at_once

_forked = child_process._forked


def main(arguments: Sequence[str] | None = None) -> int:
    child_process._forked = _forked_from_warm_parent
    return command_line.main(arguments)


def _forked_from_warm_parent(*arguments: Any, **options: Any) -> Any:
    keep_warm_at_once(load_settings(), os.environ["WARM_SOCKET"])
    return _forked(*arguments, **options)
