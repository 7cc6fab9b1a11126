"""The worked example of docs/deep-compression.md, from drawing the digits to decoding the file."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from conftest import ROOT

from lwdash.packing.coded_file import decode

RECIPE = "prune(sparsity=0.99, scope=global, rounds=6, epochs=5) + cluster(clusters=8) + int8 + coded"
MIN_TIMES_SMALLER = 150


def test_lenet_5_is_150_times_smaller_without_a_loss_that_shows(tmp_path: Path) -> None:
    folder = tmp_path / "digits28"
    environment = {**os.environ, "LWDASH_HOME": str(tmp_path / "home")}

    def call(*arguments: str | Path) -> str:
        return subprocess.check_output(
            [sys.executable, "-m", *map(str, arguments)], cwd=ROOT, env=environment, text=True
        )

    call("lwdash.examples.make_stroke_digits", folder)
    files = (folder / "lenet5.keras", "--data", folder / "train.csv", "--eval", folder / "evaluation.csv")
    recipes = ("--recipe", "float32", "--recipe", RECIPE)
    answer = call("lwdash", "run", *files, "--label", "label", *recipes, "--json")
    float32, run = json.loads(answer)["runs"]
    download = tmp_path / "lenet5.coded.zip"
    call("lwdash", "export", str(run["id"]), "--stored", "--out", download)
    with zipfile.ZipFile(download) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".coded"))
        coded = archive.read(name)
    times = float32["size_bytes"] / len(coded)
    print(f"{float32['size_bytes']:,} → {len(coded):,} B: {times:.0f} times smaller. {run['verdict_text']}")
    assert len(decode(coded)) == run["size_bytes"]
    assert run["verdict"] in ("equivalent", "cannot tell", "better")
    assert times >= MIN_TIMES_SMALLER
