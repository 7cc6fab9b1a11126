"""Entry of the process that holds another runtime: `python -m lwdash.targets.host.runtime_child NAME FOLDER`.

Reads model.tflite and rows.npz of the folder, writes result.json.
"""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.measure.timing.forked_session import Invoke, Session, fork_session
from lwdash.measure.timing.rotation import BASELINE, Latency, Rotation
from lwdash.process_lifetime import die_with_parent
from lwdash.targets.device.measuring import FILE, Inputs, compare_outputs, numbered
from lwdash.targets.host.loaders import RUNTIMES, load_xnnpack

SECONDS = 6.0
"""Limit for the sessions of one file: some runtimes take 0.2 s to load it."""


def main(name: str, folder: str) -> None:
    die_with_parent()
    place = Path(folder)
    with np.load(place / "rows.npz") as stored:
        rows = {key: stored[key] for key in stored.files}
    inputs = numbered(rows, "file_in_")
    runtime, path = RUNTIMES[name], place / "model.tflite"
    try:
        runtime.prepare(path)
        compared = compare_outputs(runtime.run(path, inputs), rows)
        latency = _latency({BASELINE: load_xnnpack, FILE: runtime.load}, path, inputs)
        result: dict[str, Any] = {"error": None, "outputs": compared, "latency": latency.to_dict()}
    except (RuntimeError, ValueError) as error:
        result = {"error": (str(error).strip().splitlines() or [type(error).__name__])[0][:300]}
    (place / "result.json").write_text(json.dumps(result))


def _latency(loaders: dict[str, Callable[[Path, Inputs], Invoke]], path: Path, inputs: Inputs) -> Latency:
    """Latency of the runtime, in rotation with LiteRT as the baseline, of the same file."""
    load_xnnpack(path, inputs)()  # LiteRT's one-time set-up

    def session_of(order: Sequence[str], until: float) -> Session:
        prepared = {key: partial(loaders[key], path, inputs) for key in order}
        # A runtime may compute in a thread of its own: the processor time of this one says nothing then.
        session = fork_session(prepared, until=until, is_alone=False)
        for error in session.errors.values():
            raise error
        for key, how in session.ended.items():
            raise RuntimeError(f"the process that ran it in {key or 'LiteRT'} ended {how}")
        return session

    rotation = Rotation([FILE])
    rotation.run(session_of, SECONDS, lambda share: None)
    found = rotation.latencies()[FILE]
    assert isinstance(found, Latency)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
