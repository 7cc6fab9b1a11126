"""Damaged and forged .tflite files: refused in words, and nothing but a child process can crash."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
from forge_tflite import FORGED, crashing, good

from lwdash.child import jobs
from lwdash.child.job_results import Failure, Inspected
from lwdash.child.jobs import UploadedFile
from lwdash.engine.input_files.file_inspection import ask_child
from lwdash.settings import load_settings
from lwdash.tflite.graph_scan import scan_tflite
from lwdash.tflite.layout_scan import TfliteRefused
from lwdash.tflite.port_facts import port_facts


def test_a_good_file_passes() -> None:
    facts = port_facts(scan_tflite(good()))
    assert facts["operators"] == {"FULLY_CONNECTED": 1, "SOFTMAX": 1}
    assert [port["shape"] for port in (*facts["inputs"], *facts["outputs"])] == [[4], [3]]


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_file_is_refused_in_words(name: str) -> None:
    make, words = FORGED[name]
    with pytest.raises(TfliteRefused) as refused:
        scan_tflite(make())
    message = str(refused.value)
    assert re.search(words, message), message
    assert len(message) < 500


def test_any_changed_byte_is_refused_or_read() -> None:
    """Single bytes of the file are overwritten: the scan ends in facts or in words, never in another error."""
    chosen, data = random.Random(0), good()
    refusals = 0
    for _ in range(1500):
        forged = bytearray(data)
        for _ in range(chosen.choice((1, 1, 3))):
            forged[chosen.randrange(len(forged))] = chosen.choice(
                (0, 1, 127, 128, 255, chosen.randrange(256))
            )
        try:
            scan_tflite(bytes(forged))
        except TfliteRefused:
            refusals += 1
    assert refusals > 300


@pytest.mark.processes
def test_a_child_reads_the_file_and_reports_the_refusal(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "home")
    answers = {}
    for name, data in (("good", good()), ("forged", FORGED["huge vector"][0]())):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(data)
        job = jobs.InspectTflite(file=UploadedFile(str(path), "a" * 64, path.name))
        answers[name] = ask_child(settings, job, Inspected)
    assert isinstance(answers["good"], Inspected)
    forged = answers["forged"]
    assert isinstance(forged, Failure)
    assert not forged.is_fault
    assert "damaged" in forged.error


CRASH = """
import sys
import numpy as np
from lwdash.compress.taken_file import check_taken_file
from lwdash.errors import LwdashError
try:
    check_taken_file(open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read(), {"x": np.zeros((1, 4), np.float32)})
except LwdashError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.mark.processes
def test_what_passes_the_scan_and_cannot_run_ends_its_own_process_only(tmp_path: Path) -> None:
    """Positions far outside of a tensor: LiteRT refuses them or crashes, in a process of its own."""
    import subprocess
    import sys

    files = []
    for name, data in (("forged", crashing()), ("good", good())):
        files.append(tmp_path / f"{name}.tflite")
        files[-1].write_bytes(data)
    scan_tflite(crashing())
    ended = subprocess.run([sys.executable, "-c", CRASH, *files], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert "refused:" in ended.stderr or ended.returncode < 0


def test_facts_have_the_scale_of_quantized_ports() -> None:
    from support.measure_models import int8_dense_model

    data = int8_dense_model(
        np.ones((3, 4)), np.zeros(3), np.full(3, 0.1), input_scale=0.5, input_zero_point=-3, output_scale=0.25,
        output_zero_point=1,
    )  # fmt: skip
    facts = port_facts(scan_tflite(data))
    assert (facts["inputs"][0]["scale"], facts["inputs"][0]["zero_point"]) == (0.5, -3)
    assert facts["stored_bytes"]["int8"] == 12
