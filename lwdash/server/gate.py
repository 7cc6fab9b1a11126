"""Checks on every request, before any route: the server's name, the origin, the sender."""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Callable, Mapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lwdash.server.policy import policy_for

_LOG = logging.getLogger(__name__)

SHARE_COOKIE, RETURN_COOKIE = "_lwdash_share", "_lwdash_return"
RETURN_SECONDS = 600
PLACE = re.compile(r"[a-z0-9_-]{1,40}(\?[\w.~%&=+-]{0,500})?", re.ASCII)
"""A page of this dashboard as a return address after sign-in: never another site."""
OWN_ROUTES = frozenset({"upload", "download", "metrics", "healthz", "device"})
"""They check access themselves (see routes.py and device_routes.py)."""
PUBLIC_CORE = frozenset({"health", "script-health-check", "host-config", "stream", "bidi-components"})
"""Streamlit's routes below `_stcore` without private data: `stream` carries the pages, which require sign-in."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
"""No foreign site can make these names point to another host than the visitor's own."""
PROBES = (["healthz"], ["_stcore", "health"])
"""They reveal nothing, and monitoring may call the host by its address."""
GUARDED = frozenset({"_stcore", "media", "app"})
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    # A share link's token is part of the address, which must not be sent to other sites.
    "Referrer-Policy": "same-origin",
}


class Gate:
    """ASGI middleware around the whole application.

    must_sign_in: True if users sign in here. identify(cookies): the sender of a request, or None.
    is_shared(token):
    True if this is the token of a valid share link; may block. allowed_hosts: names of the server besides the
    local ones (`*.example.com` for all subdomains); empty: any. allowed_origins: other origins, such as
    `https://example.com`, whose pages may open a connection; `*`: any. base_url: Streamlit's
    `server.baseUrlPath`. policy: the Content-Security-Policy of every response (see policy.py).

    A name that is not allowed is refused for every route. Otherwise a foreign site whose own name points to
    this host (DNS rebinding) would count as the dashboard itself. A connection from another origin is refused
    as well; Streamlit alone would accept those of every page on the same host, with any port.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        must_sign_in: bool,
        identify: Callable[[Mapping[str, str]], str | None],
        is_shared: Callable[[str], bool],
        allowed_hosts: frozenset[str] = frozenset(),
        allowed_origins: frozenset[str] = frozenset(),
        base_url: str = "",
        policy: str = "",
    ):
        self.app = app
        self.must_sign_in = must_sign_in
        self.identify, self.is_shared = identify, is_shared
        self.allowed_hosts, self.allowed_origins = allowed_hosts, allowed_origins
        self.policy = policy
        self.base = [part for part in base_url.split("/") if part]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        send = _with_headers(send, self._own_headers(headers.get("host", "")))
        refused = self._foreign(scope, headers)
        cookies = cookie_parser(headers.get("cookie", ""))
        if refused is None and self.must_sign_in:
            refused = await self._unknown(scope, cookies)
        if refused is not None:
            return await _refuse(scope, receive, send, *refused)
        if scope["type"] == "websocket":
            return await self.app(scope, receive, send)
        if self.must_sign_in and self._is_page(scope):
            return await self._page(scope, receive, send, cookies)
        return await self.app(scope, receive, send)

    def _own_headers(self, host: str) -> dict[str, str]:
        return HEADERS | ({"Content-Security-Policy": policy_for(self.policy, host)} if self.policy else {})

    def _foreign(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        name = host_name(host)
        is_probe = scope["type"] == "http" and self._parts(scope) in PROBES
        allowed_hosts = self.allowed_hosts | LOCAL_NAMES
        if self.allowed_hosts and not is_probe and not any(_is_named(name, one) for one in allowed_hosts):
            return 421, (
                f"this server is not available under the name {name!r}. Use one of "
                f"{', '.join(sorted(allowed_hosts))}, or add the name to server.allowedHosts."
            )
        if scope["type"] == "websocket" and origin is not None:
            is_own = urlsplit(origin).netloc.lower() == host.lower()
            if not is_own and not {origin.lower(), "*"} & self.allowed_origins:
                return (
                    403,
                    f"pages from {origin!r} may not connect. Add the origin to server.corsAllowedOrigins.",
                )
        return None

    async def _unknown(self, scope: Scope, cookies: Mapping[str, str]) -> tuple[int, str] | None:
        """Reason why a request for one of Streamlit's own routes is refused; None if its sender is known."""
        parts = self._parts(scope)
        first, second = ([*parts, "", ""])[:2]
        if first in OWN_ROUTES or (first == "_stcore" and second in PUBLIC_CORE):
            return None
        is_reading = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if first not in GUARDED and is_reading:
            return None
        if self.identify(cookies) is not None:
            return None
        token = cookies.get(SHARE_COOKIE)
        if first == "media" and is_reading and token and await to_thread.run_sync(self.is_shared, token):
            return None
        return 401, "sign in first."

    async def _page(self, scope: Scope, receive: Receive, send: Send, cookies: Mapping[str, str]) -> None:
        """The page itself is the same for all users. Values that must survive a sign-in are stored in cookies."""
        parts, query = self._parts(scope), scope["query_string"].decode("latin-1")
        token = (parse_qs(query).get("share") or [""])[0]
        path = "/" + "/".join(self.base)
        if token:
            is_shared = await to_thread.run_sync(self.is_shared, token)
            cookie = _cookie(SHARE_COOKIE, token, path) if is_shared else ""
            return await self.app(scope, receive, _with_cookie(send, cookie))
        is_known = self.identify(cookies) is not None
        wanted = unquote(cookies.get(RETURN_COOKIE, ""))
        if is_known and not parts and not query and PLACE.fullmatch(wanted):
            response = RedirectResponse(f"{path.rstrip('/')}/{wanted}", status_code=302)
            response.headers["set-cookie"] = _cookie(RETURN_COOKIE, "", path, 0)
            return await response(scope, receive, send)
        cookie = ""
        if not is_known and parts:
            place = "/".join(parts) + (f"?{query}" if query else "")
            if PLACE.fullmatch(place):
                cookie = _cookie(RETURN_COOKIE, quote(place, safe=""), path, RETURN_SECONDS)
        return await self.app(scope, receive, _with_cookie(send, cookie))

    def _is_page(self, scope: Scope) -> bool:
        """True if a browser requests a page by its address, rather than a part of one."""
        if scope["method"] != "GET" or "text/html" not in Headers(scope=scope).get("accept", ""):
            return False
        parts = self._parts(scope)
        return not parts or (
            len(parts) == 1
            and "." not in parts[0]
            and parts[0] not in OWN_ROUTES | GUARDED | {"oauth2callback"}
        )

    def _parts(self, scope: Scope) -> list[str]:
        """The path below the base, in pieces; doubled slashes do not hide one."""
        parts = [part for part in scope["path"].split("/") if part]
        return parts[len(self.base) :] if parts[: len(self.base)] == self.base else parts


def local_names(address: str | None) -> frozenset[str]:
    """Names of a server that listens on `address`: on the loopback, this host's own."""
    try:
        is_local = address == "localhost" or ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        is_local = False
    return LOCAL_NAMES | {address or ""} if is_local else frozenset()


def host_name(host: str) -> str:
    """The name in a Host header, in lower case and without its port; "" if there is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_named(name: str, allowed: str) -> bool:
    allowed = allowed.strip().lower().strip("[]").rstrip(".")
    return allowed == "*" or name == allowed or (allowed.startswith("*.") and name.endswith(allowed[1:]))


def _cookie(name: str, value: str, path: str, seconds: int | None = None) -> str:
    made: SimpleCookie = SimpleCookie({name: value})
    attributes: dict[str, Any] = {"path": path, "httponly": True, "samesite": "Lax"}
    if seconds is not None:
        attributes["max-age"] = seconds
    for attribute, value in attributes.items():
        made[name][attribute] = value
    return made[name].OutputString()


def _with_headers(send: Send, more: Mapping[str, str]) -> Send:
    """Add headers to a response that does not have them."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in more.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _with_cookie(send: Send, cookie: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and cookie:
            MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return sending


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, message: str) -> None:
    client = (scope.get("client") or ("?",))[0]
    _LOG.warning("refused %s from %s: %s", scope["path"][:200], client, message)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    response: Response = JSONResponse(
        {"error": message}, status_code=status, headers={"Cache-Control": "no-store"}
    )
    await response(scope, receive, send)
