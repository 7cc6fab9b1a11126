"""The form for an experiment's limits."""

import streamlit as st

from lwdash.engine import submit
from lwdash.engine.devices.target_metrics import titles_of_devices
from lwdash.metrics.limits import ACCURACY_DROP, LIMITS, limit_of, set_keys
from lwdash.metrics.offers import columns_of_targets
from lwdash.settings import Settings
from lwdash.ui.results.view_state import VIEW_LIMITS
from lwdash.ui.shared.board_choice import choose_board
from storage.records import StoredExperiment
from storage.store import Store


def edit_limits(settings: Settings, store: Store, experiment: StoredExperiment) -> None:
    """A menu with a field for each limit that the experiment can have; an empty field means no limit. Targets that are
    switched on, and devices, have limits of their own.
    """
    limits, experiment_id = experiment.limits, experiment.id
    names = titles_of_devices(store.database)
    own = [key for key in LIMITS if key != ACCURACY_DROP or not experiment.generated]
    of_targets = [*columns_of_targets((*experiment.targets, *names)), *set_keys(limits)]
    shown_limits = [limit_of(key, names) for key in dict.fromkeys((*own, *of_targets))]
    keys = {
        limit.key: f"results:limit:{experiment_id}:{limit.key}:{limits.get(limit.key)}"
        for limit in shown_limits
    }
    with st.popover("Limits", icon=":material/rule:"):
        choose_board(settings, store, keys)
        with st.form(f"results:limits:{experiment_id}", border=False):
            values: dict[str, float | None] = {}
            st.caption(
                "A run without a measured value does not keep its limit. Targets that are switched on in the menu Targets, "
                "and devices, have fields below."
            )
            for limit in shown_limits:
                key, now = limit.key, limits.get(limit.key)
                if keys[key] not in st.session_state:
                    st.session_state[keys[key]] = None if now is None else float(now) * limit.factor
                shown = st.number_input(
                    f"{limit.label} ({limit.unit})" if limit.unit else limit.label,
                    min_value=0.0, step=limit.step, format="%.6g",
                    placeholder="no limit", value=None, help=limit.help, key=keys[key], width=300,
                )  # fmt: skip
                values[key] = None if shown is None else shown / limit.factor
            if st.form_submit_button("Save", icon=":material/save:", type="primary"):
                submit.set_limits(store, experiment_id, values)
                st.session_state[VIEW_LIMITS] = None
                st.rerun()
