"""The float export as a step of a recipe."""

from dataclasses import dataclass

from lwdash.export.float_file import float_file

NAME = "float32"
LABEL = "Float export"
SUMMARY = "The unchanged model, 32-bit floats, in a .tflite: the reference for every other run."
TRAP = "Its batch size is fixed to 1, as on a phone or a microcontroller."
STAGE = "export"


@dataclass(frozen=True)
class Params:
    pass


apply = float_file
