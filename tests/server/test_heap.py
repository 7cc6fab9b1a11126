"""What stays is spared from collections; what is left behind is freed all the same."""

import gc
import weakref

from lwdash.server.heap import freeze_survivors


class Knot:
    """Refers to itself: only a collection frees it."""

    def __init__(self) -> None:
        self.own = self


def test_what_was_set_aside_is_freed_once_nobody_has_it():
    knot = Knot()
    seen = weakref.ref(knot)
    try:
        freeze_survivors()
        assert gc.get_freeze_count() > 10_000
        del knot
        gc.collect()
        assert seen() is not None, "it is not looked at meanwhile"
        freeze_survivors()
        assert seen() is None
    finally:
        gc.unfreeze()
