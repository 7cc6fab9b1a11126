"""The float export as a step of a recipe."""

from dataclasses import dataclass

from lwdash.export.float_file import float_file

NAME = "float32"
LABEL = "Float export"
SUMMARY = "The model as it is, 32-bit floats, in a .tflite: what every other run is compared with."
TRAP = "Its batch size is fixed to 1, as a phone or a microcontroller runs it."
STAGE = "export"


@dataclass(frozen=True)
class Params:
    pass


apply = float_file
