"""Files that were run once answer from what was kept."""

import numpy as np
import pytest
from support.measure_models import dense_model

from lwdash.measure import output_cache as kept
from lwdash.measure.output_cache import OutputCache
from lwdash.measure.runner import Runner

ROWS = {"x": np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)}


def model(factor: float) -> bytes:
    return dense_model(np.eye(4) * factor, np.zeros(4))


@pytest.fixture
def runs(monkeypatch):
    """How many rows each call ran."""
    counts: list[int] = []
    real = Runner.run

    def counted(self, inputs, **options):
        counts.append(len(inputs["x"]))
        return real(self, inputs, **options)

    monkeypatch.setattr(Runner, "run", counted)
    return counts


def test_a_file_is_run_once_on_all_rows_and_some_rows_come_from_them(runs):
    cache, some = OutputCache(ROWS, cores=2), np.array([3, 80, 5])
    whole = next(iter(cache.of(model(2)).values()))
    np.testing.assert_allclose(whole, 2 * ROWS["x"], rtol=1e-6)
    np.testing.assert_array_equal(*cache.on(model(2), some).values(), whole[some])
    assert runs == [90]


def test_some_rows_alone_are_run_where_all_are_not_known(runs):
    cache, some = OutputCache(ROWS), np.array([3, 80, 5])
    for _ in range(2):
        np.testing.assert_allclose(*cache.on(model(3), some).values(), 3 * ROWS["x"][some], rtol=1e-6)
    cache.on(model(3), np.arange(90))
    assert runs == [3, 90]


def test_the_oldest_answers_make_room(runs, monkeypatch):
    monkeypatch.setattr(kept, "MAX_BYTES", 2 * ROWS["x"].nbytes)
    cache = OutputCache(ROWS)
    for factor in (1, 2, 1, 3, 1, 2):
        cache.of(model(factor))
    assert len(runs) == 4, "1 was used last when 3 came, so 2 went"
