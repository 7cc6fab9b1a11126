"""A large CSV: how fast it is read against `pandas.read_csv`, and how much memory that takes. Each in its own process.

The ratio is printed, not checked: on few cores decimals are as fast as their parser. The memory is checked.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MEGABYTES = int(os.environ.get("BENCH_CSV_MB", "1000"))
MAX_MEMORY_MB = 1000
OURS = """
import resource, sys, time
from pathlib import Path
from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.prepare import prepare
from lwdash.datasets.data_settings import DataSettings
path, width = Path(sys.argv[1]), int(sys.argv[2])
facts = inspect_data(path, label="label")
started = time.perf_counter()
made = prepare(path, DataSettings(label="label"), [("x", (width,), "float32")], [("y", (10,), "float32")],
               task="classification", facts=facts)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, made.rows)
"""
PANDAS = """
import resource, sys, time
import numpy as np, pandas as pd
started = time.perf_counter()
frame = pd.read_csv(sys.argv[1])
values = frame.drop(columns="label").to_numpy(np.float32)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, len(values))
"""


def write_csv(path: Path, width: int, *, whole: bool) -> None:
    """Rows of pixels (0–255) or of decimals with five digits until the file is large enough."""
    generator = np.random.default_rng(0)
    block = [
        ",".join([str(i % 10), *(str(v) if whole else f"{v:.5f}" for v in row)])
        for i, row in enumerate(
            generator.integers(0, 256, (200, width)) if whole else generator.normal(size=(200, width))
        )
    ]
    text = "\n".join(block) + "\n"
    with path.open("w") as file:
        file.write(",".join(["label", *(f"p{i}" for i in range(width))]) + "\n")
        for _ in range(max(1, MEGABYTES * 1_000_000 // len(text))):
            file.write(text)


def timed(program: str, path: Path, width: int) -> tuple[float, int, int]:
    """Seconds, peak memory in MB, rows."""
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path), str(width)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    seconds, memory, rows = ended.stdout.split()
    return float(seconds), int(memory), int(rows)


@pytest.mark.parametrize(("kind", "width"), [("pixels", 784), ("decimals", 140)])
def test_a_large_csv_is_read_in_pieces(kind: str, width: int, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    write_csv(path, width, whole=kind == "pixels")
    ours, theirs = timed(OURS, path, width), timed(PANDAS, path, width)
    print(
        f"{kind}, {path.stat().st_size / 1e6:,.0f} MB, {ours[2]:,} rows: {ours[0]:.1f} s in {ours[1]:,} MB of memory; "
        f"pandas {theirs[0]:.1f} s in {theirs[1]:,} MB: {theirs[0] / ours[0]:.1f}× as fast"
    )
    assert ours[2] == theirs[2]
    assert ours[1] < MAX_MEMORY_MB
