"""Words of the glossary, one under the other, each with an anchor that an address can name."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from lwdash.ui.cards import plain
from lwdash.ui.formats import counted
from lwdash.ui.words import GROUPS, Word


def show_words(words: Sequence[Word]) -> None:
    """Group by group; a technique's parameters in a table below it."""
    for group in GROUPS:
        own = [word for word in words if word.group == group]
        if not own:
            continue
        st.header(group, anchor=group.lower().replace(" ", "-"))
        for word in own:
            st.subheader(plain(word.title), anchor=word.slug)
            trap = f"  \n:material/lightbulb: {plain(word.trap)}" if word.trap else ""
            st.markdown(plain(word.text) + trap)
            if word.parameters:
                with st.expander(counted(len(word.parameters), "parameter")):
                    st.table(
                        pd.DataFrame(
                            word.parameters,
                            columns=["Parameter", "Called", "What it does", "Bounds", "Default"],
                        ).set_index("Parameter")
                    )
