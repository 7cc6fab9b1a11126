"""Devices on a run's page: their results, one card each, and the menu that measures the run on another one."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from lwdash.engine.devices import device_work
from lwdash.errors import UserMistake
from lwdash.metrics.hosts import describe_host
from lwdash.ui.shared.markdown_text import code, plain
from lwdash.ui.shared.number_text import count, milliseconds, size, times
from storage.device_tasks import newest_task
from storage.devices import TARGET_PREFIX, StoredDevice
from storage.devices import devices as known_devices
from storage.errors import StorageError
from storage.records import StoredRun
from storage.store import Store

WAITING_SECONDS = 2.0
CARD_WIDTH = 352
BADGES = {
    "runs": ":blue-badge[:material/developer_board: another computer]",
    "refused": ":red-badge[:material/block: refused]",
}


def ask_for_device(store: Store, run: StoredRun) -> None:
    """The menu of devices, and the progress of measurements that were asked for."""
    known = known_devices(store.database)
    with st.popover("Measure on a device", icon=":material/developer_board:"):
        if not known:
            st.markdown(
                "A device is another computer, such as a Raspberry Pi, whose agent connects to this dashboard. "
                "Add one on the **System** page."
            )
        else:
            device = st.selectbox("Device", known, key="run:device", width=320, format_func=_title)
            st.caption("Latency in rotation with the baseline, memory, and the outputs of a few rows.")
            if st.button(
                "Measure", key="run:measure_on_device", icon=":material/play_arrow:", type="primary"
            ):
                try:
                    device_work.measure_on_device(store, run.id, device)
                except (UserMistake, StorageError) as error:
                    st.error(plain(str(error)))
    tasks = [(device, newest_task(store.database, device.id, run.id)) for device in known]
    waiting = [device for device, task in tasks if task is not None and not task.has_ended]
    if waiting:
        _follow(store, run.id, waiting)
    for device, task in tasks:
        if task is not None and task.state == "failed":
            st.caption(plain(f"{device.name}: {task.error}"))


def _title(device: StoredDevice) -> str:
    return f"{device.name} ({'online' if device.is_online else 'offline'})"


@st.fragment(run_every=WAITING_SECONDS)
def _follow(store: Store, run_id: int, waiting: list[StoredDevice]) -> None:
    """The progress of measurements; the page is drawn again when one has ended."""
    online = {device.id for device in known_devices(store.database) if device.is_online}
    for device in waiting:
        task = newest_task(store.database, device.id, run_id)
        if task is None or task.has_ended:
            st.rerun()
        doing = task.doing or task.state
        st.caption(
            plain(f"{device.name}: {doing if device.id in online else f'{doing}; its agent is offline'}")
        )


def device_results(targets: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The results of devices among those of targets."""
    return {name: found for name, found in targets.items() if name.startswith(TARGET_PREFIX)}


def show_device_results(targets: Mapping[str, Any]) -> None:
    """One card a device, apart from the targets that run on this host."""
    found = device_results(targets)
    if not found:
        return
    st.markdown(
        "**On devices.** These times are of other computers: compare them with the baseline on the same device only, never "
        "with the times of this host."
    )
    with st.container(horizontal=True, key="on-devices"):
        for result in found.values():
            with st.container(border=True, width=CARD_WIDTH, gap="small"):
                st.markdown(f"**{plain(result['label'])}** {BADGES[result['state']]}")
                st.caption(plain(describe_host(result["host"])))
                for line in device_lines(result):
                    st.markdown(line)
                if result["message"]:
                    st.caption(f"Its message: {code(result['message'])}")


def device_lines(found: Mapping[str, Any]) -> list[str]:
    """Latency, memory and outputs on a device, as Markdown."""
    if found["state"] != "runs":
        reason = f"{found['reason'][:1].upper()}{found['reason'][1:]}"
        return [f"{plain(reason)}.", f"**What to do:** {plain(found['remedy'])}."]
    values = {name: metric["value"] for name, metric in found["metrics"].items()}
    speedup = f"**{times(values['speedup'])}** the baseline's speed there"
    if values["speedup_low"] is not None:
        speedup += f" (95 %: {times(values['speedup_low'])} to {times(values['speedup_high'])})"
    if not values["latency_is_narrow"]:
        speedup += "; its interval is wider than ±3 %"
    rows, differing = values["compared_rows"], values["rows_differing"]
    steps = values["largest_difference_steps"]
    unit = "" if steps is None else f", {count(steps)} step{'s' * (steps != 1)} of the output"
    return [
        f"Latency **{milliseconds(values['latency_ms_p50'])}**, baseline {milliseconds(values['baseline_latency_ms_p50'])}; "
        f"{count(values['latency_sessions'])} sessions.",
        f"{speedup}.",
        f"Memory: the file adds {size(values['added_memory_bytes'])}, the baseline "
        f"{size(values['baseline_added_memory_bytes'])}; {size(values['peak_memory_bytes'])} with Python and LiteRT.",
        f"Outputs equal LiteRT's here on all {count(rows)} rows."
        if not differing
        else f"Outputs differ from LiteRT's here on **{count(differing)} of {count(rows)}** rows, by at most "
        f"{values['largest_difference']:.3g}{unit}.",
    ]
