"""Pre-processing: the text form, and every step against an independent calculation."""

from fractions import Fraction

import numpy as np
import pytest

from lwdash.datasets.preprocessing.language import parse_preprocess
from lwdash.datasets.preprocessing.resize import resize_last, resize_plane
from lwdash.datasets.preprocessing.steps import apply_steps, learn_statistics, output_shape
from lwdash.errors import DataRefused

RANDOM = np.random.default_rng(5)


def steps(text):
    return parse_preprocess(text).steps


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        (
            "resize(500,method=area)+scale(minmax,per=row) + channel(last)+cast(float32)",
            "resize(500, method=area) + scale(minmax, per=row) + channel(last) + cast(float32)",
        ),
        ("resize(500)", "resize(500, method=area)"),
        ("reshape(28x28) + resize(32×32, method=linear)", "reshape(28x28) + resize(32x32, method=linear)"),
        ("scale(range, from=-1e3, to=1000, low=-1)", "scale(range, from=-1000, to=1000, low=-1, high=1)"),
        ("scale(zscore, per=column)", "scale(zscore, per=column)"),
        ("divide(255)", "divide(255)"),
        (
            "reshape(3x32x32, order=columns) + axes(1, 2, 0)",
            "reshape(3x32x32, order=columns) + axes(1, 2, 0)",
        ),
        ("columns(t0..t9, img_*, #3..#4)", "columns(t0..t9, img_*, #3..#4)"),
        ("divide(2); img: divide(255); ids: cast(int32)", "divide(2); img: divide(255); ids: cast(int32)"),
        ("img: divide(255)", "img: divide(255)"),
    ],
)
def test_text_has_one_canonical_form_that_reads_back(text, canonical):
    parsed = parse_preprocess(text)
    assert str(parsed) == canonical
    assert parse_preprocess(canonical) == parsed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rezise(5)", "Did you mean 'resize'"),
        ("resize(5, mehtod=area)", "Did you mean 'method'"),
        ("resize(5, method=cubic)", "received 'cubic'"),
        ("resize(0)", "received '0'"),
        ("resize(2x3x4)", "one or two lengths"),
        ("resize()", "exactly one value"),
        ("scale(minmax, per=rows)", "Did you mean 'row'"),
        ("scale(minmax, low=2)", "low=2, high=1"),
        ("scale(zscore, low=2)", "has no meaning here"),
        ("scale(range, from=5, to=5)", "from=5, to=5"),
        ("divide(0)", "received 0"),
        ("divide(nan)", "received 'nan'"),
        ("axes(0, 0)", "each axis"),
        ("cast(float33)", "Did you mean 'float32'"),
        ("cast(int8) + divide(2)", "must be the last step"),
        ("divide(2) + columns(a)", "must be the first step"),
        ("resize(5", "cannot be read"),
        ("divide(1); divide(2)", "input's name"),
    ],
)
def test_mistakes_are_named_with_what_was_received(text, said):
    with pytest.raises(DataRefused, match=said.replace("(", r"\(")):
        parse_preprocess(text)


def area_by_hand(row, target):
    """Mean of each output cell's stretch of the input, in exact fractions."""
    size = len(row)
    result = []
    for i in range(target):
        start, end = Fraction(i * size, target), Fraction((i + 1) * size, target)
        total = Fraction(0)
        for k in range(size):
            inside = min(end, Fraction(k + 1)) - max(start, Fraction(k))
            total += max(inside, Fraction(0)) * Fraction(row[k])
        result.append(float(total / (end - start)))
    return result


@pytest.mark.parametrize(
    ("size", "target"), [(10, 5), (10, 4), (10, 3), (7, 5), (140, 99), (5, 8), (6, 1), (12, 12)]
)
def test_area_resize_is_the_mean_over_each_output_cell(size, target):
    rows = RANDOM.normal(size=(3, size))
    expected = [area_by_hand(row, target) for row in rows]
    np.testing.assert_allclose(resize_last(rows, target, "area"), expected, rtol=1e-12, atol=1e-12)


def test_area_resize_on_numbers_done_on_paper():
    row = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    # 5 → 2: cells of 2.5 inputs: (1 + 2 + 3/2) / 2.5 and (3/2 + 4 + 5) / 2.5.
    np.testing.assert_allclose(resize_last(row, 2, "area"), [[1.8, 4.2]])
    # 4 → 2, a whole factor: plain means of pairs.
    np.testing.assert_allclose(resize_last(row[:, :4], 2, "area"), [[1.5, 3.5]])


def test_linear_resize_samples_at_half_pixel_centres():
    row = np.array([[0.0, 1.0, 4.0, 9.0]])
    # 4 → 2: places 0.5 and 2.5. 4 → 8: places −0.25 … 3.25, ends repeated.
    np.testing.assert_allclose(resize_last(row, 2, "linear"), [[0.5, 6.5]])
    places = (np.arange(8) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(resize_last(row, 8, "linear")[0], np.interp(places, np.arange(4), row[0]))


@pytest.mark.parametrize("method", ["area", "linear"])
@pytest.mark.parametrize("channels", [None, 3])
def test_resize_in_two_dimensions_is_one_dimension_after_the_other(method, channels):
    images = RANDOM.normal(size=(2, 6, 9) if channels is None else (2, 6, 9, channels))
    result = resize_plane(images, 4, 5, method)
    for image, resized in zip(images, result, strict=True):
        for c in range(channels or 1):
            plane = image if channels is None else image[..., c]
            wide = np.stack([resize_last(line, 5, method) for line in plane])
            full = np.stack([resize_last(line, 4, method) for line in wide.T]).T
            np.testing.assert_allclose(resized if channels is None else resized[..., c], full)


def test_scaling_per_row():
    rows = np.array([[1.0, 2.0, 5.0], [4.0, 4.0, 4.0]])
    np.testing.assert_allclose(apply_steps(steps("scale(minmax, per=row)"), rows), [[0, 0.25, 1], [0, 0, 0]])
    np.testing.assert_allclose(
        apply_steps(steps("scale(minmax, per=row, low=-1, high=3)"), rows), [[-1, 0, 3], [-1, -1, -1]]
    )
    scored = apply_steps(steps("scale(zscore, per=row)"), rows)
    np.testing.assert_allclose(scored[0], (rows[0] - 8 / 3) / np.sqrt(((rows[0] - 8 / 3) ** 2).sum() / 3))
    np.testing.assert_array_equal(scored[1], 0)


def test_fixed_range_and_division():
    rows = np.array([[0.0, 51.0, 255.0]])
    np.testing.assert_allclose(apply_steps(steps("divide(255)"), rows), [[0, 0.2, 1]])
    np.testing.assert_allclose(
        apply_steps(steps("scale(range, from=0, to=255, low=-1)"), rows), [[-1, -0.6, 1]]
    )


@pytest.mark.parametrize("per", ["column", "all"])
@pytest.mark.parametrize("method", ["minmax", "zscore"])
def test_statistics_come_from_the_train_rows_alone(monkeypatch, per, method):
    monkeypatch.setattr("lwdash.datasets.preprocessing.steps.CHUNK_BYTES", 100)  # several chunks
    rows = RANDOM.normal(size=(50, 4)).astype(np.float32)
    rows[:, 2] = 3
    train = np.arange(0, 50, 3)
    own = steps(f"scale({method}, per={per})")
    learnt = learn_statistics(own, rows, train)
    axis = 0 if per == "column" else None
    picked = rows[train].astype(np.float64)
    if method == "minmax":
        offset, width = picked.min(axis=axis), np.ptp(picked, axis=axis)
    else:
        offset, width = picked.mean(axis=axis), picked.std(axis=axis)
    width = np.where(width == 0, 1, width)
    np.testing.assert_allclose(
        apply_steps(own, rows.astype(np.float64), learnt), (rows - offset) / width, atol=1e-12
    )


def test_two_steps_that_need_the_train_rows_follow_each_other():
    rows = RANDOM.normal(size=(40, 4)) * 5 + 2
    own = steps("scale(zscore, per=column) + scale(minmax, per=all)")
    learnt = learn_statistics(own, rows, np.arange(40))
    result = apply_steps(own, rows, learnt)
    scored = (rows - rows.mean(0)) / rows.std(0)
    np.testing.assert_allclose(result, (scored - scored.min()) / (scored.max() - scored.min()))


def test_reshape_orders_and_axes():
    row = np.arange(24.0)[None]
    assert apply_steps(steps("reshape(2x3x4)"), row)[0, 1, 2, 3] == 23
    np.testing.assert_array_equal(
        apply_steps(steps("reshape(4x6, order=columns)"), row)[0], np.arange(24).reshape(4, 6, order="F")
    )
    moved = apply_steps(steps("reshape(3x2x4) + axes(1, 2, 0)"), row)[0]
    np.testing.assert_array_equal(moved, np.moveaxis(np.arange(24).reshape(3, 2, 4), 0, -1))
    assert output_shape(steps("channel(first)"), (24,)) == (1, 24)
    assert output_shape(steps("resize(500) + channel(last)"), (5000,)) == (500, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("reshape(5x5)", "needs 25 values per row, but there are 24"),
        ("resize(4x4)", "needs rows with a height and a width"),
        ("reshape(4x6) + resize(5)", "works along a row"),
        ("axes(0, 1)", "names 2 axes, but a row has 1"),
    ],
)
def test_steps_that_do_not_fit_the_shape_are_refused(text, said):
    with pytest.raises(DataRefused, match=said):
        output_shape(steps(text), (24,))
