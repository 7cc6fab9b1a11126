"""The check that an upload comes from this server's own pages: a token, and the origin that the browser states."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from streamlit.web.server.server_util import get_cookie_secret

TOKEN_HEADER = "X-Lwdash-Token"


def upload_token() -> str:
    """The token that a page gives its upload component and that the upload route asks for.

    It comes from Streamlit's cookie secret: random for each server process unless `server.cookieSecret`, or the
    sign-in's `cookie_secret`, is set, and then the same in every replica. A module variable would not do: after
    an edited source file Streamlit imports the modules of the pages anew, and they would no longer agree with the
    routes.
    """
    return hmac.new(get_cookie_secret().encode(), b"lwdash upload", hashlib.sha256).hexdigest()


def refusal(headers: Headers, token: str) -> str | None:
    """Why a request with these headers may not change anything, or None if it may.

    `Sec-Fetch-Site` cannot be set by a page's script, and it holds behind a proxy that rewrites `Host`, so it
    decides where a browser sends it (on https and on localhost); otherwise `Origin`, if there is one, must
    name this `Host`.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        if site.lower() != "same-origin":
            return f"uploads are only taken from this dashboard's own pages, but this one came {site!r}."
    elif origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        return f"uploads are only taken from this dashboard's own pages, but this one came from {origin!r}."
    given = headers.get(TOKEN_HEADER, "")
    if not hmac.compare_digest(given.encode(), token.encode()):
        return "the server was started again since this page was loaded. Reload it, then send the file again."
    return None
