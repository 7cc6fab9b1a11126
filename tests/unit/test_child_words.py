"""How the end of a child is told: who ended it, and what to do."""

import signal

import pytest

from lwdash.engine.child_process import Ended


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (
            signal.SIGKILL,
            r"killed \(SIGKILL\), by the system because memory ran out most likely, or by somebody",
        ),
        (signal.SIGSEGV, "SIGSEGV, in native code"),
        (signal.SIGABRT, "SIGABRT, in native code"),
        (signal.SIGTERM, r"from outside \(SIGTERM\), by somebody"),
        (signal.SIGXCPU, "all the processor time"),
        (40, r"from outside \((SIG)?[\w+ ]+\)"),
    ],
)
def test_a_signal_is_told_with_its_likely_sender(number: int, words: str) -> None:
    import re

    assert re.search(words, Ended(-number, None).words)


def test_a_reason_and_an_exit_code_are_told_as_they_are() -> None:
    assert Ended(-9, "it took too long").words == "it took too long"
    assert Ended(3, None).words == "the process ended with exit code 3"
