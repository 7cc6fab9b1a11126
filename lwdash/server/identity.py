"""Sign-in: whether it is on, and the sender of a request by the cookie that Streamlit signs."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from streamlit.auth_util import (
    get_cookie_with_chunks,
    get_origin_from_redirect_uri,
    get_secrets_auth_section,
    is_authlib_installed,
    validate_auth_credentials,
)
from streamlit.errors import Error as StreamlitError
from streamlit.web.server.server_util import AUTH_COOKIE_NAME, get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value

from lwdash.errors import UserMistake

_LOG = logging.getLogger(__name__)

NONE, OIDC = "none", "oidc"
CLAIMS = ("email", "sub")
"""What names a person, the first that the provider sends: what people can change themselves would let them be others."""
SECRET_LETTERS = 32
CALLBACK = "/oauth2callback"
DEFAULT_PROVIDER = "default"


def is_sign_in_on(auth: str | None) -> bool:
    """auth: LWDASH_AUTH; where it is not said, people sign in if Streamlit's secrets have `[auth]`."""
    return auth == OIDC or (auth is None and bool(get_secrets_auth_section()))


def providers() -> list[str]:
    """The names of the configured providers: `default`, or those of the sections below `[auth]`."""
    section = get_secrets_auth_section()
    if "client_id" in section:
        return [DEFAULT_PROVIDER]
    return [name for name in section if isinstance(section[name], Mapping) and "client_id" in section[name]]


def check_sign_in(auth: str | None) -> None:
    """Raises UserMistake when people are to sign in and the secrets do not say where."""
    if auth not in (None, NONE, OIDC):
        raise UserMistake(f"LWDASH_AUTH must be {OIDC} or {NONE}, but got {auth!r}")
    if not is_sign_in_on(auth):
        return
    if not is_authlib_installed():
        raise UserMistake("people are to sign in, but Authlib is not installed: run `make install`")
    for provider in providers() or [DEFAULT_PROVIDER]:
        try:
            validate_auth_credentials(provider)
        except StreamlitError as error:
            raise UserMistake(f"people are to sign in, but: {' '.join(str(error).split())}") from error
    section = get_secrets_auth_section()
    if not str(section["redirect_uri"]).endswith(CALLBACK):
        raise UserMistake(
            f"redirect_uri in [auth] must be the address of this dashboard with {CALLBACK} at its end, "
            f"but got {section['redirect_uri']!r}"
        )
    if len(str(section["cookie_secret"])) < SECRET_LETTERS:
        raise UserMistake(
            f"cookie_secret in [auth] must have at least {SECRET_LETTERS} characters: whoever guesses it can be "
            "anybody. `openssl rand -hex 32` makes one"
        )


def claims_of(cookies: Mapping[str, str]) -> Mapping[str, Any]:
    """What the provider said of the person whose browser sent these cookies; empty unless all of it is true:
    the cookie is whole, signed by this server, not too old, and made for this address."""

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


def person(claims: Mapping[str, Any], allowed: tuple[str, ...]) -> str | None:
    """Who these claims are about, in lower case; None if nobody signed in.

    allowed: e-mail addresses and `@domains` that may come in; empty: all whom the provider signs in.
    Raises UserMistake for somebody who signed in and may not come in.
    """
    if claims.get("is_logged_in") is not True:
        return None
    email = claims.get("email")
    if email and claims.get("email_verified") in (False, "false"):
        raise UserMistake(f"your provider has not verified that {email} is yours; do that first.")
    if allowed:
        address = email.strip().lower() if isinstance(email, str) else ""
        if address not in allowed and f"@{address.rpartition('@')[2]}" not in allowed:
            raise UserMistake(
                f"{address or 'an account without an e-mail address'} may not use this dashboard. "
                "Ask whoever runs it to add you to LWDASH_AUTH_ALLOW."
            )
    for claim in CLAIMS:
        value = claims.get(claim)
        if isinstance(value, str) and value.strip():
            return value.strip().lower()[:200]
    raise UserMistake("your provider says neither your e-mail address nor your subject identifier.")


def sender(cookies: Mapping[str, str], allowed: tuple[str, ...]) -> str | None:
    """Who sent a request with these cookies, if that person may come in."""
    try:
        return person(claims_of(cookies), allowed)
    except UserMistake as refused:
        _LOG.warning("a request was refused: %s", refused)
        return None
