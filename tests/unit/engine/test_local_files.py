"""A folder in place of a file is named as what it is, with what to give instead."""

from pathlib import Path

import pytest

from lwdash.engine.submit import add_local_file
from lwdash.errors import UploadRefused
from storage.store import Store


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("saved_model.pb",), "is a folder, a SavedModel. Give it as a zip: zip -r net.zip net"),
        (("config.json", "model.weights.h5"), r"an unpacked \.keras file\. Pack its content: cd net && zip"),
        (("cat.png",), "is a folder. Give one file; a folder of images or sounds as a zip"),
    ],
)
def test_a_folder_is_no_file(
    files: tuple[str, ...], message: str, tmp_path: Path, sqlite_store: Store
) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    for name in files:
        (folder / name).write_bytes(b"x")
    with pytest.raises(UploadRefused, match=message):
        add_local_file(sqlite_store, folder, "model")
    with pytest.raises(UploadRefused, match="there is no file"):
        add_local_file(sqlite_store, tmp_path / "nothing", "model")
