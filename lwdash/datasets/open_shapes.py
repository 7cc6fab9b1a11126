"""The form in which image and sound files are wanted, from the model's input and the steps of the pre-processing."""

from collections.abc import Sequence

from lwdash.datasets.preprocessing.language import Step
from lwdash.datasets.preprocessing.sample_steps import ImageFile, SoundFile
from lwdash.datasets.sample_shapes import shape_text, values_needed
from lwdash.errors import DataRefused

Shape = Sequence[int | None]
CHANNELS = (1, 3)


def file_step(steps: Sequence[Step]) -> ImageFile | SoundFile | None:
    """The step that says how files become arrays."""
    return next((step for step in steps if isinstance(step, ImageFile | SoundFile)), None)


def source_shape(held: Shape, steps: Sequence[Step], name: str, wanted: Shape) -> tuple[int, ...]:
    """The shape in which one value of an array column is wanted.

    held: its shape in the file, None for lengths that the model decides: three for an image, one for a sound.
    name, wanted: the input and its shape. Raises DataRefused where the model's input is no image or no sound.
    """
    step = file_step(steps)
    if all(length is not None for length in held):
        if step is not None:
            raise DataRefused(
                f"pre-processing: {step} is for files of images or sounds, and the data holds numbers. Leave it out."
            )
        return tuple(length for length in held if length is not None)
    if len(held) == 1:
        return _of_sound(step, name, wanted)
    return _of_image(step, name, wanted)


def _of_image(step: ImageFile | SoundFile | None, name: str, wanted: Shape) -> tuple[int, int, int]:
    if isinstance(step, SoundFile):
        raise DataRefused(
            f"pre-processing: {step} is for sounds, and the data holds images. Write image(resize=stretch)."
        )
    step = step or ImageFile()
    height, width, channels = _image_axes(wanted)
    if step.size is not None:
        height, width = step.size
    if height is None or width is None:
        if len(wanted) not in (2, 3):
            raise DataRefused(
                f"the data holds images, but input '{name}' of the model takes {shape_text(wanted)}. State the size, and "
                "steps that give this shape: image(size=96x96, colour=grey) + reshape(…)."
            )
        raise DataRefused(
            f"input '{name}' of the model takes images of any size {shape_text(wanted)}. State it in the pre-processing: "
            "image(size=96x96)."
        )
    if step.colour is not None:
        channels = 1 if step.colour == "grey" else 3
    if channels is None:
        channels = 3
    if channels not in CHANNELS:
        raise DataRefused(
            f"input '{name}' of the model takes {shape_text(wanted)}, {channels} channels, but image files give 1 (grey) or "
            "3. Give the samples as NumPy arrays."
        )
    return height, width, channels


def _image_axes(wanted: Shape) -> tuple[int | None, int | None, int | None]:
    """Height, width and channels of an input; channels first where only that is plausible."""
    if len(wanted) == 2:
        return wanted[0], wanted[1], 1
    if len(wanted) != 3:
        return None, None, None
    if wanted[0] in CHANNELS and wanted[2] not in CHANNELS:
        return wanted[1], wanted[2], wanted[0]
    return wanted[0], wanted[1], wanted[2]


def _of_sound(step: ImageFile | SoundFile | None, name: str, wanted: Shape) -> tuple[int]:
    if isinstance(step, ImageFile):
        raise DataRefused(
            f"pre-processing: {step} is for images, and the data holds sounds. Write sound(place=start)."
        )
    step = step or SoundFile()
    if step.length is not None:
        return (step.length,)
    needed = values_needed(wanted)
    if needed is None:
        raise DataRefused(
            f"input '{name}' of the model takes sounds of any length {shape_text(wanted)}. State it in the pre-processing: "
            "sound(length=16000)."
        )
    if len([length for length in wanted if length != 1]) > 1:
        raise DataRefused(
            f"input '{name}' of the model takes {shape_text(wanted)}, which looks like a spectrogram, but sound files give "
            "the wave, one value after the other. Compute the spectrograms as in training and give them as NumPy arrays."
        )
    return (needed,)
