"""Actions on the selected runs, one or many at once."""

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from lwdash.ui.compare.chosen_runs import MAX_RUNS, MIN_RUNS
from lwdash.ui.results.device_action import measure_on_devices
from lwdash.ui.results.filters import HIDDEN, PINNED, tags_of
from lwdash.ui.results.run_frame import forget_notes
from lwdash.ui.results.view_state import select, selected
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.more_recipes import offer_recipes
from lwdash.ui.shared.run_notes import edit_notes, notes_of_row, tags_in
from storage import annotations, runs
from storage.errors import StorageError
from storage.file_runs import is_file_recipe
from storage.store import Store
from storage.tables import RETRYABLE


def show_actions(
    store: Store, frame: pd.DataFrame, shown: pd.DataFrame, *, experiment_id: int, can_change: bool
) -> None:
    """The row of actions for the selected runs of `frame`; `shown`: the runs that match the filters.

    can_change: True if this visitor may change the experiment.
    """
    chosen = frame[frame["id"].isin(selected())]
    if chosen.empty:
        st.caption(
            "Select runs with the boxes at the left of the table, or on the chart, to compare, tag "
            "or repeat them."
        )
        return
    with st.container(key="selection-bar"):
        _bar(store, frame, shown, chosen, experiment_id=experiment_id, can_change=can_change)


def _bar(
    store: Store,
    frame: pd.DataFrame,
    shown: pd.DataFrame,
    chosen: pd.DataFrame,
    *,
    experiment_id: int,
    can_change: bool,
) -> None:
    ids = [int(i) for i in chosen["id"]]
    beside = int((~chosen["id"].isin(shown["id"])).sum())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{len(ids):,} selected**" + (f" ({beside:,} not shown)" if beside else ""))
        _compare(chosen, experiment_id)
        st.button("Clear", key="results:clear", icon=":material/deselect:", on_click=select, args=([],))
        if not can_change:
            return
        _stop_and_repeat(store, chosen)
        measure_on_devices(store, [int(i) for i in chosen.loc[chosen["state"] == "succeeded", "id"]])
        if len(ids) == 1:
            edit_notes(store, notes_of_row(chosen.iloc[0].to_dict()), scope="fragment")
        else:
            _tags(store, chosen, tags_of(frame))
        if st.button(
            "Edit recipes", key="results:duplicate", icon=":material/content_copy:",
            help="Copies the recipes into the editor below, to change and start as new runs",
        ):  # fmt: skip
            recipes = [text for text in dict.fromkeys(chosen["recipe"]) if not is_file_recipe(text)]
            offer_recipes(experiment_id, recipes)
            st.rerun()
        _mark(
            store, chosen, PINNED, ("Pin", ":material/keep:"), ("Unpin", ":material/keep_off:"),
            f"Keeps them at the top of the table, with the tag “{PINNED}”",
        )  # fmt: skip
        # A finished run never changes and is never deleted.
        _mark(
            store, chosen, HIDDEN, ("Hide", ":material/visibility_off:"), ("Show", ":material/visibility:"),
            f"Adds the tag “{HIDDEN}”. Filter by it to see them",
        )  # fmt: skip


def _compare(chosen: pd.DataFrame, experiment_id: int) -> None:
    """A link to the page that compares the measured ones of the selected runs."""
    done = set(chosen.loc[chosen["state"] == "succeeded", "id"])
    ids = [run for run in selected() if run in done][:MAX_RUNS]
    if len(ids) >= MIN_RUNS:
        st.page_link(
            page_paths.COMPARE,
            label="Compare" if len(done) <= MAX_RUNS else f"Compare the first {MAX_RUNS}",
            icon=":material/compare:",
            query_params={"experiment": str(experiment_id), "runs": ",".join(map(str, ids))},
        )


def _stop_and_repeat(store: Store, chosen: pd.DataFrame) -> None:
    active = chosen.loc[chosen["state"].isin(["queued", "running"]), "id"]
    again = chosen.loc[chosen["state"].isin(RETRYABLE), "id"]
    for ids, word, icon, act in (
        (active, "Cancel", ":material/stop_circle:", runs.cancel),
        (again, "Try again", ":material/replay:", runs.retry),
    ):
        if len(ids):
            label = word if len(ids) == 1 else f"{word} ({len(ids):,})"
            st.button(
                label,
                key=f"results:{word}",
                icon=icon,
                on_click=_each,
                args=(store, act, [int(i) for i in ids]),
            )


def _each(store: Store, act: Callable[..., bool], ids: Sequence[int]) -> None:
    done = sum(act(store.database, run) for run in ids)
    if done < len(ids):
        st.toast(f"{len(ids) - done:,} of {len(ids):,} had changed in the meantime and were not changed.")


def _tags(store: Store, chosen: pd.DataFrame, known: list[str]) -> None:
    own = tags_of(chosen)
    others = [tag for tag in known if tag not in own and tag not in (HIDDEN, PINNED)]
    ids = [int(i) for i in chosen["id"]]
    with st.popover("Tags", icon=":material/sell:"):
        with (
            st.form("results:tag_form", border=False, clear_on_submit=True),
            st.container(horizontal=True, vertical_alignment="bottom"),
        ):
            text = st.text_input(
                f"Tags for these {len(ids):,} runs",
                placeholder="candidate, board B",
                help="Separate with commas",
                width=260,
            )
            if st.form_submit_button("Add", icon=":material/add:"):
                _write(lambda: annotations.add_tags(store.database, ids, tags_in(text)))
        for tags, does, icon, change in (
            (others, "Used on other runs. Click to add", ":material/add:", annotations.add_tags),
            (own, "On these runs. Click to remove", ":material/close:", annotations.remove_tags),
        ):
            if tags:
                st.caption(does)
            with st.container(horizontal=True):
                for tag in tags:
                    if st.button(plain(tag), key=f"results:tag:{does[:2]}:{tag}", icon=icon):
                        _write(lambda tag=tag, change=change: change(store.database, ids, [tag]))  # type: ignore[misc]


def _mark(
    store: Store, chosen: pd.DataFrame, tag: str, on: tuple[str, str], off: tuple[str, str], help: str
) -> None:
    """A button that adds a tag with a meaning of its own, or removes it where all have it. on, off: its word and icon."""
    ids = [int(i) for i in chosen["id"]]
    is_marked = chosen["tags"].map(lambda own: tag in (own or ())).all()
    word, icon = off if is_marked else on
    if st.button(word, key=f"results:mark:{tag}", icon=icon, help=help):
        change = annotations.remove_tags if is_marked else annotations.add_tags
        _write(lambda: change(store.database, ids, [tag]))


def _write(act: Callable[[], None]) -> None:
    try:
        act()
    except StorageError as refused:
        st.error(plain(str(refused)), icon=":material/error:")
        return
    forget_notes()
    st.rerun(scope="fragment")
