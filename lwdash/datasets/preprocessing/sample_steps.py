"""Steps that say how files of samples become arrays: images and sounds. Their readers apply them."""

from collections.abc import Mapping
from dataclasses import dataclass

from lwdash.datasets.preprocessing.step_arguments import finite_number, lengths, one_of
from lwdash.errors import DataRefused

FITTINGS = ("stretch", "crop", "pad")
COLOURS = ("rgb", "bgr", "grey")
PLACES = ("start", "centre")
MAX_IMAGE_SIDE = 8192
MAX_RATE = 768_000
"""The highest rate of sounds, in values per second."""


@dataclass(frozen=True)
class ImageFile:
    """The way image files get the size and the colours that the model takes.

    resize: stretch (both sides to the size), crop (the smaller side to the size, the middle is kept) or pad (the larger
    side to the size, black around). colour: None = by the model's channels, 1 grey and 3 RGB. size: (height, width),
    None = the model's. Bilinear, with anti-aliasing where an image becomes smaller; other sizes stay unchanged.
    """

    resize: str = "stretch"
    colour: str | None = None
    size: tuple[int, int] | None = None

    def __str__(self) -> str:
        parts = [f"resize={self.resize}"]
        parts += [f"colour={self.colour}"] if self.colour else []
        parts += [f"size={self.size[0]}x{self.size[1]}"] if self.size else []
        return f"image({', '.join(parts)})"


@dataclass(frozen=True)
class SoundFile:
    """The way sound files get the rate and the length that the model takes: cut to it, or filled with silence.

    place: start (the beginning is kept, silence follows) or centre (the middle is kept, silence on both sides).
    length: number of values, None = the model's. rate: values per second to which every file of another rate is resampled,
    before it is cut; None = each file keeps its own.
    """

    place: str = "start"
    length: int | None = None
    rate: int | None = None

    def __str__(self) -> str:
        parts = [f"place={self.place}"]
        parts += [f"length={self.length}"] if self.length else []
        parts += [f"rate={self.rate}"] if self.rate else []
        return f"sound({', '.join(parts)})"


@dataclass(frozen=True)
class Normalize:
    """(values − mean) / std, with one number for all values or one per channel, the last axis."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __str__(self) -> str:
        mean, std = ("|".join(f"{n:.10g}" for n in numbers) for numbers in (self.mean, self.std))
        return f"normalize(mean={mean}, std={std})"


def image_step(values: list[str], keys: Mapping[str, str]) -> ImageFile:
    _no_values("image", values, "image(resize=crop)")
    size = lengths("image", [keys["size"]], keys, "image(size=96x96)") if "size" in keys else None
    if size is not None and (len(size) != 2 or max(size) > MAX_IMAGE_SIDE):
        raise DataRefused(
            f"image: size must be height x width, at most {MAX_IMAGE_SIDE:,} each; received '{keys['size']}'. Write "
            "image(size=96x96)."
        )
    colour = one_of("image", "colour", keys["colour"], COLOURS) if "colour" in keys else None
    resize = one_of("image", "resize", keys.get("resize", "stretch"), FITTINGS)
    return ImageFile(resize, colour, (size[0], size[1]) if size else None)


def sound_step(values: list[str], keys: Mapping[str, str]) -> SoundFile:
    _no_values("sound", values, "sound(place=centre)")
    length = lengths("sound", [keys["length"]], keys, "sound(length=16000)") if "length" in keys else None
    if length is not None and len(length) != 1:
        raise DataRefused(
            f"sound: length must be one number; received '{keys['length']}'. Write sound(length=16000)."
        )
    place = one_of("sound", "place", keys.get("place", "start"), PLACES)
    rate = lengths("sound", [keys["rate"]], keys, "sound(rate=16000)") if "rate" in keys else None
    if rate is not None and (len(rate) != 1 or rate[0] > MAX_RATE):
        raise DataRefused(
            f"sound: rate must be one number of at most {MAX_RATE:,} Hz; received '{keys['rate']}'. Write sound(rate=16000)."
        )
    return SoundFile(place, length[0] if length else None, rate[0] if rate else None)


def _no_values(step: str, values: list[str], example: str) -> None:
    if values:
        raise DataRefused(f"{step}: '{values[0]}' has no key. Write {example}.")


def normalize_step(values: list[str], keys: Mapping[str, str]) -> Normalize:
    example = "normalize(mean=123.7|116.3|103.5, std=58.4|57.1|57.4)"
    _no_values("normalize", values, example)
    if set(keys) != {"mean", "std"}:
        raise DataRefused(f"normalize: mean and std must both be given. Write {example}.")
    mean, std = (
        tuple(finite_number("normalize", key, text) for text in keys[key].split("|"))
        for key in ("mean", "std")
    )
    if len(mean) != len(std) or min(std) <= 0:
        raise DataRefused(
            f"normalize: as many deviations above 0 as means are needed; received mean={keys['mean']}, std={keys['std']}. "
            f"Write {example}."
        )
    return Normalize(mean, std)
