"""The contract of all data readers: the same samples from every kind of file, in blocks of any size, and no
exception but a refusal in words, whatever is in the file.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from support.data_files import CLASSES, KINDS, Kind, samples

from lwdash.datasets.data_facts import DataFacts
from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.dataset import Dataset
from lwdash.datasets.fit import fit_to_model
from lwdash.datasets.linter.checks import lint
from lwdash.datasets.prepare import prepare
from lwdash.datasets.readers.open_table import open_table
from lwdash.errors import DataRefused

pytestmark = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def written(kind: Kind, folder: Path, rows: int = 30, seed: int = 0) -> Path:
    path = folder / f"rows{kind.suffix}"
    kind.write(path, *samples(rows, seed))
    return path


def settings_of(kind: Kind) -> DataSettings:
    return DataSettings(label=kind.label, preprocess=kind.preprocess)


def prepared(kind: Kind, path: Path, **more: Path) -> Dataset:
    return prepare(path, settings_of(kind), *kind.ports, **more)


def rows_of(dataset: Dataset) -> dict[bytes, str]:
    """Sample → class, so that files may have an order of their own."""
    assert dataset.labels is not None
    assert dataset.classes is not None
    texts = [CLASSES[int(c)] if c.isdigit() else c for c in dataset.classes]
    return {row.tobytes(): texts[k] for row, k in zip(dataset.inputs["x"], dataset.labels, strict=True)}


def test_rows_and_labels_are_those_of_the_samples(kind: Kind, tmp_path: Path) -> None:
    dataset = prepared(kind, written(kind, tmp_path))
    pixels, labels = samples()
    expected = {row.tobytes(): label for row, label in zip(kind.values(pixels), labels, strict=True)}
    assert dataset.inputs["x"].dtype == np.float32
    assert dataset.inputs["x"].shape == (30, *kind.shape)
    assert rows_of(dataset) == expected


def test_small_blocks_give_the_same_rows(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(kind, tmp_path)
    whole = prepared(kind, path)
    for module in ("arrays.array_table", "arrays.array_one_hot", "archives.sample_table", "arrow_table"):
        monkeypatch.setattr(f"lwdash.datasets.readers.{module}.BLOCK_VALUES", 400)
    monkeypatch.setattr("lwdash.datasets.readers.source.BLOCK_BYTES", 3000)
    pieces = prepared(kind, path)
    np.testing.assert_array_equal(whole.inputs["x"], pieces.inputs["x"])
    np.testing.assert_array_equal(whole.labels, pieces.labels)
    assert {k: v.tolist() for k, v in whole.parts.items()} == {k: v.tolist() for k, v in pieces.parts.items()}


def test_facts_count_rows_and_classes_and_survive_json(kind: Kind, tmp_path: Path) -> None:
    path = written(kind, tmp_path)
    facts = inspect_data(path, label=kind.label)
    assert facts.rows == 30
    assert DataFacts.from_dict(json.loads(json.dumps(facts.to_dict(), allow_nan=False))) == facts
    assert len(json.dumps(facts.to_dict())) < 250_000
    fit = fit_to_model(facts, settings_of(kind), *kind.ports)
    assert sorted(rows for _, rows in fit.class_counts) == [10, 10, 10]
    assert fit.from_dict(json.loads(json.dumps(fit.to_dict()))) == fit
    assert len(facts.preview.rows) >= 3


def test_blocks_keep_the_shapes_that_the_table_states(kind: Kind, tmp_path: Path) -> None:
    table = open_table(written(kind, tmp_path))
    rows = 0
    for block in table.blocks(lambda block: block):
        assert block.numbers.shape == (len(block.lines), len(table.names))
        for index, values in block.arrays.items():
            assert len(values) == len(block.lines)
            known = table.shapes[index]
            assert len(values.shape) == len(known) + 1
            assert all(want in (None, have) for have, want in zip(values.shape[1:], known, strict=True))
        rows += len(block.lines)
    assert rows == 30
    assert len(set(table.names)) == len(table.names) == len(table.kinds)


def test_separate_files_are_used_unchanged(kind: Kind, tmp_path: Path) -> None:
    main = written(kind, tmp_path)
    (tmp_path / "more").mkdir()
    other = written(kind, tmp_path / "more", rows=12, seed=1)
    dataset = prepared(kind, main, evaluation_path=other)
    pixels, _ = samples(12, 1)
    found = {row.tobytes() for row in dataset.part("evaluation")[0]["x"]}
    assert found == {row.tobytes() for row in kind.values(pixels)}


def test_the_linter_reads_the_rows(kind: Kind, tmp_path: Path) -> None:
    path = written(kind, tmp_path)
    facts = inspect_data(path, label=kind.label)
    fit = fit_to_model(facts, settings_of(kind), *kind.ports)
    codes = {finding.code for finding in lint(prepared(kind, path), fit, facts.names)}
    assert "few-calibration" in codes
    assert not codes & {"counts-up", "label-copy", "transposed", "torn-labels", "shared-rows"}


def test_a_model_of_another_shape_is_refused_with_its_shape(kind: Kind, tmp_path: Path) -> None:
    path = written(kind, tmp_path)
    ports = [("x", (7, 5, 5), "float32")], kind.ports[1]  # images are resized, but have at most 3 channels
    with pytest.raises(DataRefused, match=r"\(7, 5, 5\)"):
        prepare(path, settings_of(kind), *ports)


def test_a_model_with_fewer_classes_is_refused(kind: Kind, tmp_path: Path) -> None:
    path = written(kind, tmp_path)
    with pytest.raises(DataRefused, match="2"):
        prepare(path, settings_of(kind), kind.ports[0], [("y", (2,), "float32")])


def test_cut_and_damaged_files_are_read_or_refused_in_words(kind: Kind, tmp_path: Path) -> None:
    content = written(kind, tmp_path).read_bytes()
    random = np.random.default_rng(0)
    broken = [content[: int(len(content) * share)] for share in (0, 0.01, 0.3, 0.7, 0.99)]
    for _ in range(16):
        changed = bytearray(content)
        for place in random.integers(0, len(content), 4):
            changed[place] = random.integers(0, 256)
        broken.append(bytes(changed))
    path = tmp_path / f"broken{kind.suffix}"
    refused = 0
    for held in broken:
        path.write_bytes(held)
        try:
            prepared(kind, path)
        except DataRefused:
            refused += 1
    assert refused >= 2  # at least the empty one and the one that was cut to a hundredth
