"""Action on the selected runs: measure them on a device."""

from collections.abc import Sequence

import streamlit as st

from lwdash.engine.devices import device_work
from lwdash.errors import UserMistake
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.number_text import counted
from storage.devices import StoredDevice, devices
from storage.errors import StorageError
from storage.store import Store


def measure_on_devices(store: Store, ids: Sequence[int]) -> None:
    """The menu of devices; nothing where there are none. ids: runs that have succeeded."""
    known = devices(store.database)
    if not known or not ids:
        return
    with st.popover("Measure on", icon=":material/developer_board:", help="On another computer"):
        for device in known:
            label = f"{plain(device.name)} ({'online' if device.is_online else 'offline'})"
            if st.button(label, key=f"results:measure_on:{device.id}", icon=":material/play_arrow:"):
                _measure(store, ids, device)


def _measure(store: Store, ids: Sequence[int], device: StoredDevice) -> None:
    try:
        for run in ids:
            device_work.measure_on_device(store, run, device)
    except (UserMistake, StorageError) as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    where = "" if device.is_online else ": its agent is offline, they wait for it"
    st.toast(
        f"{counted(len(ids), 'measurement')} on {plain(device.name)} queued{where}",
        icon=":material/hourglass_empty:",
    )
    st.rerun()
