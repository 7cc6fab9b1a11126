"""The weights of a run's kernels beside the baseline's."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from lwdash.charts.weight_histograms import BASELINE, RUN, plot_weights, weight_words
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.markdown_text import plain

CARD_WIDTH = 352
MOST_SHOWN = 12


def show_weights(kernels: Sequence[Mapping[str, Any]], *, is_baseline: bool) -> None:
    """A small histogram a kernel, `MOST_SHOWN` at a time."""
    if not kernels:
        st.info("This file has no kernels whose values can be drawn.", icon=":material/info:")
        return
    st.html(_key(RUN, "this run") + ("" if is_baseline else _key(BASELINE, "baseline, before the recipe")))
    st.caption(
        "Real values of each kernel, quantized ones multiplied out, in 64 bins over the range of both files. Exact zeros "
        "are counted in words and left out of the bars, which they would flatten."
    )
    pages = -(-len(kernels) // MOST_SHOWN)
    page = 1
    if pages > 1:
        page = int(st.number_input(f"Page of {pages}", 1, pages, key="run:weights", width=160))
    with st.container(horizontal=True):
        for kernel in kernels[(page - 1) * MOST_SHOWN : page * MOST_SHOWN]:
            with st.container(border=True, width=CARD_WIDTH, gap="small"):
                words = weight_words({**kernel, "baseline": None} if is_baseline else kernel)
                st.markdown(f"**{plain(kernel['layer'] or kernel['name'])}** · {kernel['type']}")
                st.caption(words)
                figure = plot_weights({**kernel, "baseline": None} if is_baseline else kernel)
                show_figure(
                    figure, key=f"run:weights:{kernel['name']}",
                    file_name=f"weights-{kernel['layer'] or kernel['name']}",
                    alt=f"Histogram of the weights of {kernel['layer'] or kernel['name']}: {words}",
                )  # fmt: skip


def _key(colour: str, words: str) -> str:
    mark = f'<span style="display:inline-block;width:1.1em;height:0.6em;background:{colour};border-radius:2px"></span>'
    return f'<span style="margin-right:1.5rem;font-size:0.9rem">{mark} {words}</span>'
