"""A zip of WAV files as a table: mixed down to one channel, cut or padded to the model's length."""

import math
import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lwdash.datasets.preprocessing.sample_steps import MAX_RATE, SoundFile
from lwdash.datasets.readers.archives.sample_archive import is_archive_of
from lwdash.datasets.readers.archives.sample_table import SampleTable, UnreadableSample
from lwdash.datasets.readers.table import TableFormat, View

SUFFIXES = (".wav", ".wave")
PREVIEW_VALUES = 256
MAX_RESAMPLED = 64 << 20
"""Maximum number of values of a sound after its resampling."""
MAX_FACTOR = 10_000
"""Factors of a resampling above this are rounded: the filter has twenty times as many coefficients."""
_INTEGERS, _FLOATS, _EXTENSIBLE = 1, 3, 0xFFFE
_MAX_CHANNELS = 64
OPEN_SIZE = 0xFFFF_FFFF
"""Size of the sound in the header of a WAV file that does not state it there."""


class SoundTable(SampleTable):
    """The sounds of an archive; `float32` (rows, length), −1 … 1.

    Integers of 8 to 32 bits are divided by half their range, as TensorFlow does; floats stay as they are. Channels are
    averaged.
    """

    file_format = "sounds"
    what = "sound"
    suffixes = SUFFIXES
    open_shape = (None,)

    def decode(self, content: bytes, view: View | None) -> np.ndarray:
        rate, values = read_wav(content)
        if view is None:
            self.count(f"{rate} {len(values)}")
            return _envelope(values, PREVIEW_VALUES)
        step = view.step if isinstance(view.step, SoundFile) else SoundFile()
        if step.rate is not None:
            values = resampled(values, rate, step.rate)
        return _fitted(values, view.shape[0], step.place)

    def sounds(self) -> tuple[tuple[int, int, int], ...]:
        lengths: dict[int, list[tuple[int, int]]] = {}
        for key, count in self.traits.items():
            rate, length = map(int, key.split())
            lengths.setdefault(rate, []).append((length, count))
        return tuple(
            (rate, sum(n for _, n in found), _median(found)) for rate, found in sorted(lengths.items())
        )

    def script_view(self, view: View) -> Mapping[str, Any]:
        step = view.step if isinstance(view.step, SoundFile) else SoundFile()
        return {"length": view.shape[0], "place": step.place, "rate": step.rate}

    def facts_notes(self) -> tuple[str, ...]:
        rates = {rate: count for rate, count, _ in self.sounds()}
        lengths = sorted({int(key.split()[1]) for key in self.traits})
        text = f"{len(self._samples):,} sound{'s' if len(self._samples) != 1 else ''}"
        if lengths:
            text += f" of {lengths[0]:,}" + (f" to {lengths[-1]:,}" if len(lengths) > 1 else "") + " values"
        if len(rates) == 1:
            text += f" at {next(iter(rates)):,} Hz"
        elif rates:
            shown = ", ".join(f"{rate:,} Hz ({count:,})" for rate, count in sorted(rates.items()))
            text += f" at different rates: {shown}. State the rate that the model was trained on: sound(rate=16000)"
        return (text, *super().facts_notes())


def read_wav(content: bytes) -> tuple[int, np.ndarray]:
    """(values per second, float32 (length,)) of a RIFF WAVE file. Raises UnreadableSample."""
    if len(content) < 12 or content[:4] not in (b"RIFF", b"RF64") or content[8:12] != b"WAVE":
        raise UnreadableSample("this is not a WAV file")
    place, layout, data, data_bytes = 12, b"", None, len(content)
    while place + 8 <= len(content):
        name, size = content[place : place + 4], struct.unpack_from("<I", content, place + 4)[0]
        if name == b"data" and size == OPEN_SIZE:  # in RF64 stated before, in recordings of streams unknown
            size = min(data_bytes, len(content) - place - 8)
        body = content[place + 8 : place + 8 + size]
        if name == b"ds64" and len(body) >= 16:
            data_bytes = struct.unpack_from("<Q", body, 8)[0]
        elif name == b"fmt ":
            layout = body
        elif name == b"data":
            if len(body) < size:
                raise UnreadableSample(f"it ends early: {len(body):,} of {size:,} bytes of sound are there")
            data = body
        place += 8 + size + size % 2
    if len(layout) < 16 or data is None:
        raise UnreadableSample("its format or its sound is missing")
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", layout)
    if kind == _EXTENSIBLE and len(layout) >= 26:
        kind = struct.unpack_from("<H", layout, 24)[0]
    if not 1 <= channels <= _MAX_CHANNELS or rate == 0:
        raise UnreadableSample(f"its header states {channels} channels at {rate} Hz")
    values = _numbers(
        kind, bits, data[: len(data) // (channels * max(1, bits // 8)) * channels * (bits // 8)]
    )
    if not len(values):
        raise UnreadableSample("it holds no sound")
    return rate, values.reshape(-1, channels).mean(axis=1, dtype=np.float64).astype(np.float32)


def _numbers(kind: int, bits: int, data: bytes) -> np.ndarray:
    if kind == _INTEGERS and bits == 8:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if kind == _INTEGERS and bits == 24:
        raw = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(raw), 4), np.uint8)
        wide[:, 1:] = raw
        return wide.view("<i4")[:, 0] / np.float64(2**31)
    if kind == _INTEGERS and bits in (16, 32):
        return np.frombuffer(data, f"<i{bits // 8}") / np.float64(2 ** (bits - 1))
    if kind == _FLOATS and bits in (32, 64):
        return np.frombuffer(data, f"<f{bits // 8}")
    raise UnreadableSample(f"its coding (format {kind}, {bits} bits) is not read; convert it to 16-bit PCM")


def resampled(values: np.ndarray, rate: int, target: int) -> np.ndarray:
    """The sound at `target` values per second, float32; unchanged if it has this rate.

    A polyphase filter with a Kaiser window (scipy's resample_poly) removes what is above the lower of the two Nyquist
    frequencies. Ratios of large numbers are rounded to one part in a million or less. Raises UnreadableSample.
    """
    if rate == target:
        return values
    from scipy.signal import resample_poly

    if rate > MAX_RATE or (length := math.ceil(len(values) * target / rate)) > MAX_RESAMPLED:
        said = f"{length:,} values" if rate <= MAX_RATE else f"a rate of {rate:,} Hz"
        raise UnreadableSample(f"it cannot be brought to {target:,} Hz: {said}")
    up, down = resampling_ratio(rate, target)
    return resample_poly(values.astype(np.float64), up, down).astype(np.float32)


def resampling_ratio(rate: int, target: int) -> tuple[int, int]:
    """Whole factors to interpolate and to decimate by, at most about MAX_FACTOR unless the rates are that far apart."""
    low, high = sorted((rate, target))
    ratio = Fraction(high, low).limit_denominator(MAX_FACTOR * low // high or 1)
    return (ratio.numerator, ratio.denominator) if target > rate else (ratio.denominator, ratio.numerator)


def _median(found: list[tuple[int, int]]) -> int:
    """The median of lengths, given as (length, count)."""
    ordered, middle = sorted(found), sum(count for _, count in found) / 2
    passed = 0
    for length, count in ordered:
        passed += count
        if passed >= middle:
            return length
    return ordered[-1][0]


def _fitted(values: np.ndarray, length: int, place: str) -> np.ndarray:
    surplus = len(values) - length
    before = abs(surplus) // 2 if place == "centre" else 0
    if surplus >= 0:
        return values[before : before + length]
    return np.pad(values, (before, -surplus - before))


def _envelope(values: np.ndarray, length: int) -> np.ndarray:
    """The value of largest amplitude of each of `length` equal pieces; short sounds are padded."""
    if len(values) <= length:
        return _fitted(values, length, "start")
    step = math.ceil(len(values) / length)
    pieces = np.pad(values, (0, step * length - len(values))).reshape(length, step)
    return pieces[np.arange(length), np.abs(pieces).argmax(axis=1)]


def is_sound_archive(head: bytes, path: Path) -> bool:
    return is_archive_of(SUFFIXES, head, path)


SOUNDS = TableFormat("sounds", is_sound_archive, SoundTable)
