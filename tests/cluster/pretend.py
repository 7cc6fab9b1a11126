"""A worker's preload: its steps run in simulated children. `LWDASH_TEST_VERSION` lets it claim another version.

dask copies a preload before it runs it, so paths start from lwdash.
"""

import os
from pathlib import Path

import lwdash
from lwdash.engine import child_process

child_process.PROGRAM = (str(Path(lwdash.__file__).parents[1] / "tests" / "faults" / "simulated.py"),)
lwdash.__version__ = os.environ.get("LWDASH_TEST_VERSION", lwdash.__version__)
