"""The routes of devices refuse what no agent sends, with a status and a sentence, and never with a fault of the server."""

import http.client
import json
from pathlib import Path
from typing import Any

import pytest
from support.device_site import FLOAT, INT8, DeviceSite, device_site

from storage.device_tasks import get_task
from storage.store import Store

pytestmark = pytest.mark.processes


@pytest.fixture
def site(sqlite_store: Store, tmp_path: Path) -> DeviceSite:
    return device_site(sqlite_store, tmp_path)


def get(site: DeviceSite, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    connection.request("GET", f"/device/{path}", headers=headers)
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


def test_hostile_messages_are_refused_with_a_sentence(site: DeviceSite) -> None:
    task = site.measure(site.add_run(INT8))
    hello = site.hello()
    with site.serving():
        for message in (
            b"", b"{", b"[]", b"1", b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e999}', b"[" * 60_000, b'"' + b"x" * 100 + b'"',
            {}, {"protocol": 1}, {**hello, "protocol": 2}, {**hello, "facts": None}, {**hello, "facts": {}},
            {**hello, "facts": {**hello["facts"], "cores": 1e9}}, {**hello, "agent": "*"},
        ):  # fmt: skip
            status, reply = site.send("work", message)
            assert status in (409, 422), message
            assert reply["error"].endswith(".")
        assert site.send("work", b"x" * 70_000)[0] == 413
        for token in ("", "guessed", "x" * 5000, "ü".encode().decode("latin-1")):
            status, reply = site.send("work", hello, token=token)
            assert (status, "no device has this token" in reply["error"]) == (401, True)
        for path in (
            f"task/{task}/heartbeat",
            f"task/{task}/report",
            "task/x/report",
            f"task/{10**12}/report",
        ):
            status, _ = site.send(
                path,
                {
                    "lease": "guessed",
                    "doing": "x",
                    "report": {"state": "failed", "message": "m", "doing": "d"},
                },
            )
            assert status in (404, 409), path
        for path in (f"task/{task}/file", f"task/{task}/..%2F..%2Fapp.py", f"task/{task}/rows"):
            bearer = {"Authorization": f"Bearer {site.token}", "X-Lwdash-Lease": "guessed"}
            assert get(site, path, **bearer)[0] in (404, 409), path
    found = get_task(site.store.database, task)
    assert found is not None
    assert found.state == "queued", "nothing of it touched the task"


def test_files_are_given_with_the_lease_only_and_the_agents_file_to_everybody(site: DeviceSite) -> None:
    task = site.measure(site.add_run(INT8))
    with site.serving():
        status, reply = site.send("work", site.hello())
        assert (status, reply["task"]["id"], set(reply["task"]["files"])) == (
            200,
            task,
            {"file", "baseline", "rows"},
        )
        lease, bearer = reply["task"]["lease"], f"Bearer {site.token}"
        assert get(site, f"task/{task}/file", **{"X-Lwdash-Lease": lease})[0] == 401
        for part, content in (("file", INT8), ("baseline", FLOAT)):
            found = get(site, f"task/{task}/{part}", **{"X-Lwdash-Lease": lease, "Authorization": bearer})
            assert found == (200, content)
        assert get(site, f"task/{task}/model", **{"X-Lwdash-Lease": lease, "Authorization": bearer})[0] == 404
        status, text = get(site, "agent.py")
        assert status == 200
        assert text.startswith(b"#!/usr/bin/env python3")
        assert site.token.encode() not in text


def test_an_invalid_report_fails_the_task_and_records_nothing(site: DeviceSite) -> None:
    run = site.add_run(INT8)
    task = site.measure(run)
    with site.serving():
        lease = site.send("work", site.hello())[1]["task"]["lease"]
        report: dict[str, Any] = {"state": "runs", "host": {}, "latency": {"latency_ms_p50": -1}}
        status, reply = site.send(f"task/{task}/report", {"lease": lease, "report": report})
        assert status == 422
        assert "flags" in reply["error"]
        assert site.send(f"task/{task}/heartbeat", {"lease": lease, "doing": "more"})[0] == 409
    found = get_task(site.store.database, task)
    assert found is not None
    assert found.state == "failed"
    assert "not valid" in (found.error or "")
    assert site.result(run) is None


def test_rows_that_were_removed_are_packed_again(site: DeviceSite) -> None:
    task = site.measure(site.add_run(INT8))
    with site.serving():
        files = site.send("work", site.hello())[1]["task"]["files"]
        site.store.artifacts.remove(files["rows"])
        site.expire()
        assert site.send("work", site.hello())[1]["task"] is None, "its rows are packed first"
    found = get_task(site.store.database, task)
    assert found is not None
    assert not found.has_ended
    assert json.dumps([waiting.step for waiting in site.waiting()]) == '["on-device-rows"]'
