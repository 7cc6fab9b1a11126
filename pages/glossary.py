"""The glossary: every technique, parameter, measure, finding and term, with the trap that people fall into."""

import streamlit as st

from lwdash.ui.glossary.entries import GROUPS, glossary
from lwdash.ui.glossary.entry_list import show_words

st.title("Glossary")
words = glossary()
with st.container(horizontal=True, vertical_alignment="bottom"):
    sought = st.text_input(
        "Search", key="term", bind="query-params", placeholder="sparsity, arena, McNemar …", width=320
    )
    group = st.pills("Only", GROUPS, key="group", bind="query-params")
exact = [word for word in words if word.slug == sought.strip().lower()]
found = exact or [word for word in words if word.mentions(sought)]
found = [word for word in found if group in (None, word.group)]
if not found:
    st.info("Nothing here is called that, and no explanation mentions it.", icon=":material/search_off:")
show_words(found)
