"""Makes the digits example: `python -m lwdash.examples.make_digits` (needs scikit-learn and Keras).

The 1,797 digits are split once, stratified by class: the network learns from 40 % of them, and the CSV holds
the other 60 %. So a metric on the CSV is measured on unseen rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lwdash.examples import find_example
from lwdash.examples.train_example import accuracy, import_keras, save_without_moments, train

SEED = 20
TRAINED_SHARE = 0.4


def split_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, then the CSV's: images (rows, 8, 8) of grey levels 0–16, labels 0–9."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    x_train, x_csv, y_train, y_csv = train_test_split(
        digits.images, digits.target, train_size=TRAINED_SHARE, stratify=digits.target, random_state=SEED
    )
    return x_train, y_train, x_csv, y_csv


def build(keras: Any) -> Any:
    """The network, input (8, 8, 1) in raw grey levels: the scaling to 0–1 is its first layer."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Rescaling(1 / 16, name="scale"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv_1"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv_2"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(name="flatten"),
            layers.Dense(32, activation="relu", name="dense"),
            layers.Dropout(0.3, name="dropout"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits",
    )


def write_csv(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Header `label,p00,…,p77` (p, row, column), then one image per row, all integers."""
    header = "label," + ",".join(f"p{row}{column}" for row in range(8) for column in range(8))
    rows = (
        ",".join([str(label), *(str(int(v)) for v in image.ravel())])
        for image, label in zip(images, labels, strict=True)
    )
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8", newline="\n")


def main() -> None:
    """Train, save, write the CSV, and print the values stated in README.md."""
    example = find_example("digits")
    x_train, y_train, x_csv, y_csv = split_digits()
    keras = import_keras(SEED)
    model = build(keras)
    train(model, x_train[..., None], y_train, epochs=40, batch_size=32, learning_rate=2e-3)
    save_without_moments(model, example.model_path)
    write_csv(example.data_path, x_csv, y_csv)
    print(f"{model.count_params():,} parameters, {example.model_path.stat().st_size:,} B")
    print(f"{len(x_csv):,} rows, {example.data_path.stat().st_size:,} B")
    print(f"accuracy on the CSV {accuracy(model, x_csv[..., None], y_csv):.3f}")


if __name__ == "__main__":
    main()
