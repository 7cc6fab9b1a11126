"""NumPy files: which arrays are what, and what is refused."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.fit import fit_to_model
from lwdash.datasets.prepare import prepare
from lwdash.datasets.readers.arrays import array_files
from lwdash.datasets.readers.arrays.array_roles import split_name
from lwdash.errors import DataRefused

RANDOM = np.random.default_rng(4)
X = RANDOM.random((60, 8, 8)).astype(np.float32)
Y = np.arange(60) % 3
PORTS = [("image", (8, 8, 1), "float32")], [("y", (3,), "float32")]


class Canary:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


X60, Y60 = np.random.default_rng(0).normal(size=(60, 8, 8, 1)).astype(np.float32), np.arange(60) % 3


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "rows.npz"
    np.savez(path, **arrays)
    return path


def read(path: Path, settings: DataSettings | None = None, ports=PORTS, **more):
    return prepare(path, settings or DataSettings(), *ports, **more)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x_train", ("x", "train")),
        ("X_test", ("X", "evaluation")),
        ("ytrain", ("y", "train")),
        ("trainX", ("X", "train")),
        ("test_images", ("images", "evaluation")),
        ("val_labels", ("labels", "validation")),
        ("train", ("x", "train")),
        ("y", ("y", None)),
        ("train_test_x", ("train_test_x", None)),
        ("constrain", ("constrain", None)),
    ],
)
def test_names_state_parts(name, expected):
    assert split_name(name) == expected


def test_train_and_test_arrays_are_the_parts(tmp_path):
    data = read(saved(tmp_path, x_train=X[:40], y_train=Y[:40], x_test=X[40:], y_test=Y[40:]))
    np.testing.assert_array_equal(data.part("evaluation")[0]["image"][..., 0], X[40:])
    np.testing.assert_array_equal(data.part("evaluation")[1], Y[40:])
    assert {part: len(rows) for part, rows in data.parts.items()} == {
        "train": 30, "calibration": 10, "evaluation": 20,
    }  # fmt: skip


def test_validation_arrays_set_ranges_beside_test_arrays_and_are_evaluated_without(tmp_path):
    both = {"x_train": X[:30], "y_train": Y[:30], "x_val": X[30:40], "y_val": Y[30:40]}
    data = read(saved(tmp_path, **both, x_test=X[40:], y_test=Y[40:]))
    np.testing.assert_array_equal(data.part("calibration")[0]["image"][..., 0], X[30:40])
    np.testing.assert_array_equal(read(saved(tmp_path, **both)).part("evaluation")[1], Y[30:40])


def test_inputs_are_found_by_name_and_then_by_shape(tmp_path):
    side, number = RANDOM.random((60, 4)), RANDOM.random(60)
    ports = [("side", (4,), "float32"), ("image", (8, 8), "float32"), ("age", (1,), "float32")], PORTS[1]
    data = read(saved(tmp_path, pictures=X, SIDE=side, age=number, y=Y), ports=ports)
    np.testing.assert_allclose(data.inputs["side"], side, rtol=1e-6)
    np.testing.assert_array_equal(data.inputs["image"], X)
    np.testing.assert_allclose(data.inputs["age"][:, 0], number, rtol=1e-6)


def test_several_arrays_of_the_inputs_shape_need_a_choice(tmp_path):
    path = saved(tmp_path, a=X, b=-X, y=Y)
    with pytest.raises(DataRefused, match=r"several arrays fit input 'image'.*'a' \(8, 8\), 'b' \(8, 8\)"):
        read(path)
    np.testing.assert_array_equal(read(path, DataSettings(ignored=("a",))).inputs["image"][..., 0], -X)
    chosen = DataSettings(preprocess="columns(b)")
    np.testing.assert_array_equal(read(path, chosen).inputs["image"][..., 0], -X)


def test_any_array_can_be_chosen_as_the_label(tmp_path):
    path = saved(tmp_path, x=X, y=Y, other=(Y + 1) % 3)
    np.testing.assert_array_equal(read(path, DataSettings(label="other")).labels, (Y + 1) % 3)
    assert read(path, DataSettings(label="")).labels is None


def test_unused_arrays_are_named(tmp_path):
    data = read(saved(tmp_path, x=X, y=Y, ids=np.arange(60), names=np.array(["a", "b"])))
    assert any("ids in the file is not used" in warning for warning in data.warnings)
    assert any("names" in note for note in inspect_data(tmp_path / "rows.npz").notes)


def test_labels_may_have_a_class_for_each_step(tmp_path):
    steps = RANDOM.integers(0, 3, (60, 8))
    ports = PORTS[0], [("y", (8, 3), "float32")]
    for labels in (steps, np.eye(3)[steps], steps[..., None]):
        data = read(saved(tmp_path, x=X, y=labels), ports=ports, task="classification")
        np.testing.assert_array_equal(data.labels, steps)


def test_labels_may_be_several_numbers(tmp_path):
    targets = RANDOM.random((60, 3))
    data = read(saved(tmp_path, x=X, y=targets), task="regression")
    np.testing.assert_allclose(data.labels, targets, rtol=1e-6)


def test_one_hot_labels_of_many_classes(tmp_path):
    y = np.arange(600) % 300
    x = RANDOM.random((600, 4))
    ports = [("x", (4,), "float32")], [("y", (300,), "float32")]
    np.testing.assert_array_equal(read(saved(tmp_path, x=x, y=np.eye(300)[y]), ports=ports).labels, y)


def test_shape_errors_name_the_array_the_model_and_the_remedy(tmp_path):
    path = saved(tmp_path, x=RANDOM.integers(0, 255, (60, 3, 8, 8)), y=Y)
    ports = [("image", (8, 8, 3), "float32")], PORTS[1]
    said = r"array 'x' are \(3, 8, 8\), but input 'image' of the model takes \(8, 8, 3\).*axes\(1, 2, 0\)"
    with pytest.raises(DataRefused, match=said):
        read(path, ports=ports)
    assert read(path, DataSettings(preprocess="axes(1, 2, 0)"), ports=ports).inputs["image"].shape == (
        60, 8, 8, 3,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": X, "y": Y[:59]}, "'y' has 59 rows, but 'x' has 60"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "'y_train' is there, but not for each part"),
        ({"x_train": X, "x_test": X[:, :7]}, r"all parts need|All parts need"),
        ({"x": X.astype(complex), "y": Y}, "complex128, which a model does not take"),
        ({"x": X, "y": Y.astype("datetime64[D]")}, "datetime64"),
        ({"x": np.zeros((60, 2), [("a", "f4")]), "y": Y}, "which a model does not take"),
        ({"x": X[:0], "y": Y[:0]}, "holds no rows"),
        ({"x": X[:, :0], "y": Y}, "hold no values"),
        ({"scalar": np.float32(3)}, "no array with samples"),
        ({"x": np.where(X > 0.99, np.nan, X), "y": Y}, r"missing values \(row \d+, column 'x\[\d, \d\]'"),
        ({"x": np.where(X > 0.99, np.inf, X), "y": Y}, "infinite"),
        ({"x": X * np.float64(1e300), "y": Y}, "beyond what float32 holds"),
        ({"x": X, "x_": X, "train_y": Y, "y_train": Y}, "both state the same samples"),
    ],
)
def test_unusable_arrays_are_refused_by_name(tmp_path, arrays, said):
    with pytest.raises(DataRefused, match=said):
        read(saved(tmp_path, **arrays))


@pytest.mark.parametrize(
    "aside",
    [np.array([None] * 60, object), np.zeros(60, "M8[s]"), np.zeros(60, [("a", "f4")])],
    ids=["objects", "times", "records"],
)
def test_an_array_beside_the_samples_that_cannot_be_read_is_left_aside(tmp_path, aside):
    path = saved(tmp_path, x=X60, y=Y60, meta=aside)
    assert read(path).labels is not None
    assert any(note.startswith("left aside: ") and "'meta'" in note for note in inspect_data(path).notes)


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (("arr_0", "arr_1"), "arr_1"),
        (("my data", "my labels"), "my labels"),
        (("données", "étiquettes"), "étiquettes"),
    ],
)
def test_the_only_array_of_whole_numbers_that_feeds_no_input_is_the_label(tmp_path, names, label):
    data = read(saved(tmp_path, **dict(zip(names, (X60, Y60), strict=True))))
    assert data.label == label
    np.testing.assert_array_equal(np.sort(data.labels), np.sort(Y60))


def test_names_of_the_classes_are_no_labels(tmp_path):
    data = read(saved(tmp_path, x=X60, y=Y60, class_names=np.array(["a", "b", "c"])))
    assert data.label == "y"
    assert read(saved(tmp_path, x=X60, class_names=np.array(["a", "b", "c"]))).labels is None


def test_folders_and_other_files_around_arrays_do_not_matter(tmp_path):
    path = saved(tmp_path, **{"set/x": X60, "set/y": Y60})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("set/", "")
        archive.writestr("README.txt", "hello")
    data = read(path)
    assert (list(data.inputs), data.label) == (["image"], "y")


def test_python_objects_are_refused_and_never_unpickled(tmp_path):
    canary = tmp_path / "unpickled"
    held = np.array([Canary(canary)] * 60, object)
    for arrays in ({"x": held, "y": Y}, {"x": X, "y": held}, {"x": X, "y": Y, "names": held[:3]}):
        path = tmp_path / "rows.npz"
        np.savez(path, allow_pickle=True, **arrays)
        canary.unlink(missing_ok=True)
        if "names" in arrays:
            np.testing.assert_array_equal(read(path).labels, Y)
        else:
            with pytest.raises(DataRefused, match=r"Python objects .* not read"):
                read(path)
        assert not canary.exists()
    path = tmp_path / "rows.npy"
    path.write_bytes(pickle.dumps(Canary(canary)))
    canary.unlink(missing_ok=True)
    with pytest.raises(DataRefused):
        read(path)
    assert not canary.exists()


def npy(shape: str, descr: str = "<f4", content: bytes = b"", fortran: bool = False) -> bytes:
    """A .npy file with any header."""
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    "content",
    [
        npy("(1000000000000, 8)"),
        npy("(60, 8)", content=b"\0" * 100),
        npy("(-1, 8)", content=b"\0" * 100),
        npy("(60, 8)", "<f4", b"\0" * 60 * 32 + b"more"),
        npy("(9223372036854775807, 9223372036854775807)"),
        npy("(60,", content=b"\0" * 100),
        npy("(__import__('os').system('false'),)"),
        npy("(60,)", "V0"),
        b"\x93NUMPY\x09\x00" + b"\0" * 100,
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"{" * 200,
    ],
)
def test_forged_headers_are_refused(tmp_path, content):
    for name, held in (("a.npy", content), ("a.npz", _zipped({"x.npy": content}))):
        path = tmp_path / name
        path.write_bytes(held)
        with pytest.raises(DataRefused, match=name):
            read(path)


def _zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(array_files, "_unpacked", lambda *a: opened.append(a))
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((300 << 20,), np.uint8))
    with pytest.raises(DataRefused, match=r"array 'x' unpacks from .* more than samples do"):
        read(path)
    monkeypatch.setattr(array_files, "MAX_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(DataRefused, match="at most"):
        read(path)
    assert not opened


def test_archives_with_odd_members_are_refused(tmp_path):
    path = tmp_path / "odd.npz"
    good = npy("(60, 8)", content=b"\0" * 60 * 32)
    path.write_bytes(_zipped({f"a{i}.npy": good for i in range(1001)}))
    with pytest.raises(DataRefused, match="at most 1,000 are read"):
        read(path)
    path.write_bytes(_zipped({"x.npy": good, "z.npy": good}).replace(b"z.npy", b"x.npy"))
    with pytest.raises(DataRefused, match=r"'x\.npy' twice"):
        read(path)


def test_large_compressed_arrays_are_mapped_from_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("lwdash.datasets.spilled_arrays.MEMORY_BYTES", 1000)
    path = tmp_path / "rows.npz"
    np.savez_compressed(path, x=np.asfortranarray(X), y=Y)
    data = read(path)
    assert isinstance(data.inputs["image"], np.memmap) or isinstance(data.inputs["image"].base, np.memmap)
    np.testing.assert_array_equal(data.inputs["image"][..., 0], X)


def test_whole_number_inputs_refuse_fractions_with_the_row(tmp_path):
    path = saved(tmp_path, tokens=np.full((60, 4), 1.5), y=Y)
    with pytest.raises(DataRefused, match=r"takes whole numbers \(int32\).* row 1"):
        read(path, ports=([("tokens", (4,), "int32")], PORTS[1]))


def test_the_explanation_names_array_and_shape(tmp_path):
    facts = inspect_data(saved(tmp_path, x=X, y=Y))
    fit = fit_to_model(facts, DataSettings(), *PORTS)
    assert "x → 'image' (8, 8, 1)" in fit.explanation
    assert fit.label == "y"
