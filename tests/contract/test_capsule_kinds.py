"""A capsule of rows from every kind of data file: unpacked, and its script run with only what its README names."""

import importlib
import io
import json
import re
import subprocess
import sys
import wave
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.data_files import CLASSES, KINDS, Kind, samples
from support.measure_models import Model

from lwdash.capsule import capsule_zip
from lwdash.capsule.manifest import Manifest, Origin
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.evaluation_rows import evaluation_rows, write_arrays
from lwdash.datasets.prepare import prepare
from lwdash.measure.runner import Runner
from lwdash.measure.script_ports import ports_plan
from lwdash.tflite.reader import read_tflite

OTHERS = ("lwdash", "tensorflow", "keras", "pandas", "scipy", "pyarrow", "PIL")
"""Libraries that a script may use only if the README says so."""
NAMES = {"pillow": "PIL"}
BLOCKER = """
import runpy, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"the README does not name {name}")
"""


def classifier(shape: tuple[int, ...]) -> bytes:
    """A dense layer and a softmax on rows of `shape`."""
    random, features = np.random.default_rng(0), int(np.prod(shape))
    model = Model()
    x = model.tensor("x", (1, *shape))
    w = model.tensor("w", (3, features), data=random.normal(0, 0.01, (3, features)).astype(np.float32))
    b = model.tensor("b", (3,), data=np.zeros(3, np.float32))
    logits, y = model.tensor("logits", (1, 3)), model.tensor("y", (1, 3))
    model.operator("FULLY_CONNECTED", [x, w, b], [logits], table="FullyConnectedOptions", keepNumDims=False)
    model.operator("SOFTMAX", [logits], [y], table="SoftmaxOptions", beta=1.0)
    return model.build([x], [y])


def write(folder: Path, data: Path, settings: DataSettings, ports: Any, **more: Any) -> Path:
    """A capsule of the classifier on these rows."""
    dataset = prepare(data, settings, *ports, task="classification")
    plan, arrays = evaluation_rows(data, settings, *ports, dataset, task="classification")
    content = classifier(ports[0][0][1])
    facts = read_tflite(content)
    (folder / "model.tflite").write_bytes(content)
    write_arrays(folder / "plan.npz", arrays)
    inputs, labels = dataset.part("evaluation")
    accuracy = float((next(iter(Runner(content).run(inputs).values())).argmax(axis=1) == labels).mean())
    sha256 = capsule_zip.sha256_of
    manifest = Manifest(
        recipe="int8", experiment="rows", run=7, task="classification", seed=0, settings=settings.to_dict(),
        model=Origin("m.keras", "0" * 64), data=Origin(data.name, sha256(data)), parts={},
        tflite=Origin("model.tflite", sha256(folder / "model.tflite")), baseline=Origin("b", "0" * 64),
        libraries=("lwdash 1",), expected={"accuracy": accuracy},
        rows=json.loads(json.dumps({**plan, "is_logit": None, **ports_plan(facts, facts, dataset.inputs)})),
    )  # fmt: skip
    files = {capsule_zip.TFLITE: folder / "model.tflite", capsule_zip.ROWS: folder / "plan.npz"}
    capsule_zip.write_capsule(folder / "capsule.zip", manifest, files)
    return folder / "capsule.zip"


def evaluated(capsule: Path, data: Path, folder: Path) -> str:
    """What evaluate.py prints in a fresh process that has no library besides those that the README installs."""
    unpacked = folder / "unpacked"
    with zipfile.ZipFile(capsule) as archive:
        archive.extractall(unpacked)
    readme = (unpacked / "README.md").read_text()
    allowed = {NAMES.get(name, name) for name in re.search(r"pip install (.*)", readme)[1].split()}  # type: ignore[index]
    blocked = [name for name in OTHERS if name not in allowed]
    program = (
        f"{BLOCKER}sys.meta_path.insert(0, Blocker())\nBLOCKED = {blocked}\nsys.argv[1:] = [{str(data)!r}]\n"
        "sys.path.insert(0, '.')\nrunpy.run_path('evaluate.py', run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=unpacked, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout


@pytest.mark.processes
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_script_reproduces_the_accuracy_in_a_fresh_process(kind: Kind, tmp_path: Path) -> None:
    data = tmp_path / f"rows{kind.suffix}"
    kind.write(data, *samples(90))
    settings = DataSettings(label=kind.label, preprocess=kind.preprocess)
    capsule = write(tmp_path, data, settings, kind.ports)
    assert re.search(r"accuracy: (\S+), expected \1: the same", evaluated(capsule, data, tmp_path))


reader = importlib.import_module("lwdash.capsule.scripts.read_samples")
evaluate = importlib.import_module("lwdash.capsule.scripts.evaluate")


def same_rows(data: Path, preprocess: str, shape: tuple[int, ...]) -> None:
    """The script's rows are those of lwdash, bit by bit."""
    settings, ports = (
        DataSettings(preprocess=preprocess),
        ([("x", shape, "float32")], [("y", (3,), "float32")]),
    )
    dataset = prepare(data, settings, *ports, task="classification")
    plan, arrays = evaluation_rows(data, settings, *ports, dataset, task="classification")
    plan = json.loads(json.dumps(plan))
    [raw] = reader.read_inputs(data, plan, arrays["lines"])
    inputs, labels = dataset.part("evaluation")
    assert len(raw) > 3
    given = {name.removesuffix(".npy"): values for name, values in arrays.items()}
    np.testing.assert_array_equal(evaluate.finish(raw, plan, 0, given), inputs["x"])
    np.testing.assert_array_equal(arrays["labels"], labels)


def images(path: Path) -> None:
    """Images of several modes and sizes, some turned by their EXIF orientation."""
    random = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(40):
            pixels = random.integers(0, 256, (20 + k % 5, 30 - k % 7, 4)).astype(np.uint8)
            image = Image.fromarray(pixels)
            options: dict[str, Any] = {}
            match k % 6:
                case 1:
                    image = image.convert("L")
                case 2:
                    image = image.convert("RGB").quantize(16)
                case 3:
                    image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 256)
                case 4:
                    image = image.convert("RGB")
                    options["exif"] = Image.Exif()
                    options["exif"][0x0112] = 6
                case 5:
                    image = image.convert("LA")
            content = io.BytesIO()
            image.save(content, "PNG", **options)
            archive.writestr(f"{CLASSES[k % 3]}/{k}.png", content.getvalue())


@pytest.mark.parametrize(
    ("preprocess", "shape"),
    [
        ("", (16, 16, 3)),
        ("image(resize=crop, colour=bgr) + divide(255)", (16, 16, 3)),
        ("image(resize=pad, colour=grey) + scale(range, from=0, to=255, low=-1, high=1)", (12, 16, 1)),
        ("normalize(mean=123.7|116.3|103.5, std=58.4|57.1|57.4)", (24, 24, 3)),
        ("image(size=24x24) + resize(8x8) + axes(2, 0, 1)", (3, 8, 8)),
        ("scale(zscore, per=all)", (8, 8, 3)),
    ],
)
def test_images_of_any_kind_are_read_alike(tmp_path: Path, preprocess: str, shape: tuple[int, ...]) -> None:
    images(tmp_path / "images.zip")
    same_rows(tmp_path / "images.zip", preprocess, shape)


def sounds(path: Path, rates: tuple[int, ...] = (16_000,)) -> None:
    """WAV files of 8, 16, 24 and 32 bits, of one and two channels, and of several lengths."""
    random = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(40):
            width, channels, length = 1 + k % 4, 1 + k % 2, 300 + 20 * (k % 9)
            content = io.BytesIO()
            with wave.open(content, "wb") as sound:
                sound.setnchannels(channels)
                sound.setsampwidth(width)
                sound.setframerate(rates[k % len(rates)])
                sound.writeframes(
                    random.integers(0, 256, length * width * channels).astype(np.uint8).tobytes()
                )
            archive.writestr(f"{CLASSES[k % 3]}/{k}.wav", content.getvalue())


@pytest.mark.parametrize("preprocess", ["", "sound(place=centre) + scale(minmax, per=row)"])
def test_sounds_of_any_width_are_read_alike(tmp_path: Path, preprocess: str) -> None:
    sounds(tmp_path / "sounds.zip")
    same_rows(tmp_path / "sounds.zip", preprocess, (400,))


def test_resampled_sounds_are_read_alike(tmp_path: Path) -> None:
    sounds(tmp_path / "sounds.zip", rates=(16_000, 44_100, 8_000, 44_101))
    same_rows(tmp_path / "sounds.zip", "sound(rate=16000)", (250,))


def test_an_array_in_parts_and_several_inputs_are_read_alike(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    arrays = {
        f"{name}_{part}": random.normal(size=(rows, width)).astype(np.float32)
        for part, rows in (("train", 30), ("test", 12))
        for name, width in (("left", 5), ("right", 7))
    }
    labels = {f"y_{part}": np.arange(len(arrays[f"left_{part}"])) % 3 for part in ("train", "test")}
    path = tmp_path / "two.npz"
    np.savez_compressed(path, **arrays, **labels)
    ports = [("right", (7,), "float32"), ("left", (5,), "float32")], [("y", (3,), "float32")]
    dataset = prepare(path, DataSettings(), *ports, task="classification")
    plan, found = evaluation_rows(path, DataSettings(), *ports, dataset, task="classification")
    inputs, given = dataset.part("evaluation")
    assert len(found["lines"]) == 12
    for values, name in zip(reader.read_inputs(path, plan, found["lines"]), ("right", "left"), strict=True):
        np.testing.assert_array_equal(values, arrays[f"{name}_test"])
        np.testing.assert_array_equal(inputs[name], arrays[f"{name}_test"])
    np.testing.assert_array_equal(found["labels"], given)


def test_a_file_from_elsewhere_has_a_capsule_without_a_recipe_to_repeat(tmp_path: Path) -> None:
    kind = next(kind for kind in KINDS if kind.name == "npz")
    data = tmp_path / "rows.npz"
    kind.write(data, *samples(90))
    capsule = write(tmp_path, data, DataSettings(), kind.ports)
    manifest, files = capsule_zip.read_capsule(capsule, tmp_path, 1 << 30)
    stated = {**json.loads(manifest.to_json()), "recipe": "file(theirs.tflite)", "made_elsewhere": True}
    own = Manifest(**{**vars(manifest), "recipe": stated["recipe"], "made_elsewhere": True})
    (tmp_path / "b").mkdir()
    capsule_zip.write_capsule(tmp_path / "b" / "capsule.zip", own, files)
    again, _ = capsule_zip.read_capsule(tmp_path / "b" / "capsule.zip", tmp_path / "b", 1 << 30)
    assert (again.recipe, again.made_elsewhere) == ("file(theirs.tflite)", True)
    with zipfile.ZipFile(tmp_path / "b" / "capsule.zip") as archive:
        assert "rebuild.py" not in archive.namelist()
        assert "rebuild.py" not in archive.read("README.md").decode()
    assert "the same" in evaluated(tmp_path / "b" / "capsule.zip", data, tmp_path / "b")
