"""Keeps the garbage collector away from what stays.

Streamlit collects all garbage after each run of a page or a fragment, and that looks at every object there is. With what
the pages and the engine import it takes a tenth of a second, in which nobody is answered: with twenty visitors on live
pages, seven eighths of all that the server does.
"""

import gc
import sys
import threading
import time

LOOK_S = 2.0
COLLECTIONS = 50
"""After so many, what pages have made since weighs again; where nobody looks at pages there are none."""


def spare_what_stays() -> threading.Thread:
    """Now and then looks at everything itself and sets aside what is left; in the background, as long as the server runs."""
    thread = threading.Thread(target=_watch, name="lwdash-heap", daemon=True)
    thread.start()
    return thread


def set_aside() -> None:
    """Frees what nobody refers to, what was set aside before included, and spares the rest from later collections."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _watch() -> None:
    known, done = 0, 0
    while True:
        time.sleep(LOOK_S)
        if len(sys.modules) > known or _full_collections() - done > COLLECTIONS:
            set_aside()
            known, done = len(sys.modules), _full_collections()


def _full_collections() -> int:
    return int(gc.get_stats()[2]["collections"])
