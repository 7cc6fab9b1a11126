"""The sender of a request, by the cookie that Streamlit signs."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from streamlit.auth_util import get_cookie_with_chunks, get_origin_from_redirect_uri
from streamlit.web.server.server_util import AUTH_COOKIE_NAME, get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value

from lwdash.errors import UserMistake
from lwdash.serving.accounts import person

_LOG = logging.getLogger(__name__)


def claims_of(cookies: Mapping[str, str]) -> Mapping[str, Any]:
    """The provider's claims about the sender of these cookies. Empty unless
    the cookie is complete, signed by this server, not expired, and made for this address.
    """

    def verified(name: str) -> bytes | None:
        value = cookies.get(name)
        if value is None:
            return None
        return decode_signed_value(get_cookie_secret(), name, value.encode("latin-1", errors="replace"))

    whole = get_cookie_with_chunks(verified, AUTH_COOKIE_NAME)
    if whole is None:
        return {}
    try:
        claims = json.loads(whole)
    except ValueError:
        return {}
    if not isinstance(claims, dict) or claims.get("origin") != get_origin_from_redirect_uri():
        return {}
    return claims


def sender(cookies: Mapping[str, str], allowed: tuple[str, ...]) -> str | None:
    """The sender of a request with these cookies, if that person is allowed."""
    try:
        return person(claims_of(cookies), allowed)
    except UserMistake as refused:
        _LOG.warning("a request was refused: %s", refused)
        return None
