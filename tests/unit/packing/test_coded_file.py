"""Coded files: lossless, small, decoded alike by Python and C, and refused in words when damaged."""

import io
import lzma
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.measure_models import TYPES, Model, packed

from lwdash.packing import decoder
from lwdash.packing.coded_file import (
    MIN_SEGMENT_BYTES,
    CodedDamaged,
    decode,
    download_zip,
    encode,
    encode_with_sizes,
)
from lwdash.packing.scale_products import find_products
from lwdash.packing.value_ratios import find_ratios
from lwdash.tflite.tensor import TfliteUnreadable

MAIN = r"""
#include "decoder.c"
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **names) {
    FILE *file = fopen(names[1], "rb");
    static uint8_t coded[1 << 24];
    uint32_t n = (uint32_t)fread(coded, 1, sizeof coded, file);
    fclose(file);
    uint32_t size = lwc_size(coded, n), work_bytes = lwc_workspace(coded, n);
    uint8_t *tflite = malloc(size + 1), *work = malloc(work_bytes + 1);
    int error = lwc_decode(coded, n, tflite, size, work, work_bytes);
    if (!error && lwc_decode(coded, n, tflite, size - 1, work, work_bytes) != LWC_BUFFER_TOO_SMALL) return 90;
    if (!error && lwc_decode(coded, n, tflite, size, work, work_bytes - 1) != LWC_BUFFER_TOO_SMALL) return 91;
    if (!error && count > 2) {
        file = fopen(names[2], "wb");
        lwc_decode(coded, n, tflite, size, work, work_bytes);
        fwrite(tflite, 1, size, file);
        fclose(file);
    }
    free(tflite);
    free(work);
    return error;
}
"""
OK, NOT_CODED, DAMAGED = 0, 1, 2


@pytest.fixture(scope="session")
def c_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """decoder.c as a program, with every warning an error and the sanitizers on."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("decoder")
    (folder / "main.c").write_text(MAIN)
    source = Path(decoder.__file__).parent
    subprocess.run(
        [
            compiler, "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all", f"-I{source}", "main.c", "-o", "decoder",
        ],
        cwd=folder,
        check=True,
    )  # fmt: skip
    return folder / "decoder"


def decode_in_c(program: Path, data: bytes, folder: Path) -> tuple[int, bytes]:
    """(exit code, the .tflite) of the C program."""
    (folder / "in").write_bytes(data)
    (folder / "out").unlink(missing_ok=True)
    ended = subprocess.run(
        [program, "in", "out"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert not ended.stderr, ended.stderr
    return ended.returncode, (folder / "out").read_bytes() if ended.returncode == 0 else b""


def one_tensor(values: np.ndarray | bytes, shape: tuple[int, ...], dtype: str, scales: int = 0) -> bytes:
    """A .tflite with one constant; scales: so many along the first axis."""
    model = Model()
    scale = np.linspace(0.01, 0.02, scales) if scales else None
    model.tensor(
        "kernel", shape, dtype, values, scale=scale, zero_point=np.zeros(scales, np.int64) if scales else None
    )
    return model.build([], [])


def clustered(
    rows: int, columns: int, sparsity: float = 0.8, clusters: int = 16, seed: int = 0
) -> np.ndarray:
    """int8 weights of a pruned and clustered kernel, quantized channel by channel."""
    chance = np.random.default_rng(seed)
    reals = np.append(np.sort(chance.normal(0, 1, clusters - 1)), 0)
    kernel = reals[chance.integers(0, clusters - 1, (rows, columns))]
    kernel[chance.random((rows, columns)) < sparsity] = 0
    largest = np.maximum(np.abs(kernel).max(axis=1, keepdims=True), 1e-9)
    return np.round(kernel / largest * 127).astype(np.int8)


def sample(dtype: str, kind: str, count: int, seed: int) -> bytes:
    """`count` values of one of the kinds that files hold."""
    chance = np.random.default_rng(seed)
    if kind == "noise":
        return chance.bytes(count * 8)
    values = chance.normal(0, 1, count)
    if kind == "sparse":
        values[chance.random(count) < 0.8] = 0
    elif kind == "clustered":
        values = chance.normal(0, 1, 8)[chance.integers(0, 8, count)]
    elif kind == "constant":
        values[:] = values[:1].sum()
    elif kind == "extremes":
        values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38, -1.0])[
            chance.integers(0, 8, count)
        ]
    if dtype.startswith("float"):
        with np.errstate(over="ignore"):
            return values.astype(dtype).tobytes()
    bits = 4 if dtype == "int4" else np.dtype(dtype).itemsize * 8
    limit = float(2 ** (bits - 1))
    scaled = np.clip(np.nan_to_num(values, posinf=9, neginf=-9) * limit / 3, -limit, np.nextafter(limit, 0))
    whole = scaled.astype(np.int64)
    if kind == "extremes":
        whole[::2] = -(2 ** (bits - 1))
    return packed(whole, 4) if dtype == "int4" else whole.astype(dtype.replace("uint8", "int8")).tobytes()


DTYPES = ("int8", "uint8", "int4", "int16", "int32", "int64", "float32", "float16", "bool")
KINDS = ("noise", "dense", "sparse", "clustered", "constant", "extremes")


def stored_bytes(dtype: str, count: int) -> int:
    return (count + 1) // 2 if dtype == "int4" else count * np.dtype(dtype).itemsize


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_type_comes_back_from_both_decoders(
    dtype: str, kind: str, c_decoder: Path, tmp_path: Path
) -> None:
    shape, count = (12, 3, 3, 2), 216
    data = sample(dtype, kind, count, 1)[: stored_bytes(dtype, count)]
    tflite = one_tensor(data, shape, dtype, scales=12 if dtype == "int8" else 0)
    encoding = encode_with_sizes(tflite, table_bits=12)
    assert decode(encoding.coded) == tflite
    assert decode_in_c(c_decoder, encoding.coded, tmp_path) == (OK, tflite)
    (tensor,) = encoding.tensors
    assert tensor.stored_bytes == len(data)
    assert 0 < encoding.structure_bytes < len(encoding.coded)


@pytest.mark.long
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(DTYPES),
    kind=st.sampled_from(KINDS),
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    scales=st.booleans(),
    seed=st.integers(0, 1 << 20),
)
def test_every_shape_comes_back_from_both_decoders(
    dtype: str, kind: str, shape: list[int], scales: bool, seed: int, c_decoder: Path, tmp_path: Path
) -> None:
    count = int(np.prod(shape))
    data = sample(dtype, kind, count, seed)[: stored_bytes(dtype, count)]
    tflite = one_tensor(data, tuple(shape), dtype, scales=shape[0] if scales and dtype == "int8" else 0)
    coded_file = encode_with_sizes(tflite, table_bits=10).coded
    assert decode(coded_file) == tflite
    assert decode_in_c(c_decoder, coded_file, tmp_path) == (OK, tflite)


def test_many_values_keep_the_counters_in_step(c_decoder: Path, tmp_path: Path) -> None:
    """More values than a chunk has, and counters beyond the limit at which they are halved."""
    values = np.zeros((500, 100), np.int8)
    values[:, ::9] = 3
    values[250:] = clustered(250, 100)
    tflite = one_tensor(values, values.shape, "int8")
    coded_file = encode(tflite)
    assert decode(coded_file) == tflite
    assert decode_in_c(c_decoder, coded_file, tmp_path) == (OK, tflite)


def test_pruned_and_clustered_files_are_far_smaller_than_what_others_make_of_them() -> None:
    tflite = one_tensor(clustered(128, 400), (128, 400), "int8", scales=128)
    size = len(encode(tflite))
    assert size < 0.75 * len(zlib.compress(tflite, 9))
    assert size < 0.85 * len(lzma.compress(tflite, preset=9))


def test_channels_of_a_clustered_kernel_share_one_list() -> None:
    values = clustered(64, 200)
    channel = np.repeat(np.arange(64), 200)
    ratios = find_ratios(values.reshape(-1).astype(np.int64), channel)
    assert ratios is not None
    assert len(ratios.entries) <= 18
    assert np.count_nonzero(ratios.modes) > 60
    places = ratios.places(values.reshape(-1).astype(np.int64), channel)
    for number in np.flatnonzero(ratios.modes):
        found = ratios.table(int(ratios.modes[number]))[places[channel == number] + ratios.zero]
        np.testing.assert_array_equal(found, values[number])


def test_dense_kernels_have_no_such_list() -> None:
    values = np.clip(np.random.default_rng(0).normal(0, 40, (16, 300)), -127, 127).astype(np.int64)
    assert find_ratios(values.reshape(-1), np.repeat(np.arange(16), 300)) is None


def test_scales_of_a_bias_are_found_in_those_of_its_kernel() -> None:
    kernel = np.random.default_rng(0).uniform(0.001, 0.01, 40).astype(np.float32)
    bias = kernel * np.float32(0.0173)
    plans, products = find_products(
        bytes(8) + kernel.tobytes() + bytes(4) + bias.tobytes(), [(8, 40), (172, 40)]
    )
    assert len(plans) == len(products) == 1
    product = products[0]
    assert (product.target, product.source, product.count) == (172, 8, 40)
    text = bytes(8) + kernel.tobytes() + bytes(4)
    assert bytes(product.expected(text, 172 + i) for i in range(160)) == bias.tobytes()


def test_scales_that_follow_from_others_cost_almost_nothing() -> None:
    def structure_bytes(bias_scale: np.ndarray) -> float:
        model = Model()
        zeros = np.zeros(64, np.int64)
        model.tensor("kernel", (64, 10), "int8", clustered(64, 10), scale=kernel_scale, zero_point=zeros)
        model.tensor(
            "bias", (64,), "int32", np.arange(64, dtype=np.int32), scale=bias_scale, zero_point=zeros
        )
        tflite = model.build([], [])
        encoding = encode_with_sizes(tflite)
        assert decode(encoding.coded) == tflite
        return encoding.structure_bytes

    chance = np.random.default_rng(0)
    kernel_scale = chance.uniform(0.001, 0.01, 64).astype(np.float32)
    unrelated = structure_bytes(chance.uniform(0.001, 0.01, 64).astype(np.float32))
    assert structure_bytes(kernel_scale * np.float32(0.37)) < unrelated - 100


def test_tensors_add_up_to_the_file() -> None:
    model = Model()
    model.tensor(
        "first",
        (32, 50),
        "int8",
        clustered(32, 50),
        scale=np.ones(32) / 50,
        zero_point=np.zeros(32, np.int64),
    )
    model.tensor("second", (100,), "float32", np.random.default_rng(0).normal(0, 1, 100).astype(np.float32))
    model.tensor("small", (2,), "int32", np.array([4, 5], np.int32))
    encoding = encode_with_sizes(model.build([], []))
    tensors = {tensor.name: tensor for tensor in encoding.tensors}
    assert {name: tensor.stored_bytes for name, tensor in tensors.items()} == {"first": 1600, "second": 400}
    assert tensors["first"].coded_bytes < 600
    total = encoding.structure_bytes + sum(t.coded_bytes for t in encoding.tensors)
    assert total == pytest.approx(len(encoding.coded))


def test_floats_of_one_list_of_values_take_their_places_only() -> None:
    values = np.random.default_rng(0).normal(0, 1, 16).astype(np.float32)
    kernel = values[np.random.default_rng(1).integers(0, 16, 4000)]
    (tensor,) = encode_with_sizes(one_tensor(kernel, (40, 100), "float32")).tensors
    assert tensor.form == "list of values"
    assert tensor.coded_bytes < 4000 * 4.1 / 8


def test_incompressible_weights_do_not_grow() -> None:
    data = np.random.default_rng(0).bytes(40_000)
    (tensor,) = encode_with_sizes(one_tensor(data, (100, 100), "float32")).tensors
    assert tensor.coded_bytes < 40_000 * 1.01


def test_the_same_file_is_coded_to_the_same_bytes() -> None:
    tflite = one_tensor(clustered(30, 40), (30, 40), "int8", scales=30)
    assert encode(tflite) == encode(bytes(bytearray(tflite)))


def test_zeros_stay_within_the_stated_ratio(c_decoder: Path, tmp_path: Path) -> None:
    tflite = one_tensor(np.zeros(200_000, np.int8), (200_000,), "int8")
    coded_file = encode(tflite)
    assert len(tflite) / decoder.MAX_RATIO <= len(coded_file) < 600
    assert decode_in_c(c_decoder, coded_file, tmp_path) == (OK, tflite)


def test_what_is_no_tflite_is_refused() -> None:
    with pytest.raises(TfliteUnreadable, match="are not a"):
        encode(b"PK\3\4 this is a zip")


@pytest.fixture(scope="module")
def small_file() -> tuple[bytes, bytes]:
    tflite = one_tensor(clustered(16, 24), (16, 24), "int8", scales=16)
    return tflite, encode_with_sizes(tflite, table_bits=10).coded


def with_checksum(body: bytes) -> bytes:
    """A coded file whose checksum fits its damaged body."""
    return decoder.MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def test_cut_files_are_refused(small_file: tuple[bytes, bytes], c_decoder: Path, tmp_path: Path) -> None:
    _, whole = small_file
    for end in range(len(whole)):
        with pytest.raises(CodedDamaged):
            decode(whole[:end])
    for end in range(0, len(whole), 97):
        assert decode_in_c(c_decoder, whole[:end], tmp_path)[0] == NOT_CODED


def test_changed_bytes_are_refused(small_file: tuple[bytes, bytes]) -> None:
    _, whole = small_file
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(CodedDamaged):
            decode(bytes(damaged))


def test_added_bytes_are_refused(small_file: tuple[bytes, bytes]) -> None:
    with pytest.raises(CodedDamaged, match="checksum"):
        decode(small_file[1] + b"\0")


@pytest.mark.parametrize("data", [b"", b"LWC1", b"TFL3" * 10, bytes(100)])
def test_other_bytes_are_refused(data: bytes, c_decoder: Path, tmp_path: Path) -> None:
    with pytest.raises(CodedDamaged):
        decode(data)
    assert decode_in_c(c_decoder, data, tmp_path)[0] == NOT_CODED


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_behind_a_valid_checksum_is_noticed(
    data: st.DataObject, small_file: tuple[bytes, bytes], c_decoder: Path, tmp_path: Path
) -> None:
    """Neither decoder crashes or hangs: both refuse, or give the file."""
    tflite, whole = small_file
    body = bytearray(whole[8:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        body = body[: data.draw(st.integers(11, len(body)))]
    damaged = with_checksum(bytes(body))
    try:
        found = decode(damaged, limit_bytes=4 * len(tflite))  # larger sizes take Python seconds
    except CodedDamaged:
        found = None
    assert found in (None, tflite)
    code, from_c = decode_in_c(c_decoder, damaged, tmp_path)
    assert from_c in (b"", tflite)
    assert code in (OK, NOT_CODED, DAMAGED)


def test_a_bomb_is_refused_before_it_is_decoded(small_file: tuple[bytes, bytes]) -> None:
    body = bytearray(small_file[1][8:])
    body[:4] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(CodedDamaged, match="impossible size"):
        decode(with_checksum(bytes(body)))
    with pytest.raises(CodedDamaged, match="at most 100 are"):
        decode(small_file[1], limit_bytes=100)


def test_the_download_decodes_itself(small_file: tuple[bytes, bytes], tmp_path: Path) -> None:
    """The zip's decoder.py, started on its own, without lwdash and without numpy."""
    tflite, whole = small_file
    with zipfile.ZipFile(io.BytesIO(download_zip(whole, "model"))) as archive:
        assert archive.namelist() == ["model.tflite.coded", "decoder.c", "decoder.py", "README.txt"]
        archive.extractall(tmp_path)
    assert f"{len(tflite):,} bytes" in (tmp_path / "README.txt").read_text()
    subprocess.run(
        [sys.executable, "-I", "-S", "decoder.py", "model.tflite.coded", "model.tflite"],
        cwd=tmp_path, check=True, timeout=60,
    )  # fmt: skip
    assert (tmp_path / "model.tflite").read_bytes() == tflite
    assert download_zip(whole, "model") == download_zip(whole, "model")


def test_the_c_decoder_is_small_and_allocates_nothing() -> None:
    source = (Path(decoder.__file__).parent / "decoder.c").read_text()
    assert len(source.splitlines()) <= 300
    assert "malloc" not in source
    assert [line for line in source.splitlines() if line.startswith("#include")] == [
        "#include <stdint.h>",
        "#include <string.h>",
    ]


def test_types_of_the_schema_are_covered() -> None:
    assert set(TYPES) - {"int2"} == set(DTYPES)
    assert decode(encode(one_tensor(bytes(range(256)), (1024,), "int2")))
    assert MIN_SEGMENT_BYTES <= 256
