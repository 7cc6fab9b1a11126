"""Freezes long-lived objects so that garbage collections stay short.

Streamlit collects all garbage after each run of a page or a fragment, and a collection visits every object.
With the imports of pages and engine it takes a tenth of a second, in which the server does not respond. With
twenty visitors on live pages, that is seven eighths of the server's work.
"""

import gc
import sys
import threading
import time

LOOK_S = 2.0
COLLECTIONS = 50
"""After this many collections, the objects created by pages matter again; without page visits there are none."""


def freeze_long_lived_objects() -> threading.Thread:
    """Freeze long-lived objects from time to time, in a background thread, as long as the server runs."""
    thread = threading.Thread(target=_watch, name="lwdash-heap", daemon=True)
    thread.start()
    return thread


def freeze_survivors() -> None:
    """Free unreferenced objects, including frozen ones, and exclude the rest from later collections."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _watch() -> None:
    known, done = 0, 0
    while True:
        time.sleep(LOOK_S)
        if len(sys.modules) > known or _full_collections() - done > COLLECTIONS:
            freeze_survivors()
            known, done = len(sys.modules), _full_collections()


def _full_collections() -> int:
    return int(gc.get_stats()[2]["collections"])
