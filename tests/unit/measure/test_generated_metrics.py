"""Metrics on generated rows: none passes for one on real rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.measure_models import dense_model

from lwdash.advice.evidence import Evidence
from lwdash.advice.suggestions import suggest
from lwdash.measure.generated_metrics import UNKNOWN, as_generated, layers_as_generated
from lwdash.measure.measure_run import measure
from lwdash.metrics.layer_metrics import QUANTITIES, measured_quantities
from lwdash.metrics.recommendation import losses, recommend
from lwdash.metrics.run_metrics import quality_of
from lwdash.ui.results.experiment_report import LAYER_METRICS
from lwdash.ui.run.map.layers_tab import COLUMNS, FIRST, layer_frame


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """A rounded classifier against its original, on rows without labels."""
    chance = np.random.default_rng(0)
    kernel = chance.normal(size=(3, 8))
    rows = chance.normal(size=(200, 8)).astype(np.float32)
    baseline = dense_model(kernel, np.zeros(3), softmax=True)
    run = dense_model(np.round(kernel, 0), np.zeros(3), softmax=True)
    return measure(run, baseline, {"x": rows}, None, task="classification", latency_seconds=0).to_dict()


def test_the_sqnr_of_a_layers_output_names_the_rows_wherever_it_is_shown() -> None:
    rows = layers_as_generated(
        [{"index": 0, "type": "CONV_2D", "output_sqnr_db": 31.2, "weight_sqnr_db": 40.0}]
    )
    assert rows[0]["output_sqnr_db"] is None
    assert rows[0]["output_sqnr_generated_db"] == 31.2
    assert measured_quantities(rows) == ["output_sqnr_generated_db", "weight_sqnr_db"]
    assert QUANTITIES["output_sqnr_generated_db"].label == "Output SQNR on generated rows"
    assert [COLUMNS[c]["label"] for c in layer_frame(rows, []).columns if "sqnr" in c] == [
        "Weight SQNR (dB)",
        "Output SQNR, generated rows (dB)",
    ]
    assert "output_sqnr_generated_db" in {*FIRST} & {*LAYER_METRICS}


def test_agreement_and_sqnr_have_names_of_their_own_and_there_is_no_verdict(measured: dict[str, Any]) -> None:
    found = as_generated(measured)
    assert set(measured) <= set(found), "no key of --json goes away"
    assert found["agreement_generated"] == measured["agreement"] < 1
    assert found["sqnr_generated_db"] == measured["sqnr_db"]
    assert found["generated_rows"] == 200
    for key in (*UNKNOWN, "rows", "agreement", "sqnr_db", "baseline_accuracy"):
        assert found.get(key) is None, key
    assert found["flips"] == []
    assert found["verdict_text"] == (
        "No verdict: the rows are generated, so the accuracy is unknown. On 200 generated rows the predictions agree with "
        f"the original's on {100 * measured['agreement']:.1f} % and SQNR is {measured['sqnr_db']:.1f} dB."
    )


def test_neither_limits_nor_advice_see_a_loss_and_no_run_is_recommended(measured: dict[str, Any]) -> None:
    found = as_generated(measured)
    files = {"float32": 2500, "int8": 900, "float16": 1500}
    runs = pd.DataFrame(
        [
            {
                **found,
                "id": i,
                "recipe": recipe,
                "is_baseline": i == 1,
                "size_bytes": size,
                "baseline_size_bytes": 2500,
            }
            for i, (recipe, size) in enumerate(files.items(), start=1)
        ]
    ).assign(state="succeeded")
    assert losses(runs).isna().all()
    assert quality_of(runs).label == "Agreement on generated rows"
    best = recommend(runs, {})
    assert best is not None
    assert (best.run, best.nearest, best.headline) == (None, 2, "No recommendation without real rows")
    assert best.reason == (
        "The rows are generated from the model, so no loss can be measured. The smallest file is int8: 0.9 kB, agreement on "
        f"generated rows {100 * measured['agreement']:.2f} %. Give samples to learn what it costs."
    )
    limited = recommend(runs, {"size_bytes": 2000.0})
    assert limited is not None
    assert limited.run == 2
    assert "agreement on generated rows" in limited.reason
    assert limited.reason.endswith("The rows are generated from the model, so no loss can be measured.")
    assert suggest(Evidence("int8", found, {}, {})) == []


def test_an_output_that_is_lost_is_told_with_its_rows() -> None:
    found = as_generated({"rows": 128, "output_findings": ["Output 'y' is constant."], "sqnr_db": None})
    assert found["output_findings"] == ["On generated rows: Output 'y' is constant."]
    assert found["verdict_text"].endswith("On 128 generated rows the outputs are identical.")
