"""Files sorted by class: what looks at some of the rows sees all classes."""

import numpy as np
import pytest

from lwdash.contract import Training
from lwdash.quantize.quantizers.litert_quantizer import some_rows
from lwdash.spread_rows import spread
from lwdash.training.batch_norm import settle_batch_norm


def test_indices_reach_from_the_first_row_to_the_last() -> None:
    assert spread(1000, 4).tolist() == [0, 333, 666, 999]
    assert spread(3, 4).tolist() == [0, 1, 2]
    assert len(set(spread(1025, 1024).tolist())) == 1024


def test_calibration_rows_are_from_all_of_the_part() -> None:
    classes = np.repeat(np.arange(10), 100)
    found = some_rows({"x": classes}, 50)
    assert found is not None
    assert np.bincount(found["x"]).tolist() == [5] * 10
    assert some_rows(None, 50) is None


@pytest.mark.tensorflow
def test_batch_normalization_settles_on_statistics_of_all_rows() -> None:
    import tf_keras

    chance = np.random.default_rng(3)
    rows = np.concatenate([chance.normal(0, 1, (1500, 1)), chance.normal(10, 1, (1500, 1))]).astype("float32")
    goal = (rows - rows.mean()) / rows.std()
    norm = tf_keras.layers.BatchNormalization(epsilon=1e-5)
    model = tf_keras.Sequential([tf_keras.Input((1,)), norm])
    training = Training([rows], goal, [goal], "regression", 0, lambda doing, share: None)
    assert settle_batch_norm(model, training)
    assert norm.moving_mean.numpy()[0] == pytest.approx(rows.mean(), abs=0.1)
    assert norm.moving_variance.numpy()[0] == pytest.approx(rows.var(), rel=0.05)
