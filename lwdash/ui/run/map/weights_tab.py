"""The weights of a run's kernels beside the baseline's."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from lwdash.charts.weight_histograms import BASELINE, RUN, plot_weights, weight_text
from lwdash.ui.shared.figure import show_figure
from lwdash.ui.shared.markdown_text import plain

CARD_WIDTH = 352
MAX_SHOWN = 12


def show_weights(kernels: Sequence[Mapping[str, Any]], *, is_baseline: bool) -> None:
    """A small histogram per kernel, `MAX_SHOWN` at a time."""
    if not kernels:
        st.info("This file has no kernels whose values can be plotted.", icon=":material/info:")
        return
    st.html(_key(RUN, "this run") + ("" if is_baseline else _key(BASELINE, "baseline, before the recipe")))
    st.caption(
        "Real values of each kernel (quantized values times their scale), in 64 bins over the range of "
        "both files. Exact zeros are counted in the caption and left out of the bars, because they would "
        "hide the rest."
    )
    pages = -(-len(kernels) // MAX_SHOWN)
    page = 1
    if pages > 1:
        page = int(st.number_input(f"Page of {pages}", 1, pages, key="run:weights", width=160))
    with st.container(horizontal=True):
        for kernel in kernels[(page - 1) * MAX_SHOWN : page * MAX_SHOWN]:
            with st.container(border=True, width=CARD_WIDTH, gap="small"):
                caption = weight_text({**kernel, "baseline": None} if is_baseline else kernel)
                st.markdown(f"**{plain(kernel['layer'] or kernel['name'])}** · {kernel['type']}")
                st.caption(caption)
                figure = plot_weights({**kernel, "baseline": None} if is_baseline else kernel)
                show_figure(
                    figure, key=f"run:weights:{kernel['name']}",
                    file_name=f"weights-{kernel['layer'] or kernel['name']}",
                    alt=f"Histogram of the weights of {kernel['layer'] or kernel['name']}: {caption}",
                )  # fmt: skip


def _key(colour: str, caption: str) -> str:
    mark = f'<span style="display:inline-block;width:1.1em;height:0.6em;background:{colour};border-radius:2px"></span>'
    return f'<span style="margin-right:1.5rem;font-size:0.9rem">{mark} {caption}</span>'
