"""Devices on the pages: added, measured on, shown apart from this host, removed."""

from support.device_reports import REPORT
from support.seeding import seed_experiment
from visit import shown, sound, words

from lwdash.engine.devices import device_work
from lwdash.targets.device.agent import PROTOCOL, machine_facts
from lwdash.targets.device.report import checked_result
from lwdash.ui.shared import page_paths
from storage import device_tasks
from storage.devices import add_device, devices
from storage.store import Store
from storage.target_results import keep_results


def keep_result(store: Store, run: int, target: str) -> None:
    result = checked_result(REPORT, "Pi 4", threads=1, is_baseline=False)
    with store.database.begin() as connection:
        keep_results(store.database, connection, run, {target: result})


def test_a_device_is_added_with_a_command_and_removed(home: Store) -> None:
    app = shown(page_paths.SYSTEM)
    assert "No devices." in words(app)
    app.text_input[0].set_value("Pi 4")
    next(button for button in app.button if button.label == "Add").click()
    sound(app.run())
    [device] = devices(home.database)
    command = next(code.value for code in app.code if "lwdash-device.py" in code.value)
    assert "LWDASH_DEVICE_TOKEN=" in command
    token = command.partition("LWDASH_DEVICE_TOKEN=")[2].split()[0]
    assert device_work.device_of(home, token).id == device.id
    assert "waits for its agent" in words(app)
    device_work.take_work(home, device, {"protocol": PROTOCOL, "agent": "0" * 16, "facts": machine_facts()})
    next(button for button in app.button if button.key == "system:device_done").click()
    app = sound(app.run())
    assert "online" in words(app)
    assert not any("lwdash-device.py" in code.value for code in app.code), "the token is shown once"
    next(button for button in app.button if button.label == "Remove the device").click()
    sound(app.run())
    assert devices(home.database) == []


def test_results_of_a_device_are_shown_apart_from_this_host(home: Store) -> None:
    seed_experiment(home, "beats", 6)
    device, _ = add_device(home.database, "Pi 4")
    keep_result(home, 2, device.target)
    text = words(shown(page_paths.RUN, id="2"))
    assert "never with the times of this host" in text
    assert "Cortex-A72, 4 cores, 1 thread, LiteRT 2.3.0" in text
    assert "Latency **2 ms**, baseline 3 ms; 8 sessions." in text
    assert (
        "**1.50×** the baseline's speed there (95 %: 1.45× to 1.55×); its interval is wider than ±3 %."
        in text
    )
    assert "differ from LiteRT's here on **2 of 16** rows, by at most 0.5, 3 steps of the output" in text
    app = shown(page_paths.EXPERIMENT, id="1")
    [(table, times)] = [
        (frame.value, column)
        for frame in app.dataframe
        for column in frame.value
        if column.startswith(device.target) and column.endswith("latency_ms_p50")
    ]
    assert table[times].dropna().tolist() == [2000.0], "of the one run that was measured there"
    assert "run=2" in table.loc[table[times].notna(), "run"].item()


def test_a_run_is_measured_on_a_device_from_its_page(home: Store) -> None:
    seed_experiment(home, "beats", 6)
    device, _ = add_device(home.database, "Pi 4")
    app = shown(page_paths.RUN, id="2")
    next(button for button in app.button if button.key == "run:measure_on_device").click()
    sound(app.run())
    task = device_tasks.newest_task(home.database, device.id, 2)
    assert task is not None
    assert task.state == "queued"
    assert "Pi 4: queued; its agent is offline" in words(app)
