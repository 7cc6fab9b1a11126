"""The Content-Security-Policy: which scripts it lets run, and what a Host header can put into it."""

import base64
import hashlib

import pytest

from lwdash.server.opening import inline_scripts
from lwdash.server.policy import page_policy, policy_for


def test_each_inline_script_of_the_pages_is_named_by_its_hash() -> None:
    policy = page_policy(inline_scripts())
    texts = list(inline_scripts())
    assert len(texts) >= 4, "ours and Streamlit's"
    for text in texts:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost", "[::1]:8501", "lwdash.example.com"])
def test_the_pages_connection_is_to_the_host_that_was_called(host: str) -> None:
    assert f"connect-src 'self' ws://{host} wss://{host} data: blob:" in policy_for(page_policy(()), host)


@pytest.mark.parametrize(
    "host", ["", "a; script-src *", "a b", "a\r\nX: y", "'unsafe-inline'", "*", "a" * 300]
)
def test_a_host_header_adds_nothing_else(host: str) -> None:
    assert policy_for(page_policy(()), host) == page_policy(()).replace(" ws://{host} wss://{host}", "")
