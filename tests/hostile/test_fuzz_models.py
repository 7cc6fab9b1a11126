"""Changed model files are accepted with finite facts or refused in words; nothing else, and soon."""

# ruff: noqa: F811 - pytest takes a fixture by the name of a parameter, here the imported `zoo`

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mutations import Base, change_bytes, change_member, change_metadata, change_value
from support.zoo import Zoo, zoo  # noqa: F401

from lwdash.errors import ModelRefused
from lwdash.keras_models.inspection import inspect_model
from lwdash.keras_models.model_facts import ModelFacts

pytestmark = pytest.mark.tensorflow

SECONDS = 2.0
SHORTEST_WORDS = 20
TIMES_SLOW = 12
"""How many times the cases in `make slow`."""

Change = Callable[[Base, random.Random, Path], str]
SAVED_MODELS = ("dictionary_inputs", "nested_twice")
"""Few, since each takes seconds to write."""
MODELS = ("nested_twice", "rarer_layers", "recurrent_cells", "slicing")
KINDS: dict[str, tuple[Change, int, tuple[tuple[str, str], ...]]] = {
    "values of .keras": (change_value, 700, (("keras", ".keras"), ("tf_keras", ".keras"))),
    "values of .h5": (change_value, 500, (("tf_keras", ".h5"), ("keras", ".h5"))),
    "values of SavedModels": (change_metadata, 250, (("tf_keras", ".zip"),)),
    "bytes of members": (change_member, 400, (("tf_keras", ".zip"), ("keras", ".keras"))),
    "bytes of files": (change_bytes, 600, (("keras", ".keras"), ("tf_keras", ".h5"), ("tf_keras", ".zip"))),
}
"""What is changed → how, in how many cases, and in the files of which library and format."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("times", [1, pytest.param(TIMES_SLOW, marks=pytest.mark.slow)])
def test_a_changed_file_is_understood_or_refused(kind: str, times: int, zoo: Zoo, tmp_path: Path) -> None:
    change, cases, sources = KINDS[kind]
    bases = [
        Base.read(zoo.file(library, name, suffix))
        for library, suffix in sources
        for name in (SAVED_MODELS if suffix == ".zip" else MODELS)
    ]
    gc.collect()
    gc.freeze()  # what TensorFlow keeps would be gone through again for every few configs
    faults = []
    for seed in range(times * cases):
        generator = random.Random(f"{kind} {seed}")
        base, path = generator.choice(bases), tmp_path / "upload"
        path.unlink(missing_ok=True)
        done = change(base, generator, path)
        if fault := fault_of(path):
            faults.append(f"seed {seed}, {base.name}, {done}: {fault}")
    assert not faults, f"{len(faults)} of {times * cases}\n" + "\n".join(faults[:20])


def fault_of(path: Path) -> str | None:
    """What is wrong with the answer to a file; None for facts that are fit to be shown, or words."""
    started = time.process_time()
    try:
        facts = inspect_model(path)
        # What goes to the server and into its database: JSON without NaN, text without zeros and halves of characters.
        text = json.dumps(facts.to_dict(), allow_nan=False, ensure_ascii=False)
        text.encode()
        assert "\\u0000" not in text
        assert facts.outputs, "no outputs"
        assert all(
            size is None or size > 0 for port in (*facts.inputs, *facts.outputs) for size in port.shape or ()
        )
        assert ModelFacts.from_dict(json.loads(text)) == facts
    except ModelRefused as refusal:
        if len(str(refusal)) < SHORTEST_WORDS or len(str(refusal)) > 1200:
            return f"refused with {len(str(refusal))} characters"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    seconds = time.process_time() - started
    return f"took {seconds:.1f} s" if seconds > SECONDS else None
