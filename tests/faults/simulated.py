"""A child that only pretends to compress and measure: a real process on the real link, without TensorFlow.

The recipe says what it does: `work(seconds=0.2)`, `slow(seconds=30)` (which tells its progress once a second),
`abort`, `eat`, `deaf`, `write(kb=2000)`, `wait(step=measure)` (which measures for ever). What it did is in the run's
log, one line a step, so that tests can count; a step's last line is there before its end is in the database.
"""

import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

from lwdash.child.job_results import Analysed, CompressedFiles, Measured, Result
from lwdash.child.jobs import Compress, Job, MeasureRun, read_job
from lwdash.child.link import Link
from lwdash.child.typed_messages import to_json


def write(content: bytes) -> str:
    descriptor, name = tempfile.mkstemp()
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return name


def pretend(recipe: str, link: Link) -> bytes:
    """Does what the recipe says and returns the made-up file."""
    number = float(match[1]) if (match := re.search(r"=([\d.]+)", recipe)) else 0.0
    verb = recipe.partition("(")[0]
    if verb == "abort":
        os.abort()
    if verb == "eat":
        hoard = []
        while True:
            hoard.append(bytearray(os.urandom(1 << 20)) * 16)
            time.sleep(0.02)
    if verb == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        link.progress("deaf", 0.5)
        while True:
            time.sleep(1)
    if verb == "write":
        return os.urandom(int(number * 1024))
    until = time.monotonic() + number
    while number and time.monotonic() < until:
        link.progress("working", 1 - (until - time.monotonic()) / number)
        time.sleep(min(1.0 if verb == "slow" else 0.05, number))
    return recipe.encode()


def main() -> None:
    link, step = Link(), sys.argv[1]
    while message := link.ask("next")["job"]:
        job = read_job(message)
        assert job.log is not None
        log = os.open(job.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        print(f"{step} begins", flush=True)
        result = made(job, link)
        print(f"{step} done", flush=True)
        link.ask("done", result=to_json(result))


def made(job: Job, link: Link) -> Result:
    """The file of a pretended compression is the text of its recipe; a measurement reads it there."""
    if isinstance(job, Compress):
        file = pretend(job.recipe, link)
        return CompressedFiles(write(file), write(b"baseline"), {"stages": [], "skipped": []})
    if not isinstance(job, MeasureRun):
        return Analysed({"layers": []})
    file = Path(job.tflite).read_bytes()
    if b"wait(step=measure)" in file:
        while True:
            link.progress("waiting in measure", 0.5)
            time.sleep(0.2)
    return Measured({"size_bytes": len(file), "accuracy": 0.9}, {"layers": []})


if __name__ == "__main__":
    main()
