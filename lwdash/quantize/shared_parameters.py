"""Parameters that several post-training techniques have."""

from lwdash.parameters import Choice, Flag, Integer
from lwdash.quantize.number_formats import ALGORITHMS
from lwdash.quantize.ranges.activation_ranges import HOW

BITS = Choice(
    "Bits per weight",
    "Number of bits for each stored weight.",
    {
        "8": "almost no loss",
        "4": (
            "half the bytes, in dense and plain convolution layers; other layers, and small ones where "
            "that saves time, get 8"
        ),
    },
)
ALGORITHM = Choice("Rounding", "Method to convert weights to integers.", ALGORITHMS)
ROWS = Integer(
    "Calibration rows", "Maximum number of calibration rows that set the ranges.", 1, 100_000, "rows"
)
GPTQ_ROWS = Integer(
    "Calibration rows", "Maximum number of calibration rows that GPTQ reads.", 1, 100_000, "rows"
)
RANGES = Choice("Ranges", "Method to determine the range of an activation.", HOW)
PER_CHANNEL = Flag(
    "Per-channel scale",
    "Each output channel of a kernel has its own scale: more exact, 12 bytes per channel larger.",
)
BACKEND = Choice(
    "Quantizer",
    "The library that quantizes, for comparison.",
    {
        "litert": "litert-quantizer, from the float .tflite, in milliseconds",
        "tflite": "TensorFlow's own converter, from the Keras model, in seconds",
    },
)
