"""The compared runs, their reference and the quantity of layers: chosen on the page, stored in its address."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from lwdash.metrics.technique_families import short_recipe
from lwdash.ui.shared.markdown_text import plain

MIN_RUNS, MAX_RUNS = 2, 6
MAX_OFFERED = 300
_RUNS, _REFERENCE, _SEEN = "compare:runs", "compare:reference", "compare:seen"


def choose_runs(done: pd.DataFrame) -> tuple[list[int], int | None]:
    """The fields for the runs and for the reference; the chosen runs, and the reference among them (None without runs).

    done: the measured runs of the experiment.
    """
    known = [int(run) for run in done["id"]]
    _adopt_address(known)
    names = {int(run.id): f"{run.id} · {short_recipe(str(run.name))}" for run in done.itertuples(index=False)}
    kept = [run for run in st.session_state.get(_RUNS, []) if run in names][:MAX_RUNS]
    st.session_state[_RUNS] = kept
    offered = list(dict.fromkeys([*kept, *known[-MAX_OFFERED:]]))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.multiselect(
            "Runs", offered, key=_RUNS, format_func=names.__getitem__, max_selections=MAX_RUNS, width=640,
            help=f"{MIN_RUNS} to {MAX_RUNS} measured runs", wrap=True,
        )  # fmt: skip
        chosen: list[int] = list(st.session_state[_RUNS])
        reference = None
        if chosen:
            if st.session_state.get(_REFERENCE) not in chosen:
                st.session_state[_REFERENCE] = _usual_reference(done, chosen)
            reference = st.selectbox(
                "Compare with", chosen, key=_REFERENCE, format_func=names.__getitem__, width=300,
                help="The run that differences are counted from. Choose the baseline or any other",
            )  # fmt: skip
    _write_address(chosen, reference)
    return chosen, reference


def chosen_caption(chosen: pd.DataFrame, reference: int) -> str:
    """Caption that names the reference, as Markdown."""
    run = chosen[chosen["id"] == reference].iloc[0]
    what = "the baseline" if run["is_baseline"] else plain(short_recipe(str(run["name"])))
    text = f"Differences are to run {reference}, {what}."
    if not run["is_baseline"]:
        text += " Verdicts compare with the baseline: only that was tested row by row."
    return (
        f"{text} Latencies depend on the time of measurement. Compare the speed-up, which is measured interleaved with "
        "the baseline."
    )


def _usual_reference(done: pd.DataFrame, chosen: Sequence[int]) -> int:
    base = [int(run) for run in done.loc[done["is_baseline"].astype(bool), "id"]]
    return next((run for run in chosen if run in base), chosen[0])


def _adopt_address(known: Sequence[int]) -> None:
    """Copy the address into the session where another page or the back button wrote it."""
    now = (
        st.query_params.get("experiment"),
        st.query_params.get("runs", ""),
        st.query_params.get("with", ""),
    )
    if st.session_state.get(_SEEN) == now:
        return
    asked = [int(part) for part in now[1].split(",") if part.isdecimal() and len(part) < 18]
    st.session_state[_RUNS] = [run for run in dict.fromkeys(asked) if run in known][:MAX_RUNS]
    reference = int(now[2]) if now[2].isdecimal() and len(now[2]) < 18 else None
    st.session_state[_REFERENCE] = reference
    st.session_state[_SEEN] = now


def _write_address(chosen: Sequence[int], reference: int | None) -> None:
    wanted = {"runs": ",".join(map(str, chosen)), "with": "" if reference is None else str(reference)}
    for name, text in wanted.items():
        if st.query_params.get(name, "") != text:
            if text:
                st.query_params[name] = text
            else:
                del st.query_params[name]
    st.session_state[_SEEN] = (st.query_params.get("experiment"), wanted["runs"], wanted["with"])
