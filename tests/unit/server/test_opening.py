"""Addresses of earlier versions lead to what they showed."""

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from lwdash.server.opening import page_routes


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("run?id=2&tab=Bytes", "run?id=2&tab=Map&section=Bytes"),
        ("run?run=2&tab=Graph", "run?run=2&tab=Map"),
        ("run?run=2&tab=Overview", None),
        ("run?run=2&tab=nonsense", None),
        ("experiment?tab=Bytes", None),
    ],
)
def test_a_former_tab_of_a_run_leads_to_its_section_of_the_map(address, place):
    client = TestClient(Starlette(routes=page_routes("lwdash")), follow_redirects=False)
    answer = client.get(f"/lwdash/{address}")
    assert answer.headers.get("location") == place
    assert answer.status_code == (200 if place is None else 307)
