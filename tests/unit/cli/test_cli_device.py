"""`lwdash device`: each action with its record and its lines, and the token shown once."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.device_reports import REPORT
from support.seeding import seed_experiment

from lwdash.cli.arguments import command_parser
from lwdash.cli.device_commands import run_device_command
from lwdash.cli.main import COMMANDS
from lwdash.cli.target_records import target_lines, targets_record
from lwdash.engine.devices import device_work
from lwdash.errors import UserMistake
from lwdash.settings import load_settings
from lwdash.targets.device.report import checked_result
from storage.devices import DeviceRefused
from storage.store import Store
from storage.target_results import keep_results

DEVICE_KEYS = ["id", "name", "owner", "is_online", "last_seen_at", "facts", "tasks"]


def run(store: Store, *words: str) -> tuple[dict[str, Any], list[str]]:
    options = command_parser(COMMANDS).parse_args(["device", *words])
    record, lines = run_device_command(options, load_settings(), store)
    return json.loads(json.dumps(record, allow_nan=False)), lines


def test_a_device_is_added_listed_and_removed(home: Store) -> None:
    record, lines = run(home, "add", "Pi 4", "--server", "https://desk/lwdash/")
    assert list(record) == [*DEVICE_KEYS, "token", "command"]
    assert device_work.device_of(home, record["token"]).name == "Pi 4"
    assert f"LWDASH_DEVICE_TOKEN={record['token']} python3 lwdash-device.py https://desk/lwdash" in lines[-1]
    assert "https://desk/lwdash/device/agent.py" in lines[-1]
    assert record["token"] not in str(run(home, "list"))
    assert list(run(home, "list")[0]["devices"][0]) == DEVICE_KEYS
    with pytest.raises(DeviceRefused, match="there is a device 'Pi 4' already"):
        run(home, "add", " Pi  4 ")
    assert run(home, "remove", "Pi 4")[0] == {"device": 1, "removed": True}
    with pytest.raises(device_work.UnknownToken):
        device_work.device_of(home, record["token"])
    assert run(home, "list") == ({"devices": []}, ["no devices; add one: lwdash device add NAME"])
    assert run(home, "add", "Pi 4")[0]["id"] == 2, "a removed device's name is free"


@pytest.mark.parametrize("name", ["", " ", "x" * 61, "a\x1bb"])
def test_a_name_that_cannot_be_shown_is_refused(home: Store, name: str) -> None:
    with pytest.raises(DeviceRefused, match="1 to 60 printable"):
        run(home, "add", name)


def test_a_measurement_waits_for_the_agent(home: Store) -> None:
    seed_experiment(home, "beats", 50)
    run(home, "add", "Pi 4")
    record, lines = run(home, "measure", "2", "--device", "Pi 4", "--no-wait")
    assert record == {"run": 2, "device": 1, "state": "queued", "error": None, "result": None}
    assert lines == ["run 2 on 'Pi 4': queued"]
    assert run(home, "list")[0]["devices"][0]["tasks"] == [{"run": 2, "state": "queued", "doing": None}]
    with pytest.raises(DeviceRefused, match=r"there is no device 'Pi' \(there are: 'Pi 4'\)"):
        run(home, "measure", "2", "--device", "Pi", "--no-wait")
    with pytest.raises(UserMistake, match="run 50 is failed"):
        run(home, "measure", "50", "--device", "1", "--no-wait")


def test_a_result_of_a_device_is_among_the_targets_of_its_run(home: Store) -> None:
    seed_experiment(home, "beats", 6)
    result = checked_result(REPORT, "Pi 4", threads=1, is_baseline=False)
    with home.database.begin() as connection:
        keep_results(home.database, connection, 2, {"device_1": result})
    text = "\n".join(target_lines(targets_record(home.database, 2)))
    assert "Pi 4" in text
    assert "1.5 ×" in text


def test_the_agents_file_is_written(home: Store, tmp_path: Path) -> None:
    record, _ = run(home, "agent", "--out", str(tmp_path / "agent.py"))
    assert record["size_bytes"] == (tmp_path / "agent.py").stat().st_size
    with pytest.raises(UserMistake, match="there is no folder"):
        run(home, "agent", "--out", str(tmp_path / "none" / "agent.py"))
