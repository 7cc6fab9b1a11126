"""Data files whose texts or names are damaged are read or refused in words."""

from pathlib import Path

import numpy as np
import pytest

from lwdash.datasets.data_inspection import inspect_data
from lwdash.errors import DataRefused


def test_labels_that_are_no_characters_are_replaced(tmp_path: Path) -> None:
    labels = np.array(["cat", "dog", "owl", "cat", "dog", "owl"])
    numbers = labels.view(np.uint32).reshape(6, -1).copy()
    numbers[0, 0], numbers[1, 0], numbers[2, 1] = 0x110000, 0xD800, 0
    path = tmp_path / "data.npz"
    np.savez(path, x=np.zeros((6, 4), np.float32), y=numbers.view(labels.dtype).ravel())
    facts = inspect_data(path)
    known = {text for candidate in facts.candidates for text, _ in candidate.classes}
    assert known == {"\ufffdat", "\ufffdog", "o\ufffdl", "cat", "dog", "owl"}


def test_a_member_without_a_name_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, abc=np.zeros((6, 4), np.float32))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"abc.npy", b"\0bc.npy"))
    with pytest.raises(DataRefused, match="damaged"):
        inspect_data(path)


def test_a_file_of_one_space_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes("\u00a0".encode("latin-1"))
    with pytest.raises(DataRefused):
        inspect_data(path)


def test_a_long_name_is_cut_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"{'x' * 5000},b\n")
    with pytest.raises(DataRefused) as refused:
        inspect_data(path)
    assert len(str(refused.value)) < 1100
