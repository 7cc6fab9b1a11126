"""Runs files on targets in a child process, and keeps the results by the content of the file."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lwdash
from lwdash.child.stage_link import LinkCache


def target_results(
    cache: LinkCache,
    tflite: bytes,
    stored: str | None,
    inputs: Mapping[str, Any],
    rows_key: str,
    names: Sequence[str],
) -> dict[str, Any]:
    """Stored form of the result of each of the targets `names`; kept for the next run with the same file and rows.

    stored: path of the file in another storage form, which the targets run if it is a .tflite (look-up tables are).
    inputs: name → (rows, *shape). rows_key: of these rows in the cache.
    """
    from lwdash.compress.cached_stages import content_key
    from lwdash.measure.timing.host_facts import this_host
    from lwdash.measure.timing.latency import digest
    from lwdash.targets import TIMED, run_on_targets, target_versions
    from lwdash.tflite.reader import is_tflite

    form = Path(stored).read_bytes() if stored else tflite
    run, versions = form if is_tflite(form) else tflite, target_versions()
    found: dict[str, Any] = {}
    for name in dict.fromkeys(names):
        key = content_key(
            {
                "kind": f"target {name}",
                "files": [digest(run), digest(tflite)],
                "rows": rows_key,
                "versions": {"lwdash": lwdash.__version__, name: versions.get(name)},
                **({"host": this_host().fingerprint} if name in TIMED else {}),
            }
        )
        if (known := cache.get(key)) is not None:
            found[name] = known[1]
            continue
        started = time.monotonic()
        for target, result in run_on_targets(run, inputs, litert=tflite, names=(name,)).items():
            found[target] = result.to_dict()
            cache.put(key, "targets", run, found[target], time.monotonic() - started)
    return found
