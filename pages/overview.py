"""All experiments as cards, with the running work; on an empty database, two examples to start with."""

import streamlit as st

from lwdash.ui.overview.cards import example_cards, experiment_card, summary_of
from lwdash.ui.overview.running_now import show_running
from lwdash.ui.shared import page_paths
from lwdash.ui.shared.context import expect_runs, opened
from storage.frames import count_experiments
from storage.overview import count_found, found_experiments

PAGE_SIZE = 12
ORDERS = {
    "newest": "Newest first",
    "active": "Last active first",
    "name": "By name",
    "runs": "Most runs first",
}

settings, store = opened()
total = count_experiments(store.database)
st.title("Experiments" if total else "How small can your model get, and what does it cost?")

if total == 0:
    expect_runs(settings)
    st.markdown(
        "Upload a Keras model and samples. lwdash quantizes, prunes and clusters the model by the recipes "
        "you choose, measures every resulting `.tflite` on your rows, and shows accuracy against size against "
        "latency, layer by layer."
    )
    if st.button("New experiment", type="primary", icon=":material/add_circle:"):
        st.switch_page(page_paths.NEW)
    st.header("Or start with an example")
    example_cards(settings, store)
    st.stop()

with st.container(horizontal=True, vertical_alignment="bottom"):
    if st.button("New experiment", type="primary", icon=":material/add_circle:"):
        st.switch_page(page_paths.NEW)
    query = st.text_input(
        "Search", key="search", bind="query-params", placeholder="name, model or data file", width=300
    )
    order = st.selectbox(
        "Order", list(ORDERS), format_func=ORDERS.__getitem__, key="order", bind="query-params", width=190
    )
    found = count_found(store.database, query)
    pages = max(1, -(-found // PAGE_SIZE))
    number = 1
    if pages > 1:
        number = st.number_input(f"Page (of {pages})", 1, pages, key="page", bind="query-params", width=130)
show_running(store)

if query:
    st.caption(f"{found:,} of {total:,} experiments.")
shown = found_experiments(store.database, query, order, PAGE_SIZE, (int(number) - 1) * PAGE_SIZE)
for experiment in shown:
    experiment_card(experiment, summary_of(store, experiment))
with st.expander("Examples"):
    example_cards(settings, store)
