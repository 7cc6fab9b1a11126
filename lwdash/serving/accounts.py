"""Sign-in: whether it is on, its providers, and the person that a provider's claims are about."""

from collections.abc import Mapping
from typing import Any

from streamlit.auth_util import (
    get_secrets_auth_section,
    is_authlib_installed,
    validate_auth_credentials,
)
from streamlit.errors import Error as StreamlitError

from lwdash.errors import UserMistake

NONE, OIDC = "none", "oidc"
CLAIMS = ("email", "sub")
"""Claims that identify a person, in order of preference. Claims that users can edit would allow impersonation."""
SECRET_LETTERS = 32
CALLBACK = "/oauth2callback"
DEFAULT_PROVIDER = "default"


def is_sign_in_on(auth: str | None) -> bool:
    """True if users have to sign in.

    auth: LWDASH_AUTH; if unset, sign-in is enabled if Streamlit's secrets have `[auth]`.
    """
    return auth == OIDC or (auth is None and bool(get_secrets_auth_section()))


def providers() -> list[str]:
    """The names of the configured providers: `default`, or those of the sections below `[auth]`."""
    section = get_secrets_auth_section()
    if "client_id" in section:
        return [DEFAULT_PROVIDER]
    return [name for name in section if isinstance(section[name], Mapping) and "client_id" in section[name]]


def check_sign_in(auth: str | None) -> None:
    """Raises UserMistake when sign-in is enabled and the secrets do not configure it."""
    if auth not in (None, NONE, OIDC):
        raise UserMistake(f"LWDASH_AUTH must be {OIDC} or {NONE}, but got {auth!r}")
    if not is_sign_in_on(auth):
        return
    if not is_authlib_installed():
        raise UserMistake("sign-in is enabled, but Authlib is not installed: run `make install`")
    for provider in providers() or [DEFAULT_PROVIDER]:
        try:
            validate_auth_credentials(provider)
        except StreamlitError as error:
            raise UserMistake(f"sign-in is enabled, but: {' '.join(str(error).split())}") from error
    section = get_secrets_auth_section()
    if not str(section["redirect_uri"]).endswith(CALLBACK):
        raise UserMistake(
            f"redirect_uri in [auth] must be the address of this dashboard with {CALLBACK} at its end, "
            f"but got {section['redirect_uri']!r}"
        )
    if len(str(section["cookie_secret"])) < SECRET_LETTERS:
        raise UserMistake(
            f"cookie_secret in [auth] must have at least {SECRET_LETTERS} characters, because a guessed "
            "secret allows impersonation. `openssl rand -hex 32` makes one"
        )


def person(claims: Mapping[str, Any], allowed: tuple[str, ...]) -> str | None:
    """The person of these claims, in lower case; None if nobody is signed in.

    allowed: e-mail addresses and `@domains` that may sign in; empty: all whom the provider accepts.
    Raises UserMistake for a signed-in person who is not allowed.
    """
    if claims.get("is_logged_in") is not True:
        return None
    email = claims.get("email")
    if email and claims.get("email_verified") in (False, "false"):
        raise UserMistake(f"your provider has not verified your address {email}. Verify it first.")
    if allowed:
        address = email.strip().lower() if isinstance(email, str) else ""
        if address not in allowed and f"@{address.rpartition('@')[2]}" not in allowed:
            raise UserMistake(
                f"{address or 'an account without an e-mail address'} may not use this dashboard. Ask its "
                "operator to add you to LWDASH_AUTH_ALLOW."
            )
    for claim in CLAIMS:
        value = claims.get(claim)
        if isinstance(value, str) and value.strip():
            return value.strip().lower()[:200]
    raise UserMistake("your provider sends neither your e-mail address nor your subject identifier.")
