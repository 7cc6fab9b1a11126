"""The Content-Security-Policy of all pages: no content from other hosts, and no inline scripts except our own."""

import base64
import hashlib
import re
from collections.abc import Iterable

HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}", re.ASCII)


def page_policy(scripts: Iterable[str]) -> str:
    """The policy, with `{host}` as a placeholder for the server's name in the request.

    scripts: the texts of the inline scripts that may run.
    """
    hashes = " ".join(dict.fromkeys(_hash(text) for text in scripts))
    return "; ".join(
        (
            "default-src 'self'",
            # plotly.js compiles the shaders of parallel coordinates from text; Streamlit imports the scripts of
            # components from blobs.
            f"script-src 'self' blob: 'unsafe-eval' {hashes}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            # Not every browser applies 'self' to the pages' connection (ws: or wss:).
            "connect-src 'self' ws://{host} wss://{host} data: blob:",
            "worker-src 'self' blob:",
            "media-src 'self' data: blob:",
            "frame-src 'self'",
            "frame-ancestors 'self'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
        )
    )


def policy_for(policy: str, host: str) -> str:
    """The policy for a response to a request with the header `host`, which anybody can set."""
    if HOST.fullmatch(host):
        return policy.replace("{host}", host)
    return policy.replace(" ws://{host} wss://{host}", "")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
