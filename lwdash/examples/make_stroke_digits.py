"""Makes LeNet-5 on synthetic digits: `python -m lwdash.examples.make_stroke_digits FOLDER` (some minutes).

For experiments on high compression, see docs/deep-compression.md: a model of 431,080 parameters, 10,000 rows to
train on and 2,500 others to evaluate on. Another 10,000 rows, which are in neither file, train the model.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.examples.stroke_digits import CLASSES, SIDE, draw_digits
from lwdash.examples.train_example import accuracy, import_keras, save_without_moments, train

SEED = 20
TRAIN_ROWS, EVALUATION_ROWS = 10_000, 2_500


def build(keras: Any) -> Any:
    """LeNet-5 in the form of Caffe's example, which the literature compresses; input (28, 28, 1), grey levels 0–255."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1), name="image"),
            layers.Rescaling(1 / 255, name="scale"),
            layers.Conv2D(20, 5, name="conv_1"),
            layers.MaxPooling2D(2, name="pool_1"),
            layers.Conv2D(50, 5, name="conv_2"),
            layers.MaxPooling2D(2, name="pool_2"),
            layers.Flatten(name="flatten"),
            layers.Dense(500, activation="relu", name="dense"),
            layers.Dense(CLASSES, activation="softmax", name="digit"),
        ],
        name="lenet_5",
    )


def write_csv(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Header `label,p0,…,p783`, then one image per row, all integers."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["label", *(f"p{i}" for i in range(SIDE * SIDE))])
        writer.writerows(
            [label, *image.ravel().tolist()] for image, label in zip(images, labels.tolist(), strict=True)
        )


def main() -> None:
    """Write `lenet5.keras`, `train.csv` and `evaluation.csv` into a folder, and print the model's accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    own, train_rows, evaluation = (
        draw_digits(count, SEED + i) for i, count in enumerate((TRAIN_ROWS, TRAIN_ROWS, EVALUATION_ROWS))
    )
    write_csv(folder / "train.csv", *train_rows)
    write_csv(folder / "evaluation.csv", *evaluation)
    keras = import_keras(SEED)
    model = build(keras)
    train(model, own[0][..., None], own[1], epochs=8, batch_size=64, learning_rate=1e-3)
    save_without_moments(model, folder / "lenet5.keras")
    print(
        f"{model.count_params():,} parameters, accuracy {accuracy(model, evaluation[0][..., None], evaluation[1]):.4f}"
    )


if __name__ == "__main__":
    main()
