"""A .tflite that was made elsewhere, checked before it is measured beside the files of recipes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lwdash.errors import DataRefused
from lwdash.measure.runner import Runner
from lwdash.tflite.graph_scan import scan_tflite
from lwdash.tflite.port_facts import port_facts
from lwdash.tflite.reader import read_tflite


def check_taken_file(tflite: bytes, baseline: bytes, rows: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Facts of a file that gives outputs of the baseline's shapes on these rows; see `port_facts`.

    rows: input name → (rows, *shape), real numbers. Raises TfliteRefused, DataRefused, ConversionFailed where LiteRT
    refuses the file, ResultRejected where an output is not finite. Native code may crash on a forged file: call this
    in a child process.
    """
    facts = scan_tflite(tflite)
    outputs = Runner(tflite, facts=facts).run(rows)
    reference = Runner(baseline, facts=read_tflite(baseline)).run(rows)
    names = list(reference)
    ours = [outputs[name] for name in names] if set(outputs) == set(names) else list(outputs.values())
    for name, values in zip(names, ours, strict=True):
        if values.shape != reference[name].shape:
            raise DataRefused(
                f"output '{name}' has shape {values.shape[1:]} on each row, the experiment's model "
                f"{reference[name].shape[1:]}. Add a file of the same network"
            )
    return port_facts(facts)
