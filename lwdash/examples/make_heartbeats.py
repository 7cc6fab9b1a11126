"""Makes the heartbeats example: `python -m lwdash.examples.make_heartbeats` (needs Keras).

The network learns from beats of one seed; the CSV holds beats of another.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.examples import find_example
from lwdash.examples.heartbeat import CLASSES, SAMPLES, heartbeats
from lwdash.examples.train_example import accuracy, import_keras, save_without_moments, train

TRAIN_SEED, CSV_SEED = 1, 2
TRAIN_ROWS, CSV_ROWS = 4000, 1000


def build(keras: Any) -> Any:
    """The network, input (500, 1) in millivolts."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SAMPLES, 1), name="beat"),
            layers.Conv1D(16, 9, strides=2, padding="same", activation="relu", name="conv_1"),
            layers.MaxPooling1D(2, name="pool_1"),
            layers.Conv1D(32, 7, padding="same", activation="relu", name="conv_2"),
            layers.MaxPooling1D(2, name="pool_2"),
            layers.Conv1D(48, 5, padding="same", activation="relu", name="conv_3"),
            layers.GlobalAveragePooling1D(name="average"),
            layers.Dense(len(CLASSES), activation="softmax", name="kind"),
        ],
        name="heartbeats",
    )


def write_csv(path: Path, beats: np.ndarray, labels: np.ndarray) -> None:
    """Header `label,t0,…,t499`, then one beat per row in mV with two decimals; gzipped, without a time stamp."""
    header = "label," + ",".join(f"t{sample}" for sample in range(SAMPLES))
    rows = (
        ",".join([label, *(f"{v:.2f}" for v in row)]).replace("-0.00", "0.00")
        for row, label in zip(beats, labels, strict=True)
    )
    text = "\n".join([header, *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0))


def main() -> None:
    """Train, save, write the CSV, and print the values stated in README.md."""
    example = find_example("heartbeats")
    x_train, kinds_train = heartbeats(TRAIN_ROWS, TRAIN_SEED)
    x_csv, kinds_csv = heartbeats(CSV_ROWS, CSV_SEED)
    y_train, y_csv = (np.searchsorted(CLASSES, kinds) for kinds in (kinds_train, kinds_csv))
    keras = import_keras(TRAIN_SEED)
    model = build(keras)
    train(model, x_train[..., None], y_train, epochs=20, batch_size=64, learning_rate=3e-3)
    save_without_moments(model, example.model_path)
    write_csv(example.data_path, x_csv, kinds_csv)
    print(f"{model.count_params():,} parameters, {example.model_path.stat().st_size:,} B")
    print(f"{len(x_csv):,} rows, {example.data_path.stat().st_size:,} B")
    print(f"accuracy on the CSV {accuracy(model, x_csv[..., None], y_csv):.3f}")


if __name__ == "__main__":
    main()
