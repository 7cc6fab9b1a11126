"""Devices on the System page: other computers that measure files, their state, and a form that adds one."""

import time
from urllib.parse import urlsplit

import streamlit as st

from lwdash.engine.devices.device_work import describe_machine, install_command, start_command
from lwdash.ui.shared.access import visitor
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import counted, seconds
from storage.device_tasks import StoredTask, open_tasks
from storage.devices import StoredDevice, add_device, can_remove, devices, remove_device
from storage.errors import StorageError
from storage.store import Store

REDRAW_SECONDS = 5.0
ADDED = "system:added_device"
BADGES = {
    "online": ":green-badge[:material/check_circle: online]",
    "measuring": ":blue-badge[:material/timer: measuring]",
    "offline": ":gray-badge[:material/cloud_off: offline]",
    "new": ":orange-badge[:material/pending: waits for its agent]",
}


def show_devices(store: Store) -> None:
    """The devices, then the form. Visitors who may not use devices see neither."""
    if not visitor().is_known:
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.header("Devices", anchor=False, width="content")
        added = st.session_state.get(ADDED)
        if not added:
            _add(store)
    if added:
        _show_command(*added)
    _list(store)


def _add(store: Store) -> None:
    with (
        st.popover("Add a device", icon=":material/add:"),
        st.form("system:add_device", clear_on_submit=True, border=False),
    ):
        st.caption(
            "Another computer with Linux or macOS, such as a Raspberry Pi. Its agent is one Python file, connects "
            "out to this dashboard, and receives the files and a few evaluation rows of the runs that you measure there."
        )
        name = st.text_input("Name", placeholder="Pi 4 on the desk", max_chars=60)
        if st.form_submit_button("Add", icon=":material/add:", type="primary"):
            try:
                device, token = add_device(store.database, name)
            except StorageError as error:
                st.error(plain(str(error)))
                return
            st.session_state[ADDED] = (device.name, token)
            st.rerun()


def _show_command(name: str, token: str) -> None:
    """The command of a device that was added now: the token is not stored, and cannot be shown again."""
    with st.container(border=True, key="device-command"):
        st.markdown(f"**Run this on {plain(name)}.** The token is shown only now.")
        st.code(
            f"{install_command()}\n{start_command(server_url(), token)}", language="bash", wrap_lines=True
        )
        st.caption(
            f"The device must reach this dashboard at {plain(server_url())}. If the dashboard listens on this computer "
            f"only, `ssh -R 8501:localhost:{_port()} DEVICE` brings it there; use `http://localhost:8501` there then."
        )
        if st.button("Done", key="system:device_done", icon=":material/check:"):
            del st.session_state[ADDED]
            st.rerun()


def server_url() -> str:
    """The address of the dashboard in this visitor's browser, without the page."""
    return str(st.context.url or "http://localhost:8501").split("?")[0].rstrip("/").removesuffix("/system")


def _port() -> int:
    """The port of the dashboard as this visitor's browser knows it."""
    address = urlsplit(server_url())
    return address.port or (443 if address.scheme == "https" else 80)


@st.fragment(run_every=REDRAW_SECONDS)
def _list(store: Store) -> None:
    known, tasks = devices(store.database), open_tasks(store.database)
    if not known:
        st.caption("No devices. A device measures runs on another computer, beside the results of this host.")
    for device in known:
        own = tasks.get(device.id, [])
        with st.container(
            border=True, horizontal=True, vertical_alignment="center", key=f"device-{device.id}"
        ):
            st.markdown(f"**{plain(device.name)}** {BADGES[device_state(device, own)]}", width="stretch")
            st.caption(plain(describe_machine(device.facts)), width="content")
            st.caption(_activity(device, own), width="content")
            if can_remove(store.database, device):
                with st.popover("Remove", icon=":material/delete:"):
                    st.caption("Its token becomes invalid and its agent ends. Its results stay.")
                    if st.button("Remove the device", key=f"system:remove_device:{device.id}"):
                        try:
                            remove_device(store.database, device.id)
                        except StorageError as error:
                            st.error(plain(str(error)))
                            return
                        st.rerun()


def device_state(device: StoredDevice, tasks: list[StoredTask]) -> str:
    """One of BADGES."""
    if device.last_seen_at is None:
        return "new"
    if not device.is_online:
        return "offline"
    return "measuring" if any(task.state == "leased" for task in tasks) else "online"


def _activity(device: StoredDevice, tasks: list[StoredTask]) -> str:
    parts = [f"{counted(len(tasks), 'measurement')} open"] if tasks else []
    if device.last_seen_at is not None:
        parts.append(f"seen {seconds(max(0.0, time.time() - device.last_seen_at))} ago")
    return ", ".join(parts) or "not seen yet"
