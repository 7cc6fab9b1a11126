"""Actions on one run's page: go to its neighbours, compare it, name it, repeat its recipe with changes."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from lwdash.engine import submit
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.more_recipes import offer_recipes
from lwdash.ui.shared.run_notes import edit_words
from storage import runs
from storage.frames import baseline_run
from storage.neighbours import neighbours
from storage.run_files import file_problem
from storage.store import Store


def show_neighbours(store: Store, run: Mapping[str, Any]) -> None:
    """Links to the run before and the run after this one in its experiment."""
    before, after = neighbours(store.database, run["experiment_id"], run["id"])
    with st.container(horizontal=True, width="content", gap="small"):
        if before is not None:
            st.page_link(
                page_paths.RUN,
                label=f"Run {before}",
                icon=":material/chevron_left:",
                query_params={"run": str(before)},
            )
        if after is not None:
            st.page_link(
                page_paths.RUN,
                label=f"Run {after}",
                icon=":material/chevron_right:",
                icon_position="right",
                query_params={"run": str(after)},
            )


def show_results_links(store: Store, run: Mapping[str, Any]) -> None:
    """The way to the experiment's results, and to this run beside the baseline."""
    experiment = str(run["experiment_id"])
    st.page_link(
        page_paths.EXPERIMENT,
        label="Results",
        icon=":material/scatter_plot:",
        query_params={"experiment": experiment},
    )
    baseline = baseline_run(store.database, run["experiment_id"])
    if run["state"] == "succeeded" and baseline not in (None, run["id"]):
        st.page_link(
            page_paths.EXPERIMENT,
            label="Beside the baseline",
            icon=":material/compare:",
            query_params={"experiment": experiment, "runs": f"{baseline},{run['id']}"},
        )


def show_file_problem(store: Store, run: Mapping[str, Any], *, may_start: bool) -> None:
    """Says that a run's file is gone or damaged, and offers to make it again; nothing while it is whole.

    run: all columns, as of `get_run`.
    """
    problem = file_problem(store, run) if run["state"] == "succeeded" else None
    if problem is None:
        return
    with st.container(border=True):
        st.error(
            f"{plain(problem[:1].upper() + problem[1:])}. It cannot be downloaded; what was measured of it stays true.",
            icon=":material/broken_image:",
        )
        if may_start and st.button(
            "Make the file again", icon=":material/replay:",
            help="Starts the same recipe as a new run: equal content repairs this run's file as well",
        ):  # fmt: skip
            _, (again,) = submit.submit_runs(store, run["experiment_id"], [run["recipe"]])
            st.switch_page(page_paths.RUN, query_params={"run": str(again)})


def show_changes(store: Store, run: Mapping[str, Any]) -> None:
    """Title, tags and note of a run, its recipe as the start of another, and a second try where it did not succeed.

    run: all columns, as of `get_run`.
    """
    if run["state"] in ("failed", "cancelled") and st.button("Try again", icon=":material/replay:"):
        runs.retry(store.database, run["id"])
        st.rerun()
    edit_words(store, run, scope="app")
    if st.button(
        "Edit recipe", icon=":material/content_copy:",
        help="Opens the recipe in the editor of its experiment, to be changed and started as a new run",
    ):  # fmt: skip
        offer_recipes(run["experiment_id"], [run["recipe"]])
        st.switch_page(page_paths.EXPERIMENT, query_params={"experiment": str(run["experiment_id"])})
