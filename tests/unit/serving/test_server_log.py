"""The server's log, for programs and for people."""

import json
import subprocess
import sys

PROGRAM = """
import logging
from lwdash.serving.server_log import recent_lines, set_up_logging
set_up_logging({form!r})
log = logging.getLogger("lwdash.engine.step_journal")
log.info("compress ended", extra={{"run": 7, "attempt": 2, "seconds": 1.5}})
logging.getLogger("uvicorn.access").info("GET /experiment?share=token")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("größer\\nals zuvor")
print(len(recent_lines()), "run 7, attempt 2" in recent_lines()[0])
"""


def logged(form: str) -> tuple[str, str]:
    """What a fresh process with this log writes: standard output and error."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(form=form)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout, ended.stderr


def test_json_is_one_object_a_line_with_run_and_attempt_and_traceback() -> None:
    out, err = logged("json")
    first, second = (json.loads(line) for line in err.splitlines())
    assert {key: first[key] for key in ("level", "message", "run", "attempt", "seconds")} == {
        "level": "info", "message": "compress ended", "run": 7, "attempt": 2, "seconds": 1.5,
    }  # fmt: skip
    assert first["time"].endswith("+00:00")
    assert second["level"] == "error"
    assert second["message"] == "größer\nals zuvor"
    assert "ZeroDivisionError" in second["exception"]
    assert out.split() == ["2", "True"]


def test_text_has_the_same_for_people() -> None:
    _, err = logged("text")
    assert err.splitlines()[0].endswith(
        "INFO lwdash.engine.step_journal: compress ended [run 7, attempt 2, seconds 1.5]"
    )
    assert "ZeroDivisionError" in err


def test_addresses_of_requests_are_not_logged() -> None:
    """They hold tokens."""
    assert "token" not in "".join(logged("json") + logged("text"))
