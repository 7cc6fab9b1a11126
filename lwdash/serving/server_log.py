"""The server's log: text, or one JSON object per line for programs."""

import json
import logging
import sys
from collections import deque
from datetime import UTC, datetime

FIELDS = ("run", "attempt", "step", "seconds")
"""Fields that a record may have besides its message, by `extra=`."""
MAX_LINES = 300
_RECENT: deque[str] = deque(maxlen=MAX_LINES)
CHATTY = ("distributed", "alembic", "httpx", "uvicorn.access")


class JsonLines(logging.Formatter):
    """{"time", "level", "logger", "message"}, then the record's own fields and its traceback, where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Lines(logging.Formatter):
    """`2026-01-31 12:00:00,000 INFO storage.database: … [run 7, attempt 2]`"""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = ", ".join(f"{name} {getattr(record, name)}" for name in FIELDS if hasattr(record, name))
        return super().formatMessage(record) + (f" [{fields}]" if fields else "")


class _Remember(logging.Handler):
    """Stores the last lines, for the System page."""

    def emit(self, record: logging.LogRecord) -> None:
        _RECENT.append(self.format(record))


def recent_lines() -> list[str]:
    """The newest lines of this process's log as text, oldest first, at most MAX_LINES."""
    return list(_RECENT)


def set_up_logging(form: str) -> None:
    """Send all records to standard error from now on; form: "text" or "json"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else Lines())
    remember = _Remember()
    remember.setFormatter(Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler, remember], force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    if form == "json":  # handlers of Streamlit and uvicorn would write between the objects
        for name in ("streamlit", "uvicorn", "uvicorn.error", "uvicorn.access"):
            logging.getLogger(name).handlers.clear()
            logging.getLogger(name).propagate = True
