"""What a search finds in so many runs, against runs drawn at random and against the standard sweep, on the digits example.

Each of the two searches starts from the same finished standard sweep, so that what both are compared with is the same.
"""

import shutil
from pathlib import Path
from statistics import mean

import pytest
from conftest import ROOT, Called
from conftest import call_lwdash as call

from lwdash.engine.submit import STANDARD_SWEEP

EXAMPLE = ROOT / "lwdash/examples"
COMMON = (
    EXAMPLE / "digits.keras", "--data", EXAMPLE / "digits.csv", "--label", "label", "--experiment", "digits",
    "--max-drop", "1", "--json",
)  # fmt: skip
RUNS, SEEDS = 16, (0, 1)


def best_gzip(found: Called) -> float:
    """Bytes of the smallest gzipped file that keeps the limit."""
    assert found.code == 0, found.err
    whole = found.json
    return next(run["gzip_bytes"] for run in whole["front"] if run["id"] == whole["best"])


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("search") / "swept"
    arguments = [part for recipe in STANDARD_SWEEP for part in ("--recipe", recipe)]
    called = call(home, "run", *COMMON, *arguments)
    assert called.code == 0, called.err
    return home


def test_a_search_against_chance_and_the_standard_sweep(swept: Path, tmp_path: Path) -> None:
    found: dict[str, list[float]] = {"tpe": [], "random": []}
    for seed in SEEDS:
        for sampler in found:
            home = tmp_path / f"{sampler}-{seed}"
            shutil.copytree(swept, home, ignore=shutil.ignore_patterns("engine.lock", "scratch"))
            options = (
                "--goal",
                "gzip",
                "--runs",
                str(RUNS),
                "--sampler",
                sampler,
                "--sampler-seed",
                str(seed),
            )
            found[sampler].append(best_gzip(call(home, "search", *COMMON, *options)))
    kept = [
        run["gzip_bytes"]
        for run in call(swept, "runs", "--json").json["runs"]
        if run["accuracy"] >= run["baseline_accuracy"] - 0.01 and run["recipe"] != "float32"
    ]
    before = min(kept)
    print(f"smallest gzipped file within 1 point, bytes: sweep {before:,.0f}, {RUNS} runs more each: {found}")
    for sampler, sizes in found.items():
        print(f"{sampler}: {before / mean(sizes):.2f}x smaller than the standard sweep's")
    print(f"tpe against random: {mean(found['random']) / mean(found['tpe']):.2f}x smaller")
