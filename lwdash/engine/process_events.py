"""Events of a supervising process, for its threads."""

import threading

STOPPING = threading.Event()
"""Set when this process shuts down: children are ended and their runs return to the queue."""

CHANGED = threading.Event()
"""Set when there may be steps to submit: the engine of this process looks at once."""
