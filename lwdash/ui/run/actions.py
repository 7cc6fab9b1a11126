"""Actions on one run's page: go to its neighbours, compare it, name it, repeat its recipe with changes."""

import streamlit as st

from lwdash.engine import submit
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.markdown_text import plain
from lwdash.ui.shared.more_recipes import offer_recipes
from lwdash.ui.shared.run_notes import edit_notes, notes_of
from storage import runs
from storage.file_runs import is_file_recipe
from storage.frames import baseline_run
from storage.neighbours import neighbours
from storage.records import StoredRun
from storage.run_files import file_problem
from storage.store import Store


def show_neighbours(store: Store, run: StoredRun) -> None:
    """Links to the run before and the run after this one in its experiment."""
    before, after = neighbours(store.database, run.experiment_id, run.id)
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


def show_results_links(store: Store, run: StoredRun) -> None:
    """Links to the experiment's results, and to this run beside the baseline."""
    experiment = str(run.experiment_id)
    st.page_link(
        page_paths.EXPERIMENT,
        label="Results",
        icon=":material/scatter_plot:",
        query_params={"experiment": experiment},
    )
    baseline = baseline_run(store.database, run.experiment_id)
    if run.has_succeeded and baseline not in (None, run.id):
        st.page_link(
            page_paths.EXPERIMENT,
            label="Beside the baseline",
            icon=":material/compare:",
            query_params={"experiment": experiment, "runs": f"{baseline},{run.id}"},
        )


def show_file_problem(store: Store, run: StoredRun, *, may_start: bool) -> None:
    """Show that a run's file is missing or damaged, with a button that makes it again; nothing if it is complete."""
    problem = file_problem(store, run) if run.has_succeeded else None
    if problem is None:
        return
    with st.container(border=True):
        st.error(
            (
                f"{plain(problem[:1].upper() + problem[1:])}. It cannot be downloaded, but its metrics "
                "stay valid."
            ),
            icon=":material/broken_image:",
        )
        if may_start and not is_file_recipe(run.recipe) and st.button(
            "Make the file again", icon=":material/replay:",
            help="Starts the same recipe as a new run. Equal content also repairs this run's file",
        ):  # fmt: skip
            _, (again,) = submit.submit_runs(store, run.experiment_id, [run.recipe])
            st.switch_page(page_paths.RUN, query_params={"run": str(again)})


def show_changes(store: Store, run: StoredRun) -> None:
    """Title, tags and note of a run, its recipe as the start of another, and a retry if it did not succeed."""
    if run.is_retryable and st.button("Try again", icon=":material/replay:"):
        runs.retry(store.database, run.id)
        st.rerun()
    edit_notes(store, notes_of(run), scope="app")
    if not is_file_recipe(run.recipe) and st.button(
        "Edit recipe", icon=":material/content_copy:",
        help="Opens the recipe in the editor of its experiment, to change and start as a new run",
    ):  # fmt: skip
        offer_recipes(run.experiment_id, [run.recipe])
        st.switch_page(page_paths.EXPERIMENT, query_params={"experiment": str(run.experiment_id)})
