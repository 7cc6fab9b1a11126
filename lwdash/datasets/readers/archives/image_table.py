"""A zip of images as a table: JPEG, PNG and BMP files, brought to the model's size and colours."""

import io
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from lwdash.datasets.preprocessing.sample_steps import ImageFile
from lwdash.datasets.readers.archives.sample_archive import is_archive_of
from lwdash.datasets.readers.archives.sample_table import SampleTable, UnreadableSample
from lwdash.datasets.readers.table import TableFormat, View

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
FORMATS = ("JPEG", "PNG", "BMP")
MAX_PIXELS = 64_000_000
PREVIEW_SIDE = 32
_DAMAGE = (
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OverflowError,
    EOFError,
    ArithmeticError,
)
"""Exceptions of Pillow for damaged files."""


class ImageTable(SampleTable):
    """The images of an archive; `uint8` (rows, height, width, channels).

    The orientation of the camera (EXIF) is applied. Palettes become colours, alpha is dropped as Keras does, 16-bit grey
    keeps its upper 8 bits. Grey is the luma of ITU-R 601.
    """

    file_format = "images"
    what = "image"
    suffixes = SUFFIXES
    open_shape = (None, None, None)

    def decode(self, content: bytes, view: View | None) -> np.ndarray:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                    return self._decoded(image, view)
        except _DAMAGE as error:
            if "cannot identify" in str(error):
                raise UnreadableSample("this is not a JPEG, PNG or BMP image") from None
            raise UnreadableSample(str(error) or type(error).__name__) from None

    def _decoded(self, image: Image.Image, view: View | None) -> np.ndarray:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise UnreadableSample(f"{width:,} × {height:,} pixels are more than {MAX_PIXELS:,}")
        if view is None:
            self.count(*_traits(image))
        plain = _plain(ImageOps.exif_transpose(image))
        if view is None:
            small = _resized(plain.convert("RGB"), (PREVIEW_SIDE, PREVIEW_SIDE), "crop")
            return np.asarray(small, np.uint8)
        step = view.step if isinstance(view.step, ImageFile) else ImageFile()
        rows, columns, channels = view.shape
        coloured = plain.convert("L" if channels == 1 else "RGB")
        values = np.asarray(_resized(coloured, (rows, columns), step.resize), np.uint8)
        if channels == 1:
            return values[..., None]
        return values[..., ::-1] if step.colour == "bgr" else values

    def script_view(self, view: View) -> Mapping[str, Any]:
        step = view.step if isinstance(view.step, ImageFile) else ImageFile()
        return {"shape": list(view.shape), "resize": step.resize, "colour": step.colour}

    def facts_notes(self) -> tuple[str, ...]:
        counts = self.traits
        sizes = [tuple(map(int, key[5:].split("x"))) for key in counts if key.startswith("size ")]
        kinds = [key[7:] for key in counts if key.startswith("format ")]
        first = f"{len(self._samples):,} image{'s' if len(self._samples) != 1 else ''} ({', '.join(sorted(kinds))})"
        if sizes:
            low, high = min(sizes, key=math.prod), max(sizes, key=math.prod)
            each = "each" if len(sizes) == 1 else f"to {high[0]} × {high[1]}"
            first += f", {low[0]} × {low[1]} {each} (width × height)"
        told = {
            "rotated": "turned upright by their EXIF orientation",
            "alpha": "with an alpha channel, which is dropped",
            "palette": "with a palette, which becomes colours",
            "deep": "with 16 bits, of which the upper 8 are kept",
            "grey": "grey",
        }
        notes = [f"{counts[key]:,} {text}" for key, text in told.items() if counts[key]]
        return (first + (f"; {', '.join(notes)}" if notes else ""), *super().facts_notes())


def _traits(image: Image.Image) -> list[str]:
    found = [f"size {image.width}x{image.height}", f"format {image.format}"]
    if image.getexif().get(0x0112, 1) not in (0, 1):
        found.append("rotated")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        found.append("alpha")
    if image.mode in ("P", "PA"):
        found.append("palette")
    if image.mode.startswith("I"):
        found.append("deep")
    if image.mode in ("1", "L", "LA") or image.mode.startswith("I"):
        found.append("grey")
    return found


def _plain(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB, or one that Pillow converts to them without loss."""
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64)
        if deep.max(initial=0) > 0xFFFF or deep.min(initial=0) < 0:
            raise UnreadableSample("grey values beyond 16 bits")
        return Image.fromarray((deep >> 8).astype(np.uint8))
    if image.mode in ("P", "PA"):
        return image.convert("RGBA").convert("RGB")
    return image


def _resized(image: Image.Image, size: tuple[int, int], how: str) -> Image.Image:
    """An image in another size.

    size: (height, width). An image of this size stays unchanged.
    """
    target = (size[1], size[0])
    if image.size == target:
        return image
    if how == "crop":
        return ImageOps.fit(image, target, Image.Resampling.BILINEAR)
    if how == "pad":
        return ImageOps.pad(image, target, Image.Resampling.BILINEAR)
    return image.resize(target, Image.Resampling.BILINEAR)


def is_image_archive(head: bytes, path: Path) -> bool:
    return is_archive_of(SUFFIXES, head, path)


IMAGES = TableFormat("images", is_image_archive, ImageTable)
