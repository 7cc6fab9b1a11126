"""What the log of a process that died says about why, for people. Needs no TensorFlow."""

import re
from pathlib import Path

TAIL_BYTES = 64 << 10

CAUSES = (
    (r"LLVM ERROR: (.+)", "the converter stopped: {}"),
    (r"error: '?tf\.(\w+)'? op (.+)", "the converter stopped at the operator {}: {}"),
    (r"error: (?:loc\(.*?\): )?'(\w+\.\w+)' op (.+)", "the converter stopped at the operator {}: {}"),
    (r"Check failed: (.+)", "TensorFlow stopped at a check of its own: {}"),
    (r"terminate called after throwing an instance of '([\w:]+)'", "native code threw {}"),
    (r"^(?:\w+\.)*(\w*Error): (.+)$", "{}: {}"),
)
"""Patterns of a fatal line and what it means, the most telling first."""

STAGES = (
    (r"in (?:wrapped_experimental_mlir_quantize|mlir_quantize)", "the int8 quantizer of TensorFlow"),
    (r"in (?:wrapped_convert|convert_saved_model|_convert_\w+|convert)$", "the TensorFlow Lite converter"),
    (r'File ".*litert_quantizer', "litert-quantizer"),
    (r'File ".*ai_edge_litert|in invoke$|in allocate_tensors$', "the LiteRT interpreter"),
    (r"in fit$", "training"),
)
"""What was running, by the Python stack that faulthandler wrote."""

ADVICE = (
    (
        r"TensorList|while|rnn|lstm|gru",
        "recurrent layers in loops: give their input a fixed length, or keep them in float",
    ),
    (
        r"Flex|Select TF|select_tf|SELECT_TF_OPS|custom op",
        "those operators need TensorFlow's Flex delegate, which LiteRT does not have, so such a file could not "
        "be measured here: build the layer from standard ones",
    ),
    (r"int8 quantizer|litert-quantizer|quantiz", "try dynamic or float16, which keep activations in float"),
)
"""Words in the log → what to try."""

OTHERWISE = (
    "try the recipe float32 alone; if that fails too, replace the layer that the log names by standard ones"
)


def explain_log(path: Path) -> str | None:
    """The reason found at the end of a log file, with what to try; None where it tells nothing."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return explain_crash(log.read().decode("utf-8", "replace"))
    except OSError:
        return None


def explain_crash(text: str) -> str | None:
    """One sentence: which stage died, at which operator, and what to try. None where `text` tells nothing."""
    found = [words for words in (_cause(text), _stage(text)) if words]
    if not found:
        return None
    told = "; ".join(found)
    said = told + "\n" + _fatal_part(text)
    advice = next((hint for pattern, hint in ADVICE if re.search(pattern, said, re.IGNORECASE)), OTHERWISE)
    return f"{told} – {advice}"


def _cause(text: str) -> str | None:
    for pattern, words in CAUSES:
        matches = re.findall(pattern, text, re.MULTILINE)
        if matches:
            last = matches[-1] if isinstance(matches[-1], tuple) else (matches[-1],)
            return words.format(*(part.strip()[:200] for part in last))
    return None


def _stage(text: str) -> str | None:
    stack = _fatal_part(text)
    return next(
        (f"it happened in {name}" for pattern, name in STAGES if re.search(pattern, stack, re.M)), None
    )


def _fatal_part(text: str) -> str:
    """From faulthandler's headline on, the stack of the thread that died; empty without one."""
    start = text.rfind("Fatal Python error")
    if start < 0:
        return ""
    return text[start:].partition("\n\nExtension modules")[0].partition("\n\nThread")[0]
