"""The values of generated rows: from the model's first layers, from the user, or refused in words."""

import numpy as np
import pytest

from lwdash.errors import DataRefused
from lwdash.generated_rows.input_plans import InputPlan, plan_inputs
from lwdash.generated_rows.start_values import start_values
from lwdash.keras_models.model_facts import InputScaling, ModelFacts, TensorFacts


def facts(
    *scaling: InputScaling, dtype: str = "float32", shape: tuple[int | None, ...] | None = (8, 8, 3)
) -> ModelFacts:
    inputs = (TensorFacts("image", shape, dtype),)
    outputs = (TensorFacts("classes", (10,), "float32"),)
    return ModelFacts("keras", "3.0", "keras", "net", "Functional", inputs, outputs, 100, (), scaling=scaling)


def plan(
    model: ModelFacts,
    *,
    vocabularies: dict[str, int] | None = None,
    has_statistics: bool = False,
    stated: tuple[float, float] | None = None,
) -> InputPlan:
    [found] = plan_inputs(
        model, vocabularies=vocabularies or {}, has_statistics=has_statistics, stated=stated
    )
    return found


@pytest.mark.parametrize(
    ("scale", "offset", "low", "high"),
    [(1 / 255, 0.0, 0.0, 255.0), (1 / 127.5, -1.0, 0.0, 255.0), (1.0, 0.0, 0.0, 1.0)],
)
def test_a_rescaling_tells_the_range_that_it_scales(
    scale: float, offset: float, low: float, high: float
) -> None:
    found = plan(facts(InputScaling("image", ("rescaling",), (scale,), (offset,))))
    assert found.reach is not None
    ends = [found.mean[0] + sign * found.reach * found.deviation[0] for sign in (-1, 1)]
    assert ends == pytest.approx([low, high])
    assert "'rescaling'" in found.source


def test_a_normalization_tells_mean_and_deviation_of_each_channel() -> None:
    learnt = InputScaling("image", ("norm",), (0.5, 0.1, 0.0), (-2.0, -3.0, 0.0), is_learnt=True)
    found = plan(facts(learnt))
    assert found.mean == pytest.approx((4.0, 30.0, 17.0)), (
        "a channel that was constant gets the middle of the others"
    )
    assert found.deviation == pytest.approx((2.0, 10.0, 6.0))


def test_the_users_range_comes_before_that_of_the_model() -> None:
    found = plan(facts(InputScaling("image", ("rescaling",), (1 / 255,), (0.0,))), stated=(-2.0, 6.0))
    assert (found.mean, found.deviation, found.reach) == ((2.0,), (2.0,), 2.0)


def test_without_a_scaling_batch_normalizations_find_the_scale() -> None:
    assert plan(facts(InputScaling("image")), has_statistics=True).reach is None


def test_bytes_take_the_range_of_their_type() -> None:
    found = plan(facts(dtype="uint8"))
    assert (found.mean, found.is_whole) == ((127.5,), True)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (facts(InputScaling("image")), "tells nothing about the values of input 'image'.*--input-range"),
        (facts(dtype="int32"), "takes whole numbers \\(int32\\).*--input-range"),
        (facts(dtype="string"), "takes string values. Give samples"),
        (facts(shape=(None, 8)), "takes any length.*Give samples"),
        (facts(shape=None), "takes any length.*Give samples"),
    ],
)
def test_what_nothing_tells_is_refused_with_a_remedy(model: ModelFacts, message: str) -> None:
    with pytest.raises(DataRefused, match=message):
        plan(model)


def test_ids_are_below_the_vocabulary() -> None:
    assert plan(facts(dtype="int32", shape=(12,)), vocabularies={"image": 50}).vocabulary == 50


def test_start_values_have_mean_0_and_deviation_1_and_neighbours_that_are_alike() -> None:
    values = start_values(400, (16, 16, 2), np.random.default_rng(0))
    assert abs(values.mean()) < 0.05
    assert values.std() == pytest.approx(1.0, abs=0.05)
    beside = np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1]
    channels = np.corrcoef(values[..., 0].ravel(), values[..., 1].ravel())[0, 1]
    assert beside > 0.25
    assert abs(channels) < 0.1
