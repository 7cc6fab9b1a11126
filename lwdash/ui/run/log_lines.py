"""The lines of a run's log that are about the run, and those that libraries write at every start."""

import re

LIBRARY_LINE = re.compile(
    r"""
    [IWE]\d{4}[ ]\d\d:\d\d:\d\d | [IWE]0000[ ]00:00:   # absl's prefix: severity, date, time
    | \d{4}-\d\d-\d\d[ ][\d:.]+:[ ][IWE][ ]            # the prefix that TensorFlow had before
    | WARNING:tensorflow:(Callback[ ]method|\d+[ ]out[ ]of[ ]the[ ]last[ ]\d+[ ]calls)
    | WARNING:[ ]All[ ]log[ ]messages[ ]before[ ]absl
    | To[ ]enable[ ]the[ ]following[ ]instructions
    | INFO:[ ](Created[ ]TensorFlow[ ]Lite|Initialized[ ]TensorFlow[ ]Lite)
    """,
    re.VERBOSE,
)


def without_library_lines(text: str) -> tuple[str, int]:
    """The log without messages of TensorFlow and LiteRT about the host or its speed, and how many lines these were."""
    lines = text.splitlines()
    own = [line for line in lines if not LIBRARY_LINE.match(line)]
    return "\n".join(own), len(lines) - len(own)
