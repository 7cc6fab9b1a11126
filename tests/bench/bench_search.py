"""What a search finds in so many runs, against runs drawn at random and against the standard sweep, on the digits example.

Each of the two searches starts from the same finished standard sweep, so that what both are compared with is the same.
And how near its estimate of the selection bias comes to rows that were really kept apart.
"""

import shutil
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from conftest import ROOT, Called
from conftest import call_lwdash as call
from sqlalchemy import select

from lwdash.datasets.dataset import Dataset
from lwdash.measure.runner import Runner
from lwdash.search.outcomes import Outcome, best
from lwdash.search.selection_bias import selection_bias_of_best
from lwdash.search.sweeps import STANDARD_SWEEP
from storage.store import open_store
from storage.tables import Run, Stage

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
    found: dict[str, list[float]] = {"guided": [], "random": []}
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
    print(f"guided against random: {mean(found['random']) / mean(found['guided']):.2f}x smaller")


def test_luck_against_rows_that_were_kept_apart(swept: Path, tmp_path: Path) -> None:
    """The 434 rows that no recipe trained on are divided at random: chosen by one half, checked on the other."""
    home = tmp_path / "home"
    shutil.copytree(swept, home, ignore=shutil.ignore_patterns("engine.lock", "scratch"))
    assert call(home, "search", *COMMON, "--goal", "gzip", "--runs", str(RUNS)).code == 0
    runs, baseline = right_rows(home)
    rows, chance = len(baseline), np.random.default_rng(0)
    for limit in (0.01, 0.005):
        figures = []
        for _ in range(150):
            shuffled = chance.permutation(rows)
            half, other = shuffled[: rows // 2], shuffled[rows // 2 :]
            found, changed = [], {}
            for number, (size, right) in runs.items():
                change = baseline[half].astype(int) - right[half]
                found.append(
                    Outcome(
                        number, "int8", -change.mean(), size, {"accuracy_drop": change.mean() / limit - 1}
                    )
                )
                changed[number] = np.flatnonzero(change > 0).tolist(), np.flatnonzero(change < 0).tolist()
            bias, chosen = selection_bias_of_best(found, changed, len(half), limit), best(found)
            if bias and chosen:
                apart = baseline[other].mean() - runs[chosen.run][1][other].mean()
                figures.append((bias.in_sample_drop, bias.out_of_sample_drop, apart))
        seen, estimated, apart = 100 * np.mean(figures, axis=0)
        print(
            f"limit {100 * limit:g}: lost {seen:.2f} points, {estimated:.2f} estimated, {apart:.2f} on the other half"
        )


def right_rows(home: Path) -> tuple[dict[int, tuple[float, np.ndarray]], np.ndarray]:
    """Of each run its gzipped size and the rows that it gets right, and those of the baseline."""
    store = open_store(f"sqlite:///{home / 'lwdash.sqlite'}", str(home / "artifacts"), home / "cache")
    with store.database.connect() as connection:
        of_rows = connection.execute(select(Stage.sha256).where(Stage.kind == "dataset")).scalars().first()
        made = select(Run.id, Run.is_baseline, Run.gzip_bytes, Run.tflite_sha256).where(
            Run.state == "succeeded"
        )
        listed = connection.execute(made).all()
    data = Dataset.load(store.artifacts.local_path(of_rows or ""))
    parts = [data.part(name) for name in ("evaluation", "calibration")]

    def right(sha256: str | None) -> np.ndarray:
        runner = Runner(store.artifacts.read(sha256 or ""))
        answers = [next(iter(runner.run(inputs).values())).argmax(axis=-1) for inputs, _ in parts]
        return np.concatenate(answers) == np.concatenate([np.ravel(labels) for _, labels in parts])

    files = {row.id: (row.gzip_bytes, right(row.tflite_sha256)) for row in listed if not row.is_baseline}
    return files, right(next(row.tflite_sha256 for row in listed if row.is_baseline))
