"""Synthetic digits: the same for a seed, all classes, strokes on a dark ground, and told apart by a simple classifier."""

import numpy as np

from lwdash.examples.stroke_digits import CLASSES, SIDE, draw_digits


def test_a_seed_draws_the_same_digits_and_another_seed_others() -> None:
    images, labels = draw_digits(60, 3)
    again, labels_again = draw_digits(60, 3)
    assert np.array_equal(images, again)
    assert np.array_equal(labels, labels_again)
    assert not np.array_equal(images, draw_digits(60, 4)[0])


def test_every_class_is_drawn_in_light_strokes_on_a_dark_ground() -> None:
    images, labels = draw_digits(400, 0)
    assert images.shape == (400, SIDE, SIDE)
    assert images.dtype == np.uint8
    assert set(labels.tolist()) == set(range(CLASSES))
    inked = (images > 100).mean(axis=(1, 2))
    assert inked.min() > 0.01
    assert inked.max() < 0.35


def test_images_of_a_class_are_alike_but_not_the_same() -> None:
    """The nearest of the class means is the right one for most images, and no two images are equal."""
    images, labels = draw_digits(1000, 1)
    flat = images.reshape(len(images), -1).astype(float)
    train, rest = slice(0, 600), slice(600, None)
    means = np.array([flat[train][labels[train] == digit].mean(axis=0) for digit in range(CLASSES)])
    nearest = ((flat[rest][:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert 0.6 < (nearest == labels[rest]).mean() < 0.999
    assert len({image.tobytes() for image in images}) == len(images)
