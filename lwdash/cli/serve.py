"""`serve`: replaces this process by the dashboard's server."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from lwdash.settings import DASHBOARD


def serve(port: int | None, address: str | None, further: Sequence[str]) -> NoReturn:
    """Streamlit with app.py, whose .streamlit/config.toml it reads by itself.

    port, address: None leaves what config.toml says. further: other options of Streamlit, as they were typed.
    """
    options = {"port": port, "address": address}
    chosen = [f"--server.{name}={value}" for name, value in options.items() if value is not None]
    program = ["-m", "streamlit", "run", str(DASHBOARD / "app.py")]
    os.execv(sys.executable, [sys.executable, *program, *chosen, *further])
