"""Causes of failed conversions and dead processes, read from messages and logs. Needs no TensorFlow."""

import re
from collections.abc import Sequence
from pathlib import Path

TAIL_BYTES = 64 << 10

CAUSES = (
    (r"LLVM ERROR: (.+)", "the converter stopped: {}"),
    (r"error: (?:loc\(.*?\): )?'([\w.]+)' op (.+)", "the converter stopped at the operator {}: {}"),
    (r"Check failed: (.+)", "TensorFlow stopped at an internal check: {}"),
    (r"terminate called after throwing an instance of '([\w:]+)'", "native code threw {}"),
)
"""Patterns of a fatal line and their meaning, the most informative first."""

STAGES = (
    (r"in (?:wrapped_experimental_)?mlir_quantize$", "TensorFlow's quantizer"),
    (r"in (?:_feed_tensors|calibrate)$", "TensorFlow's calibration, which runs the float model on the rows"),
    (r"in (?:wrapped_convert|convert_saved_model|convert)$", "the TensorFlow Lite converter"),
    (r'File ".*litert_quantizer', "litert-quantizer"),
    (r'File ".*ai_edge_litert|in (?:invoke|allocate_tensors)$', "the LiteRT interpreter"),
    (r"in fit$", "training"),
)
"""Component that was running, by the Python stack that faulthandler wrote."""

NO_FORM = r"'tf\.(\w+)' op is neither a custom op nor a flex op"
FLEX = r"(?:TF Select ops|Select TF ops?|Flex ops): ([^\n]+)"
OPERATORS = r"(?:\btf\.|error: '|\bops: )([A-Z]\w+)"

PLACE = r'"(\w+):", "[^"@]*?([^/"@]+)\.(?:_\d+)?/[^"@]*@'
"""An operator and its place in the graph; the float export marks the end of a layer's name with a dot."""

NEEDS_FLEX = (
    "with select-TF-ops they would need TensorFlow's Flex delegate, which LiteRT does not have, so the "
    "file could be neither run nor measured here"
)
REPLACEMENTS = (
    (
        r"^(Max|Avg)Pool3D$",
        "use strides in the Conv3D before it instead, or pool two axes at a time with 2-D pooling",
    ),
    (
        r"^(Erfinv|Igamma\w*|Lgamma|Digamma|Betainc)$",
        "use an activation such as tanh, gelu or softplus instead",
    ),
    (r"HashTable|LookupTable", "look the codes up before the model, and give it the indices"),
    (
        r"Bincount",
        "upload the Keras file, not the SavedModel exported from it, or encode the categories before the model",
    ),
    (r"FFT|STFT", "compute the spectrum before the model, or as a Conv1D with fixed sine and cosine kernels"),
    (r"^(Qr|Svd|Cholesky|Matrix\w+|SelfAdjointEigV2)$", "compute the decomposition before the model"),
)
"""Operators without a TensorFlow Lite form → alternatives."""
REBUILT = "build those layers from standard ones"
ADVICE = (
    (r"TensorList|tf\.While|\b\w*rnn\w*\b|lstm|gru\b", "give the recurrent layers an input of fixed length"),
    (r"quantizer|calibration", "try dynamic or float16, which keep activations in float"),
)
"""Words in the cause → advice."""
OTHERWISE = "try the model without the named layer, or with standard layers instead"


def explain_failure(message: str) -> str:
    """The converter's message with the unsupported operators and advice."""
    first = next((line.strip() for line in message.splitlines() if line.strip()), "no message")
    flex = {name.strip() for line in re.findall(FLEX, message) for name in line.split(",")}
    lacking = sorted(flex | set(re.findall(NO_FORM, message)))
    if lacking:
        hints = dict.fromkeys(
            h for name in lacking for pattern, h in REPLACEMENTS if re.search(pattern, name)
        )
        return (
            "TensorFlow Lite has no operators for a part of this model: "
            f"{', '.join(_placed(lacking, message))}; {NEEDS_FLEX}. What to try: "
            f"{'; '.join(hints) or REBUILT}"
        )
    operators = sorted(set(re.findall(OPERATORS, message)))
    named = f" Operators it stopped at: {', '.join(_placed(operators, message))}." if operators else ""
    advice = _advice(message)
    return f"TensorFlow Lite could not convert this model: {first[:300].rstrip('.')}.{named} {advice[0].upper()}{advice[1:]}"


def _placed(operators: Sequence[str], message: str) -> list[str]:
    """Each operator with the Keras layers that contain it, where the message names them."""
    layers: dict[str, dict[str, None]] = {}
    for operator, layer in re.findall(PLACE, message):
        layers.setdefault(operator, {})[layer] = None
    return [
        f"{name} (layer {', '.join(repr(layer) for layer in layers[name])})" if name in layers else name
        for name in operators
    ]


def explain_log(path: Path) -> str | None:
    """The cause found at the end of a log file, with advice; None if there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return explain_crash(log.read().decode("utf-8", "replace"))
    except OSError:
        return None


def explain_crash(text: str) -> str | None:
    """The stage that died, its operator, and advice. None if `text` does not reveal them."""
    found = [message for message in (_cause(text), _stage(text)) if message]
    if not found:
        return None
    cause = "; ".join(found)
    return f"{cause}. What to try: {_advice(cause)}"


def _cause(text: str) -> str | None:
    for pattern, message in CAUSES:
        matches = re.findall(pattern, text, re.MULTILINE)
        if matches:
            last = matches[-1] if isinstance(matches[-1], tuple) else (matches[-1],)
            return message.format(*(part.strip().rstrip(".")[:200] for part in last))
    end = text.rstrip().rpartition("\n")[2]
    return end[:300] if re.match(r"[\w.]*Error: ", end) else None


def _stage(text: str) -> str | None:
    """The stage, from the stack that faulthandler wrote of the thread that died."""
    start = text.rfind("Fatal Python error")
    if start < 0:
        return None
    _, current, stack = text[start:].partition(
        "\nCurrent thread"
    )  # the thread that died may come after others
    stack = stack.partition("\n\n")[0] if current else text[start:]
    return next(
        (f"it happened in {name}" for pattern, name in STAGES if re.search(pattern, stack, re.M)), None
    )


def _advice(text: str) -> str:
    return next((hint for pattern, hint in ADVICE if re.search(pattern, text, re.IGNORECASE)), OTHERWISE)
