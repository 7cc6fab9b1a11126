"""Responses shared by all routes: paths, headers of downloads, refusals."""

from __future__ import annotations

import logging

from starlette.responses import JSONResponse

from lwdash.errors import NotFound, UserMistake

_LOG = logging.getLogger(__name__)
NEVER_CACHED = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
DOWNLOAD = {
    "X-Content-Type-Options": "nosniff",
    # Streamlit compresses unknown types; the browser would then not know the size of the download.
    "Content-Encoding": "identity",
}
SIGN_IN = "sign in first: open the dashboard in this browser."


class SignInNeeded(UserMistake):
    """The sender of this request is not signed in."""


class FileLost(UserMistake):
    """A file of this run is missing or damaged on the server."""


REFUSALS = (SignInNeeded, NotFound, FileLost, FileNotFoundError)


def refused(error: Exception, run_id: str) -> JSONResponse:
    """Message on why a run's download is not available, for one of REFUSALS."""
    if isinstance(error, SignInNeeded):
        return failed(401, SIGN_IN)
    if isinstance(error, NotFound):
        return failed(404, str(error))
    if isinstance(error, FileLost):
        _LOG.error("%s", error)
        return failed(410, str(error))
    _LOG.error("a file of run %s is gone", run_id, exc_info=error)
    return failed(410, "a file of this run is no longer on the server. Start the run again.")


def failed(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status, headers=NEVER_CACHED)


def prefix_of(base_url: str) -> str:
    """Prefix of every path: Streamlit's `server.baseUrlPath` with a slash. Streamlit does not add it to other routes."""
    base = base_url.strip("/")
    return f"/{base}" if base else ""
