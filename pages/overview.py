"""All experiments, newest first; on an empty database, two examples to start with."""

import streamlit as st

from lwdash.ui import places
from lwdash.ui.cards import example_cards, experiment_card
from lwdash.ui.context import opened
from lwdash.ui.progress import follow_all
from storage.frames import count_experiments, experiments_frame

PAGE_SIZE = 20

settings, store = opened()
total = count_experiments(store.database)
st.title("Experiments" if total else "How small can your model get, and what does it cost?")

if total == 0:
    st.markdown(
        "Upload a Keras model and a CSV of samples. lwdash quantizes, prunes and clusters the model by the recipes "
        "you choose, measures every resulting `.tflite` on your rows, and shows accuracy against size against "
        "latency, layer by layer."
    )
    if st.button("New experiment", type="primary", icon=":material/add_circle:"):
        st.switch_page(places.NEW)
    st.subheader("Or start with an example")
    example_cards(settings, store)
    st.stop()

follow_all(store)
top = st.container(horizontal=True, vertical_alignment="bottom")
if top.button("New experiment", type="primary", icon=":material/add_circle:"):
    st.switch_page(places.NEW)
pages = -(-total // PAGE_SIZE)
number = top.number_input("Page", 1, pages, width=130) if pages > 1 else 1
for row in experiments_frame(store.database, PAGE_SIZE, (number - 1) * PAGE_SIZE).to_dict("records"):
    experiment_card(row)
with st.expander("Examples"):
    example_cards(settings, store)
