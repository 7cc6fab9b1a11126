"""The glossary: every technique, parameter, metric, finding and term, each with its common mistake."""

import streamlit as st

from lwdash.ui.glossary.entries import glossary
from lwdash.ui.glossary.entry_list import show_entries
from lwdash.ui.glossary.glossary_entry import GROUPS

st.title("Glossary")
entries = glossary()
with st.container(horizontal=True, vertical_alignment="bottom"):
    sought = st.text_input(
        "Search", key="term", bind="query-params", placeholder="sparsity, arena, McNemar …", width=320
    )
    group = st.pills("Only", GROUPS, key="group", bind="query-params", wrap=True)
exact = [entry for entry in entries if entry.slug == sought.strip().lower()]
found = exact or [entry for entry in entries if entry.mentions(sought)]
found = [entry for entry in found if group in (None, entry.group)]
if not found:
    st.info("No entry has this name, and no explanation mentions it.", icon=":material/search_off:")
show_entries(found)
