"""The check that an upload comes from this server's own pages: a token, and the origin stated by the browser."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from starlette.datastructures import Headers

TOKEN_HEADER = "X-Lwdash-Token"


def refusal(headers: Headers, token: str) -> str | None:
    """Reason why a request with these headers may not change anything, or None if it may.

    A page's script cannot set `Sec-Fetch-Site`, and it is valid behind a proxy that rewrites `Host`. So it
    decides where a browser sends it (on https and on localhost). Otherwise `Origin`, if present, must name
    this `Host`.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        if site.lower() != "same-origin":
            return f"uploads are accepted only from this dashboard's own pages, but this one came {site!r}."
    elif origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        return (
            f"uploads are accepted only from this dashboard's own pages, but this one came from {origin!r}."
        )
    given = headers.get(TOKEN_HEADER, "")
    if not hmac.compare_digest(given.encode(), token.encode()):
        return "the server was restarted after this page was loaded. Reload it, then send the file again."
    return None
