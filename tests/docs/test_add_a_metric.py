"""docs/add-a-metric.md, followed to the letter: the metric of the page is measured, described and explained."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.documented import documented, loaded, module_name
from support.measure_models import dense_model

COLUMN = "weight_entropy_bits"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    files = documented("add-a-metric.md")
    return {module_name(path): loaded(path, source, monkeypatch) for path, source in files.items()}


def test_the_metric_of_the_page_is_measured(modules: dict[str, Any]) -> None:
    """Half of the weights are 0, a quarter 1, a quarter 2: 1.5 bits each."""
    kernel = np.array([[0, 0, 1, 2], [0, 0, 1, 2]], float)
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
    file = dense_model(kernel, np.zeros(2))
    measures = modules["lwdash.measure.measure_run"].measure(
        file, file, {"x": rows}, None, task="regression", latency_seconds=0.0
    )
    assert measures.to_dict()[COLUMN] == pytest.approx(1.5)


def test_it_is_described_and_explained(modules: dict[str, Any]) -> None:
    metrics = modules["lwdash.metrics.run_metrics"]
    [found] = metrics.available(pd.DataFrame({COLUMN: [1.5, None]}))
    assert found.write(1.5) == "1.50 bits"
    entries = modules["lwdash.ui.glossary.entries"]
    assert set(entries.MEASURE_TRAPS) == set(metrics.MEASURES)
    assert entries.MEASURE_TRAPS[COLUMN].endswith(".")
    assert COLUMN in {entry.slug for entry in entries.glossary()}
