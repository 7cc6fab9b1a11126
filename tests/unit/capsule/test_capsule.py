"""What one takes away of a run: the C array compiles to the same bytes, and a capsule is read with distrust."""

import dataclasses
import importlib
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lwdash.capsule import capsule_zip
from lwdash.capsule.c_array import PIECE, c_name, header, source
from lwdash.capsule.manifest import CapsuleRefused, Manifest, Origin, read_manifest
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.evaluation_rows import evaluation_rows, write_arrays
from lwdash.datasets.prepare import prepare

NOTES = {"Recipe": "int8", "Model": "ends in a backslash\\", "Name": "two\nlines */ // ??/"}
CONTENT = bytes(range(256)) * 5 + b"odd"


@pytest.fixture
def c_files(tmp_path: Path) -> Path:
    """A folder with `model.h` and `model.cc` of `CONTENT`."""
    (tmp_path / "model.tflite").write_bytes(CONTENT)
    (tmp_path / "model.h").write_text(header("g_beats", len(CONTENT), NOTES), encoding="utf-8")
    pieces = source(tmp_path / "model.tflite", "g_beats", "model.h", NOTES)
    (tmp_path / "model.cc").write_text("".join(pieces), encoding="utf-8")
    return tmp_path


MAIN = """
#include <stdint.h>
#include <stdio.h>
#include "model.h"
int main(void) {
  if ((uintptr_t)g_beats % 16 != 0) return 3;
  if (g_beats_len != G_BEATS_LEN) return 4;
  fwrite(g_beats, 1, (size_t)g_beats_len, stdout);
  return 0;
}
"""


@pytest.mark.parametrize(("compiler", "standard"), [("cc", "c11"), ("c++", "c++11")])
def test_the_c_array_compiles_without_warnings_to_the_same_bytes(
    c_files: Path, compiler: str, standard: str
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    (c_files / "main.cc").write_text(MAIN, encoding="utf-8")
    language = "c" if compiler == "cc" else "c++"
    command = [compiler, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-x", language]
    subprocess.run([*command, "model.cc", "main.cc", "-o", "main"], cwd=c_files, check=True)
    assert subprocess.run([c_files / "main"], capture_output=True, check=True).stdout == CONTENT


def test_the_c_array_is_the_files_bytes_in_order(c_files: Path) -> None:
    """What the compiler reads, read in Python: for machines without one."""
    text = (c_files / "model.cc").read_text(encoding="utf-8")
    inside = text.partition("[] = {")[2].partition("}")[0]
    assert bytes(int(word, 16) for word in inside.replace(",", " ").split()) == CONTENT
    assert f"const int g_beats_len = {len(CONTENT)};" in text
    assert 'extern "C"' in (c_files / "model.h").read_text(encoding="utf-8")
    assert PIECE % 12 == 0, "pieces end at the end of a line"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("My ECG (v2)", "g_my_ecg_v2"), ("class", "g_class"), ("Größe", "g_gr_e"), ("–", "g_model"), ("7", "g_7")],
)  # fmt: skip
def test_any_name_becomes_one_that_c_takes(text: str, expected: str) -> None:
    assert c_name(text) == expected


def manifest_of(files: dict[str, Path], **changes: Any) -> Manifest:
    def origin(name: str, path: Path | None) -> Origin:
        return Origin(name, capsule_zip.sha256_of(path) if path else "0" * 64)

    whole = Manifest(
        recipe="int8", experiment="beats", run=7, task="classification", seed=0, settings=DataSettings().to_dict(),
        model=origin("m.keras", files.get("original-model")), data=origin("d.csv", files.get("data")), parts={},
        tflite=origin("model.tflite", files["model.tflite"]), baseline=origin("baseline.tflite", None),
        libraries=("lwdash 1",), expected={"accuracy": 0.5},
    )  # fmt: skip
    return dataclasses.replace(whole, **changes)


@pytest.fixture
def capsule(tmp_path: Path) -> Path:
    """A whole capsule of made-up files."""
    files = {name: tmp_path / name for name in ("model.tflite", "original-model", "data")}
    for name, path in files.items():
        path.write_bytes(f"the {name}".encode())
    target = tmp_path / "run7.zip"
    capsule_zip.write_capsule(target, manifest_of(files), files)
    return target


def read(path: Path, limit_bytes: int = 1 << 20) -> tuple[Manifest, dict[str, Path]]:
    folder = path.parent / "unpacked"
    folder.mkdir(exist_ok=True)
    return capsule_zip.read_capsule(path, folder, limit_bytes)


def changed(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The same zip with other members."""
    with zipfile.ZipFile(path) as old:
        members = {info.filename: old.read(info) for info in old.infolist()}
    change(members)
    target = path.with_name("changed.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in members.items():
            new.writestr(name, content)
    return target


def test_a_capsule_is_read_as_it_was_written_and_the_same_run_gives_the_same_zip(capsule: Path) -> None:
    manifest, files = read(capsule)
    assert (manifest.recipe, manifest.model.name, manifest.libraries) == ("int8", "m.keras", ("lwdash 1",))
    assert {name: path.read_text() for name, path in files.items()} == {
        name: f"the {name}" for name in ("model.tflite", "original-model", "data")
    }
    again = capsule.with_name("again.zip")
    capsule_zip.write_capsule(again, manifest, files)
    assert again.read_bytes() == capsule.read_bytes()
    with zipfile.ZipFile(capsule) as opened:
        assert "python rebuild.py original-model data" in opened.read("README.md").decode()
        compile(opened.read("rebuild.py"), "rebuild.py", "exec")


def test_the_code_of_a_model_is_checked_like_its_other_files(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("model.tflite", "original-model", "data", "model-code.py")}
    for name, path in files.items():
        path.write_bytes(f"the {name}".encode())
    code = Origin("layers.py", capsule_zip.sha256_of(files["model-code.py"]))
    target = tmp_path / "run7.zip"
    capsule_zip.write_capsule(target, manifest_of(files, code=code), files)
    manifest, _ = read(target)
    assert manifest.code == code
    with zipfile.ZipFile(target) as opened:
        assert (
            "python rebuild.py original-model data --code model-code.py" in opened.read("README.md").decode()
        )
    other = changed(target, lambda members: members.update({"model-code.py": b"import os"}))
    with pytest.raises(CapsuleRefused, match=r"model-code\.py is not the file listed"):
        read(other)


def in_manifest(**values: Any) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        members["capsule.json"] = json.dumps({**json.loads(members["capsule.json"]), **values}).encode()

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m.update({"../../evil.py": b"x"}), "no member '../../evil.py'"),
        (lambda m: m.update({"/etc/passwd": b"x"}), "no member '/etc/passwd'"),
        (lambda m: m.update({"sitecustomize.py": b"x"}), "no member 'sitecustomize.py'"),
        (lambda m: m.pop("capsule.json"), "no capsule.json"),
        (lambda m: m.pop("model.tflite"), "no model.tflite"),
        (lambda m: m.update({"model.tflite": b"other"}), "model.tflite is not the file listed in capsule.json"),
        (lambda m: m.update({"original-model": b"other"}), "original-model is not the file"),
        (lambda m: m.update({"data-evaluation": b"x"}), "which capsule.json does not list"),
        (lambda m: m.update({"data": b"\0" * (2 << 20)}), "the limit is 1,048,576"),
        (lambda m: m.update({"capsule.json": b"[" * 100_000}), "not JSON"),
        (lambda m: m.update({"capsule.json": b"[1]"}), "format 'list'"),
        (lambda m: m.update({"capsule.json": b'{"format": NaN}'}), "not JSON"),
        (lambda m: m.update({"capsule.json": b"\xff\xfe"}), "cannot be read|not a readable capsule"),
        (in_manifest(format=2), "reads format 1"),
        (in_manifest(recipe="int8; rm -rf"), "cannot read the step"),
        (in_manifest(recipe="int9"), "there is no technique 'int9'"),
        (in_manifest(recipe=["int8"]), "recipe must be text"),
        (in_manifest(task="anything"), "task must be one of"),
        (in_manifest(seed="0"), "seed must be a whole number"),
        (in_manifest(settings={"preprocess": "eval(1)"}), "step 'eval' is unknown"),
        (in_manifest(settings={"shell": "x"}), "unknown data setting 'shell'"),
        (in_manifest(parts={"train": {"name": "a", "sha256": "0" * 64}}), "part must be one of"),
        (in_manifest(model={"name": "..", "sha256": "0" * 64}), "is not a file name"),
        (in_manifest(model={"name": "m", "sha256": "../../x"}), "is not a SHA-256"),
        (in_manifest(libraries=None), "lacks a value"),
    ],
)  # fmt: skip
def test_a_capsule_that_is_not_what_it_should_be_is_refused_in_words(capsule, change, said):
    with pytest.raises(CapsuleRefused, match=said):
        read(changed(capsule, change))


def test_a_name_with_a_path_is_only_a_name(capsule: Path) -> None:
    stated = json.loads(zipfile.ZipFile(capsule).read("capsule.json"))
    stated["model"]["name"] = "/etc/../cron.d/evil"
    assert read_manifest(json.dumps(stated)).model.name == "evil"


def test_a_member_of_the_same_name_twice_and_junk_are_refused(capsule: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(capsule, "a") as opened, pytest.warns(UserWarning, match="Duplicate"):
        opened.writestr("model.tflite", "another")
    with pytest.raises(CapsuleRefused, match="two members of the same name"):
        read(capsule)
    junk = tmp_path / "junk.zip"
    junk.write_bytes(b"PK\x03\x04 but nothing else")
    with pytest.raises(CapsuleRefused, match="not a readable capsule"):
        read(junk)


evaluate = importlib.import_module("lwdash.capsule.scripts.evaluate")


@pytest.mark.parametrize(
    ("preprocess", "shape"),
    [
        ("", (16,)),
        ("divide(255) + reshape(4x4) + channel(last)", (4, 4, 1)),
        ("resize(10, method=area) + scale(minmax, per=row)", (10,)),
        ("resize(40, method=linear) + scale(zscore, per=row) + cast(float32)", (40,)),
        ("reshape(4x4, order=columns) + resize(6x3, method=linear) + channel(first)", (1, 6, 3)),
        ("reshape(2x4x2) + axes(1, 2, 0) + resize(3x5)", (3, 5, 2)),
        ("columns(t3..t10) + scale(minmax, per=column, low=-1, high=1)", (8,)),
        ("scale(zscore, per=all) + scale(range, from=-3, to=3) + reshape(4x4)", (4, 4)),
        ("scale(minmax, per=row) + scale(zscore, per=column) + divide(2)", (16,)),
    ],
)
def test_evaluate_reads_the_rows_as_lwdash_does(
    tmp_path: Path, preprocess: str, shape: tuple[int, ...]
) -> None:
    """Every kind of step, label texts, and a quoted line end that shifts the lines: bit by bit the same arrays."""
    rng = np.random.default_rng(0)
    lines = ["note,label," + ",".join(f"t{i}" for i in range(16))]
    for i, row in enumerate(rng.integers(0, 255, (60, 16)) / 4):
        note = '"two\nlines"' if i % 7 == 0 else "one"
        lines.append(f"{note}, {'NVX'[i % 3]},{','.join(f'{v:.2f}' for v in row)}")
    path = tmp_path / "beats.csv"
    path.write_text("\n".join(lines) + "\n")
    settings = DataSettings(label="label", ignored=("note",), preprocess=preprocess)
    ports = [("x", shape, "float32")], [("y", (3,), "float32")]
    dataset = prepare(path, settings, *ports, task="classification")
    plan, arrays = evaluation_rows(path, settings, *ports, dataset, task="classification")
    write_arrays(tmp_path / "rows.npz", arrays)
    plan, arrays = json.loads(json.dumps(plan)), np.load(tmp_path / "rows.npz", allow_pickle=False)

    cells = evaluate.read_rows(path, plan, set(arrays["lines"].tolist()))
    inputs, labels = dataset.part("evaluation")
    assert len(cells) == len(labels) > 5
    np.testing.assert_array_equal(evaluate.prepare(cells, plan, 0, arrays), inputs["x"])
    np.testing.assert_array_equal(evaluate.labels_of(cells, plan), labels)


def test_evaluate_reads_evaluation_rows_from_a_file_of_their_own_and_numbers_with_commas(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)

    def write(name: str, order: list[str], rows: int) -> Path:
        lines = [";".join(order)]
        for i in range(rows):
            row = {
                "y": str(i % 2 + 1),
                **{f"t{k}": f"{v:.3f}".replace(".", ",") for k, v in enumerate(rng.normal(size=4))},
            }
            lines.append(";".join(row[name] for name in order))
        (tmp_path / name).write_bytes("\r\n".join(lines).encode())
        return tmp_path / name

    main = write("main.csv", ["y", "t0", "t1", "t2", "t3"], 40)
    own = write("own.csv", ["t3", "t1", "y", "t0", "t2"], 12)
    ports = [("x", (4,), "float32")], [("y", (2,), "float32")]
    settings = DataSettings(label="y")
    dataset = prepare(main, settings, *ports, task="classification", evaluation_path=own)
    plan, arrays = evaluation_rows(
        main, settings, *ports, dataset, task="classification", evaluation_path=own
    )
    assert plan["file"] == "evaluation"
    cells = evaluate.read_rows(own, plan, set(arrays["lines"].tolist()))
    inputs, labels = dataset.part("evaluation")
    np.testing.assert_array_equal(evaluate.prepare(cells, plan, 0, arrays), inputs["x"])
    np.testing.assert_array_equal(evaluate.labels_of(cells, plan), labels)


@pytest.mark.parametrize(
    ("task", "outputs", "labels", "expected"),
    [
        ("classification", [[0.2, 0.8], [0.6, 0.4]], [1, 1], {"accuracy": 0.5}),
        ("binary", [[0.7], [0.2]], [1, 0], {"accuracy": 1.0}),
        ("binary", [[2.5], [-0.2]], [1, 1], {"accuracy": 0.5}),
        ("regression", [[1.0], [3.0]], [2.0, 3.0], {"mae": 0.5, "rmse": 0.5**0.5}),
        ("reconstruction", [[1.0, 2.0]], None, {"reconstruction_error": 0.5}),
        ("multi-label", [[0.9, 0.1]], None, {"agreement": 0.5}),
        ("regression", [[1.0]], None, {}),
    ],
)
def test_evaluate_has_the_figure_of_each_task(task, outputs, labels, expected):
    reference = np.array([[0.9, 0.8]]) if task == "multi-label" else None
    inputs = [np.array([[1.0, 1.0]])] if task == "reconstruction" else []
    given = None if labels is None else np.array(labels)
    found = evaluate.judge(task, np.array(outputs, np.float32), given, inputs, reference)
    assert found == pytest.approx(expected, abs=1e-6)
