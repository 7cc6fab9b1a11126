"""Archives of images and sounds: their labels and parts, how files become arrays, and what is refused."""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lwdash.datasets.data_facts import DataFacts
from lwdash.datasets.data_inspection import inspect_data
from lwdash.datasets.data_settings import DataSettings
from lwdash.datasets.prepare import prepare
from lwdash.datasets.preprocessing.language import parse_preprocess
from lwdash.datasets.readers.archives import sample_archive
from lwdash.datasets.readers.archives.sound_table import UnreadableSample, read_wav, resampled
from lwdash.errors import DataRefused

RANDOM = np.random.default_rng(7)
PIXELS = RANDOM.integers(0, 256, (30, 6, 8, 3)).astype(np.uint8)
PORTS = [("x", (6, 8, 3), "float32")], [("y", (3,), "float32")]
NAMES = "abc"


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def packed(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def images(where: str = "{label}/{k}.png") -> dict[str, bytes]:
    return {
        where.format(label=NAMES[k % 3], k=k, part=("train", "val", "test")[k // 10]): encoded(PIXELS[k])
        for k in range(30)
    }


def read(path: Path, preprocess: str = "", ports=PORTS, **settings):
    return prepare(path, DataSettings(preprocess=preprocess, **settings), *ports)


@pytest.mark.parametrize(
    "where", ["d/{part}/{label}/{k}.png", "{label}/{part}/{k}.png", "{part}/{label}/sub/{k}.png"]
)
def test_folders_state_parts_and_classes(tmp_path, where):
    data = read(packed(tmp_path, images(where)))
    assert data.classes == ("a", "b", "c")
    for part, first in (("train", 0), ("calibration", 10), ("evaluation", 20)):
        rows, labels = data.part(part)
        found = {row.tobytes() for row in rows["x"]}
        assert found == {image.astype(np.float32).tobytes() for image in PIXELS[first : first + 10]}
        assert sorted(labels.tolist()) == sorted(k % 3 for k in range(first, first + 10))


def test_a_list_states_labels_parts_and_the_order(tmp_path):
    rows = "\n".join(f"{k % 3},pic{k}.png,{'test' if k < 10 else 'train'}" for k in range(30))
    members = {f"x/pic{k}.png": encoded(PIXELS[k]) for k in range(30)}
    path = packed(tmp_path, {**members, "x/labels.csv": f"label,name,split\n{rows}".encode()})
    data = read(path)
    np.testing.assert_array_equal(data.labels, np.arange(30) % 3)
    np.testing.assert_array_equal(data.inputs["x"], PIXELS)
    np.testing.assert_array_equal(data.parts["evaluation"], np.arange(10))


def test_a_list_may_hold_numbers_to_predict(tmp_path):
    rows = "\n".join(f"x/{k}.png,{k / 7:.4f},{k}" for k in range(30))
    members = {f"x/{k}.png": encoded(PIXELS[k]) for k in range(30)}
    path = packed(tmp_path, {**members, "list.csv": f"path,width,height\n{rows}".encode()})
    ports = PORTS[0], [("box", (2,), "float32")]
    data = prepare(path, DataSettings(label="width..height"), *ports, task="regression")
    np.testing.assert_allclose(data.labels[:, 1], np.arange(30))


def test_images_without_folders_have_no_labels(tmp_path):
    assert read(packed(tmp_path, {f"{k}.png": encoded(PIXELS[k]) for k in range(30)})).labels is None


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({**images(), "stray.png": encoded(PIXELS[0])}, r"'stray\.png' is in no class folder"),
        ({**images("{part}/{label}/{k}.png"), "more/a/1.png": encoded(PIXELS[0])}, "Put every image into one"),
        ({**images(), "l.csv": b"file,label\n0.png,a\nno.png,b\n1.png,c"}, r"row 3: 'no\.png' is not in the archive"),
        ({**images(), "l.csv": b"file,label\n0.png,a\n0.png,b"}, "row 3: .* is also in row 2"),
        ({**images(), "l.csv": b"file,label\n0.png,a\n1.png"}, "row 3"),
        ({**images(), "l.csv": b"f,l\n0.png,a", "m.csv": b"f,l\n1.png,a"}, "several CSVs"),
        ({**images(), "a/0b.png": b"not an image"}, r"1 file that cannot be read \(row 31: 'a/0b\.png': this is not"),
        ({**images(), "a/0b.png": encoded(PIXELS[0])[:60]}, r"'a/0b\.png'"),
        ({**images(), "a/0b.jpg": encoded(PIXELS[0], "GIF")}, "this is not a JPEG, PNG or BMP"),
    ],
)  # fmt: skip
def test_contradicting_and_damaged_archives_are_refused(tmp_path, members, said):
    with pytest.raises(DataRefused, match=said):
        read(packed(tmp_path, members))


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header states a size that its content does not have."""
    content = bytearray(encoded(PIXELS[0]))
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def test_decompression_bombs_are_refused_by_their_header(tmp_path):
    for size in ((10_000, 10_000), (60_000, 60_000)):
        with pytest.raises(DataRefused, match=r"'a/bomb\.png'"):
            read(packed(tmp_path, {**images(), "a/bomb.png": bomb(*size)}))


def test_archives_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    path = packed(tmp_path, images())
    for limit, said in (
        ("MAX_SAMPLES", "at most 10 are read"),
        ("MAX_MEMBER_BYTES", "at most 0 MB"),
        ("MAX_UNPACKED_BYTES", "unpacks to"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(sample_archive, limit, 10)
            with pytest.raises(DataRefused, match=said):
                read(path)


def one(tmp_path: Path, content: bytes, shape: tuple[int, ...], preprocess: str = "") -> np.ndarray:
    """The image as a model of this shape gets it."""
    path = packed(tmp_path, {"a.png": content, **{f"{k}.png": encoded(PIXELS[k]) for k in range(6)}})
    return prepare(path, DataSettings(preprocess=preprocess), [("x", shape, "float32")], PORTS[1]).inputs[
        "x"
    ][0]


def test_modes_become_colours_or_grey(tmp_path):
    rgb = Image.fromarray(PIXELS[0])
    np.testing.assert_array_equal(
        one(tmp_path, encoded(rgb), (6, 8, 3), "image(colour=bgr)"), PIXELS[0][..., ::-1]
    )
    np.testing.assert_array_equal(
        one(tmp_path, encoded(rgb), (6, 8, 1))[..., 0], np.asarray(rgb.convert("L"))
    )
    np.testing.assert_array_equal(one(tmp_path, encoded(rgb), (6, 8)), np.asarray(rgb.convert("L")))
    alpha = rgb.copy()
    alpha.putalpha(7)
    np.testing.assert_array_equal(one(tmp_path, encoded(alpha), (6, 8, 3)), PIXELS[0])
    palette = rgb.quantize(16)
    np.testing.assert_array_equal(
        one(tmp_path, encoded(palette), (6, 8, 3)), np.asarray(palette.convert("RGB"))
    )
    deep = (RANDOM.integers(0, 65536, (6, 8))).astype(np.uint16)
    np.testing.assert_array_equal(one(tmp_path, encoded(deep), (6, 8, 1))[..., 0], deep >> 8)
    bits = Image.fromarray(PIXELS[0, ..., 0] > 127)
    np.testing.assert_array_equal(one(tmp_path, encoded(bits), (6, 8)), 255.0 * (PIXELS[0, ..., 0] > 127))


def test_the_orientation_of_the_camera_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the picture is to be turned by 90° clockwise
    turned = encoded(np.rot90(PIXELS[0]), "PNG", exif=exif)
    np.testing.assert_array_equal(one(tmp_path, turned, (6, 8, 3)), PIXELS[0])


def test_stretch_crop_and_pad_give_the_models_size(tmp_path):
    wide = np.zeros((4, 16, 3), np.uint8)
    wide[:, 6:10] = 200
    stretched = one(tmp_path, encoded(wide), (4, 4, 3), "image(resize=stretch)")
    cropped = one(tmp_path, encoded(wide), (4, 4, 3), "image(resize=crop)")
    padded = one(tmp_path, encoded(wide), (8, 16, 3), "image(resize=pad)")
    assert 0 < stretched[0, 1, 0] < 200
    np.testing.assert_array_equal(cropped, wide[:, 6:10])
    np.testing.assert_array_equal(padded[2:6], wide)
    assert not padded[:2].any()
    assert not padded[6:].any()


def test_channels_are_normalized_each(tmp_path):
    found = one(
        tmp_path, encoded(PIXELS[0]), (6, 8, 3), "scale(/255) + normalize(mean=0.5|0.4|0.3, std=0.2|0.3|0.4)"
    )
    expected = (PIXELS[0] / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "preprocess", "said"),
    [
        ((6, 8, 4), "", "4 channels"),
        ((48,), "", r"takes \(48,\)"),
        ((None, None, 3), "", r"image\(size=96x96\)"),
        ((6, 8, 3), "image(resize=fit)", "stretch, crop, pad"),
        ((6, 8, 3), "image(colour=red)", "rgb, bgr, grey"),
        ((6, 8, 3), "image(size=9)", "height x width"),
        ((6, 8, 3), "sound(place=start)", "is for sounds"),
        ((6, 8, 3), "divide(2) + image(resize=pad)", "must be the first step"),
        ((6, 8, 3), "normalize(mean=1|2, std=1|1)", "3 channels"),
        ((6, 8, 3), "normalize(mean=1, std=0)", "deviations above 0"),
        ((6, 8, 1), "image(colour=rgb)", r"\(6, 8, 3\)"),
        ((3, 6, 8), "", r"axes\(2, 0, 1\)"),
    ],
)
def test_other_inputs_and_steps_are_refused_with_the_remedy(tmp_path, shape, preprocess, said):
    with pytest.raises(DataRefused, match=said):
        one(tmp_path, encoded(PIXELS[0]), shape, preprocess)


def test_image_steps_are_refused_for_numbers(tmp_path):
    np.savez(tmp_path / "a.npz", x=PIXELS)
    with pytest.raises(DataRefused, match="the data holds numbers"):
        read(tmp_path / "a.npz", "image(resize=pad)")


def test_notes_tell_what_the_images_are(tmp_path):
    facts = inspect_data(packed(tmp_path, {**images(), "a/g.png": encoded(PIXELS[0, ..., 0])}))
    assert "31 images (PNG), 8 × 6 each (width × height); 1 grey" in facts.notes
    assert facts.label == "label"


def wav(values: bytes, kind: int = 1, channels: int = 1, bits: int = 16, rate: int = 8000) -> bytes:
    layout = struct.pack("<HHIIHH", kind, channels, rate, 16_000, 2, bits)
    body = b"fmt " + struct.pack("<I", 16) + layout + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    body += b"data" + struct.pack("<I", len(values)) + values
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (wav(np.array([0, 16384, -32768], "<i2").tobytes()), [0, 0.5, -1]),
        (wav(bytes([128, 192, 0]), bits=8), [0, 0.5, -1]),
        (wav(b"\0\0\0" + b"\0\0\x40" + b"\0\0\x80", bits=24), [0, 0.5, -1]),
        (wav(np.array([0, 2**30, -(2**31)], "<i4").tobytes(), bits=32), [0, 0.5, -1]),
        (wav(np.array([0, 0.5, -1], "<f4").tobytes(), 3, bits=32), [0, 0.5, -1]),
        (wav(np.array([0, 16384, -32768, 0], "<i2").tobytes(), channels=2), [0.25, -0.5]),
    ],
)
def test_every_usual_coding_of_sound_is_read(content, expected):
    rate, values = read_wav(content)
    assert rate == 8000
    np.testing.assert_allclose(values, expected, atol=1e-7)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"RIFF", b"RIFF\0\0\0\0WAVE", wav(b""), wav(b"\0\0" * 9)[:-5], wav(b"\0\0", 85), wav(b"\0\0", channels=0),
        wav(b"\0\0", bits=7), wav(b"\0\0", bits=0), wav(b"\0\0", rate=0), wav(b"\0\0", channels=65535),
    ],
)  # fmt: skip
def test_other_sounds_are_refused(content):
    with pytest.raises(UnreadableSample):
        read_wav(content)


@pytest.mark.parametrize("size", [0xFFFF_FFFF, None])
def test_recordings_of_streams_and_rf64_are_read_to_their_end(size):
    values = np.array([0, 16384, -32768], "<i2").tobytes()
    content = bytearray(wav(values))
    content[-len(values) - 4 : -len(values)] = struct.pack("<I", 0xFFFF_FFFF)
    if size is None:
        sizes = b"ds64" + struct.pack("<IQQQI", 28, 0, len(values), 3, 0)
        content = bytearray(b"RF64" + content[4:12] + sizes + content[12:] + b"LIST\x02\0\0\0ab")
    np.testing.assert_allclose(read_wav(bytes(content))[1], [0, 0.5, -1])


@pytest.mark.parametrize(
    ("name", "said"), [("a/1.flac", "1 of 9 sounds are .flac"), ("b/x.OGG", "1 of 9 sounds are .ogg")]
)
def test_samples_in_a_format_that_is_not_read_are_named(tmp_path, name, said):
    sounds = {f"a/{k}.wav": wav(bytes([k, 1] * 9)) for k in range(8)}
    with pytest.raises(DataRefused, match=said):
        inspect_data(packed(tmp_path, {**sounds, name: b"fLaC"}))
    with pytest.raises(DataRefused, match="holds sounds of a format that is not read"):
        inspect_data(packed(tmp_path, {name: b"fLaC"}))


def test_folders_with_backslashes_are_classes(tmp_path):
    data = prepare(packed(tmp_path, images("set\\{label}\\{k}.png")), DataSettings(), *PORTS)
    assert data.classes == tuple(sorted(NAMES))


def tone(hertz: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize(
    ("rate", "target"), [(44_100, 16_000), (8_000, 16_000), (44_101, 16_000), (48_000, 8_000)]
)
def test_a_resampled_tone_is_that_tone_and_what_cannot_be_kept_is_gone(rate: int, target: int) -> None:
    expected = tone(440, target)
    inner = slice(len(expected) // 10, -len(expected) // 10)
    found = resampled(tone(440, rate).astype(np.float32), rate, target)
    assert abs(len(found) - len(expected)) <= 1
    error = found[: len(expected)][inner] - expected[inner]
    assert 10 * np.log10((expected[inner] ** 2).mean() / (error**2).mean()) > 45
    if rate > target:
        above = resampled(tone(0.7 * target, rate).astype(np.float32), rate, target)[inner]
        assert 10 * np.log10((above**2).mean() / 0.125) < -50


def test_files_of_different_rates_become_alike(tmp_path):
    sounds = {
        f"{k}.wav": wav((tone(400 + 10 * (k // 2), rate) * 32767).astype("<i2").tobytes(), rate=rate)
        for k, rate in enumerate((16_000, 44_100) * 6)
    }
    path = packed(tmp_path, sounds)
    facts = inspect_data(path)
    assert facts.sounds == ((16_000, 6, 8_000), (44_100, 6, 22_050))
    assert DataFacts.from_dict(json.loads(json.dumps(facts.to_dict()))) == facts
    assert "16,000 Hz (6), 44,100 Hz (6). State the rate" in facts.notes[0]
    shape = [("x", (8000, 1), "float32")]
    rows = prepare(path, DataSettings(preprocess="sound(rate=16000)"), shape, PORTS[1]).inputs["x"]
    assert np.abs(rows[0] - rows[1])[200:-200].max() < 0.005
    apart = prepare(path, DataSettings(), shape, PORTS[1]).inputs["x"]
    assert np.abs(apart[0] - apart[1]).max() > 0.5


@pytest.mark.parametrize("rate", [1, 4_294_967_295])
def test_hostile_rates_are_refused_with_the_file(tmp_path, rate):
    path = packed(tmp_path, {f"{k}.wav": wav(b"\1\2" * 9000, rate=rate) for k in range(8)})
    with pytest.raises(DataRefused, match=r"cannot be brought to 768,000 Hz"):
        prepare(path, DataSettings(preprocess="sound(rate=768000)"), [("x", (60, 1), "float32")], PORTS[1])


@pytest.mark.parametrize(
    "text", ["sound(rate=0)", "sound(rate=16000x2)", "sound(rate=fast)", "sound(rate=900000)"]
)
def test_rates_that_are_none_are_refused(text):
    with pytest.raises(DataRefused, match=r"rate|length|number"):
        parse_preprocess(text)


def test_sounds_are_cut_and_filled_with_silence(tmp_path):
    whole = np.arange(1, 9)
    sounds = {f"{k}.wav": wav((whole[: 4 + k % 5] * 1000).astype("<i2").tobytes()) for k in range(8)}
    path = packed(tmp_path, sounds)
    for step, expected in (("", [1, 2, 3, 4, 0, 0]), ("sound(place=centre)", [0, 1, 2, 3, 4, 0])):
        data = prepare(path, DataSettings(preprocess=step), [("x", (6, 1), "float32")], PORTS[1])
        np.testing.assert_allclose(data.inputs["x"][0, :, 0], np.array(expected) * 1000 / 32768, rtol=1e-6)
    with pytest.raises(DataRefused, match="spectrogram"):
        prepare(path, DataSettings(), [("x", (6, 4, 1), "float32")], PORTS[1])
