"""`measure` as a whole: what a run's row in the database is made of."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import special
from support.measure_models import Model, dense_model

from lwdash.errors import DataRefused, ResultRejected
from lwdash.measure.measure_run import measure
from lwdash.measure.output_cache import OutputCache

CONTRACT = {
    "size_bytes",
    "gzip_bytes",
    "huffman_bytes",
    "accuracy",
    "accuracy_ci",
    "baseline_accuracy",
    "agreement",
    "sqnr_db",
    "kl_nats",
    "verdict",
    "verdict_text",
    "latency_ms_p50",
    "latency_ms_p90",
    "latency_ms_p99",
    "speedup",
    "speedup_ci",
    "baseline_latency_ms_p50",
    "load_ms",
    "first_ms",
    "host_id",
    "threads",
    "arena_bytes",
    "sparsity",
    "rows",
    "host",
    "layers",
    "confusion",
    "recalls",
}


@pytest.fixture(scope="module")
def case():
    """A problem that a dense softmax solves, and a coarse copy of it with half of its weights zero."""
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, 8))
    rows = generator.normal(size=(400, 8)).astype(np.float32)
    labels = (rows @ kernel.T).argmax(axis=1)
    coarse = np.where(np.abs(kernel) < np.median(np.abs(kernel)), 0.0, np.round(kernel, 1))
    return {
        "baseline": dense_model(kernel, np.zeros(3), softmax=True),
        "run": dense_model(coarse, np.zeros(3), softmax=True),
        "rows": rows,
        "labels": labels,
        "expected": special.softmax(rows @ coarse.T, axis=1),
    }


def test_every_figure_of_the_contract_is_there_and_right(case):
    seen: list[tuple[str, float]] = []
    measures = measure(
        case["run"], case["baseline"], {"x": case["rows"]}, case["labels"], task="classification",
        layer_names=["dense", "softmax"], latency_seconds=0.1, progress=lambda stage, share:
        seen.append((stage, share)),
    )  # fmt: skip
    figures = measures.to_dict()
    assert set(figures) >= CONTRACT
    json.dumps(figures, allow_nan=False)
    right = case["expected"].argmax(axis=1) == case["labels"]
    assert figures["accuracy"] == pytest.approx(right.mean())
    assert figures["baseline_accuracy"] == 1.0
    assert figures["agreement"] == figures["accuracy"]
    assert figures["verdict"] == "worse"
    assert figures["verdict_details"]["lost"] == int((~right).sum())
    assert figures["sparsity"] == 0.5
    assert figures["size_bytes"] == len(case["run"])
    assert [row["layer"] for row in figures["layers"]] == ["dense", "softmax"]
    assert sum(figures["ledger"].values()) == figures["size_bytes"]
    assert figures["rows"] == 400
    assert figures["arena_bytes"] == 32 + 16, (
        "eight floats in and three out; the softmax's three where the input was"
    )
    assert len(figures["flips"]) == min(200, int((~right).sum()))
    assert figures["flips"][0]["row"] == int(np.argmin(right))
    shares = [share for _, share in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_without_labels_there_is_agreement_and_no_accuracy(case):
    figures = measure(
        case["run"], case["baseline"], {"x": case["rows"]}, None, task="classification", latency_seconds=0
    ).to_dict()
    assert figures["accuracy"] is figures["baseline_accuracy"] is figures["confusion"] is None
    assert figures["agreement"] == pytest.approx((case["expected"].argmax(1) == case["labels"]).mean())
    assert figures["sqnr_db"] > 0
    assert figures["kl_nats"] > 0
    assert figures["verdict"] == "cannot tell"
    assert figures["speedup"] is figures["latency_ms_p50"] is None


def test_the_baseline_against_itself_is_equivalent_by_definition(case):
    figures = measure(
        case["baseline"],
        case["baseline"],
        {"x": case["rows"][:5]},
        case["labels"][:5],
        task="classification",
        latency_seconds=0,
    ).to_dict()
    assert (figures["verdict"], figures["agreement"], figures["is_identical"]) == ("equivalent", 1.0, True)
    assert figures["sqnr_db"] is None


def test_kept_answers_give_the_same_figures_and_keep_to_their_rows(case):
    inputs = {"x": case["rows"]}
    cache = OutputCache(inputs, cores=3)
    options = {"task": "classification", "latency_seconds": 0}
    plain = measure(case["run"], case["baseline"], inputs, case["labels"], **options).to_dict()
    for _ in range(2):
        kept = measure(
            case["run"], case["baseline"], inputs, case["labels"], cache=cache, **options
        ).to_dict()
        del kept["seconds"]
        assert kept == {key: value for key, value in plain.items() if key != "seconds"}
    with pytest.raises(DataRefused, match="other rows"):
        measure(case["run"], case["baseline"], {"x": case["rows"]}, case["labels"], cache=cache, **options)


def test_regression_and_reconstruction_have_their_own_figures():
    generator = np.random.default_rng(1)
    kernel, rows = np.eye(4), generator.normal(size=(60, 4)).astype(np.float32)
    baseline, run = dense_model(kernel, np.zeros(4)), dense_model(kernel, np.full(4, 0.1))
    figures = measure(run, baseline, {"x": rows}, None, task="reconstruction", latency_seconds=0).to_dict()
    assert figures["reconstruction_error"] == pytest.approx(0.01, rel=1e-4)
    assert figures["baseline_reconstruction_error"] == 0.0
    assert (figures["verdict"], figures["accuracy"], figures["agreement"]) == ("worse", None, None)
    targets = rows + generator.normal(0, 0.01, rows.shape).astype(np.float32)
    figures = measure(run, baseline, {"x": rows}, targets, task="regression", latency_seconds=0).to_dict()
    assert figures["mae"] == pytest.approx(0.1, rel=0.05)
    assert figures["r2"] < figures["baseline_r2"]
    assert figures["verdict"] == "worse"


def test_labels_are_held_against_the_output_that_they_are_for():
    """The first output has more classes than the second, which has the labels: nothing would fail on the first."""
    kernels = [
        np.random.default_rng(k).normal(size=(classes, 4)).astype(np.float32)
        for k, classes in enumerate((5, 3))
    ]
    rows = np.random.default_rng(2).normal(size=(80, 4)).astype(np.float32)

    def two_heads(step: float) -> bytes:
        model = Model()
        x, answers = model.tensor("x", (1, 4)), []
        for name, kernel in zip(("device", "state"), kernels, strict=True):
            answers.append(model.tensor(name, (1, len(kernel))))
            weights = model.tensor(
                f"{name}/MatMul", kernel.shape, data=np.round(kernel / step) * np.float32(step)
            )
            model.operator("FULLY_CONNECTED", [x, weights, -1], [answers[-1]], table="FullyConnectedOptions")
        return model.build([x], answers)

    labels = (rows @ kernels[1].T).argmax(axis=1)
    figures = [
        measure(
            two_heads(0.01),
            two_heads(1e-6),
            {"x": rows},
            labels,
            task="classification",
            judged=judged,
            latency_seconds=0,
        ).to_dict()
        for judged in (0, 1)
    ]
    assert (figures[1]["accuracy"], figures[1]["baseline_accuracy"]) == (pytest.approx(1.0, abs=0.05), 1.0)
    assert figures[0]["baseline_accuracy"] < 0.6
    assert [output["name"] for output in figures[1]["outputs"]] == ["state", "device"]
    assert figures[1]["sqnr_db"] == figures[1]["outputs"][0]["sqnr_db"]


def test_a_result_that_is_not_finite_is_no_result(case):
    broken = dense_model(np.full((3, 8), np.nan), np.zeros(3), softmax=True)
    with pytest.raises(ResultRejected, match="output 'model/softmax/Softmax' is not finite"):
        measure(broken, case["baseline"], {"x": case["rows"]}, case["labels"], task="classification")


def test_models_with_different_outputs_cannot_be_compared(case):
    other = dense_model(np.ones((5, 8)), np.zeros(5), softmax=True)
    with pytest.raises(DataRefused, match=r"has shape \(400, 5\), the baseline's \(400, 3\)"):
        measure(other, case["baseline"], {"x": case["rows"]}, case["labels"], task="classification")


def test_measuring_never_imports_tensorflow():
    code = (
        "import sys, lwdash.measure.measure_run, ai_edge_litert.interpreter, ai_edge_litert.schema_py_generated\n"
        "sys.exit(len({'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
