"""Card "Where it runs" on a run's page: runtimes that run the file, what it needs there, and boards on which it fits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lwdash.engine.devices.known_boards import known_boards
from lwdash.errors import UserMistake
from lwdash.settings import Settings
from lwdash.targets import TARGETS, USUAL
from lwdash.targets.boards import BoardFit, fits, measured_facts
from lwdash.ui.run.device_cards import ask_for_device, show_device_results
from lwdash.ui.run.target_menu import ask_for_target, show_target_layers
from lwdash.ui.shared.access import owner
from lwdash.ui.shared.data_table import data_table
from lwdash.ui.shared.fit_badges import FITS, fit_column
from lwdash.ui.shared.markdown_text import code, plain
from lwdash.ui.shared.number_text import count, milliseconds, ratio_text, size, times
from storage.analyses import analysis_of
from storage.records import StoredRun
from storage.runs import DETAILS
from storage.store import Store

BADGES = {
    "runs": ":green-badge[:material/check_circle: runs]",
    "refused": ":red-badge[:material/block: refused]",
    "unavailable": ":gray-badge[:material/help: not installed]",
    "not measured": ":gray-badge[:material/pending: not measured]",
}
"""State of a target → colour, shape and word."""
CARD_WIDTH = 352
TABLE_HEIGHT = 420


def show_where_it_runs(
    settings: Settings, store: Store, run: StoredRun, measured: Mapping[str, Any], *, can_change: bool
) -> None:
    """The targets of a succeeded run, then the boards. Targets that were not asked for are in a menu."""
    targets: Mapping[str, Any] = measured.get("targets") or {}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Where it runs", anchor=False, width="stretch")
        if can_change:
            ask_for_target(store, run, targets)
            ask_for_device(store, run)
    with st.container(horizontal=True, key="where-it-runs"):
        for name, target in TARGETS.items():
            found = targets.get(name)
            if found is None and name not in USUAL:
                continue
            with st.container(border=True, width=CARD_WIDTH, gap="small"):
                st.markdown(
                    f"**{target.LABEL}** {BADGES[found['state'] if found else 'not measured']}",
                    help=target.SUMMARY,
                )
                if found:
                    _result(found)
                else:
                    st.caption(_why_not_measured(store, run))
    show_target_layers(targets)
    show_device_results(targets)
    _boards(settings, store, run, targets)


def _result(found: Mapping[str, Any]) -> None:
    if found["state"] == "runs":
        for line in result_lines(found):
            st.markdown(line)
    else:
        st.markdown(f"{plain(_sentence(found['reason']))}\n\n**What to do:** {plain(found['remedy'])}.")
    if found["message"]:
        st.caption(f"Its message: {code(found['message'])}")
    is_for_resolver = "ethos-u" not in found["operators"] and "host" not in found
    if found["state"] == "runs" and found["operators"] and is_for_resolver:
        kinds = found["operators"]
        what = "1 type of operator" if len(kinds) == 1 else f"{len(kinds)} types of operators"
        st.caption(f"{what} for the resolver: {plain(', '.join(kinds))}")
    if found["version"]:
        st.caption(f"Version {plain(found['version'])}")


def result_lines(found: Mapping[str, Any]) -> list[str]:
    """Memory and differences of a target that runs the file, as Markdown."""
    values = {name: metric["value"] for name, metric in found["metrics"].items()}
    lines = []
    if values.get("arena_total_bytes") is not None:
        planned = values["planned_head_bytes"]
        is_as_planned = planned == values["arena_head_bytes"]
        check = "as planned" if is_as_planned else f"planned: {size(planned)}"
        lines.append(
            f"Arena **{size(values['arena_total_bytes'])}**: {size(values['arena_head_bytes'])} for activations "
            f"({check}), {size(values['arena_tail_bytes'])} for its own tables."
        )
    if values.get("litert_latency_ms_p50") is not None:
        lines += _timed_lines(values)
    rows, differing = values.get("compared_rows"), values.get("rows_differing")
    if rows is not None and differing is not None:
        steps = values.get("largest_difference_steps")
        unit = "" if steps is None else f", {count(steps)} step{'s' * (steps != 1)} of the output"
        lines.append(
            f"Outputs equal LiteRT's on all {count(rows)} rows."
            if not differing
            else f"Outputs differ from LiteRT's on **{count(differing)} of {count(rows)}** rows, by at most "
            f"{values['largest_difference']:.3g}{unit}."
        )
    if values.get("npu_cycles") is not None:
        rate = values["inferences_per_second"]
        a_second = "" if rate is None else f", {count(round(rate))} inferences a second"
        lines.append(
            f"An estimated **{count(values['npu_cycles'])} cycles**{a_second} at {count(values['clock_mhz'])} MHz."
        )
        lines.append(f"SRAM {size(values['sram_bytes'])}, {_encoded_in(values)} with encoded weights.")
        if values.get("encoded_weight_bytes"):
            before, after = values["weight_bytes"], values["encoded_weight_bytes"]
            lines.append(
                f"Weights: {size(before)}, encoded **{size(after)}** ({ratio_text(before / after, 'smaller', 'larger')})."
            )
        on_cpu, on_npu = values["cpu_operators"], values["npu_operators"]
        lines.append(
            f"All {count(on_npu)} operators run on the NPU."
            if not on_cpu
            else f"**{count(on_cpu)}** operators stay on the CPU, {count(on_npu)} run on the NPU."
        )
    return lines


def _timed_lines(values: Mapping[str, Any]) -> list[str]:
    """Latency in another runtime of this host, measured in rotation with LiteRT."""
    interval = ""
    if values["speedup_low"] is not None:
        interval = f" (95 %: {times(values['speedup_low'])} to {times(values['speedup_high'])})"
    return [
        f"Latency **{milliseconds(values['latency_ms_p50'])}**; LiteRT with XNNPACK, measured interleaved: "
        f"{milliseconds(values['litert_latency_ms_p50'])}.",
        f"**{times(values['speedup'])}** the speed of LiteRT with XNNPACK{interval}; "
        f"{count(values['latency_sessions'])} sessions{'' if values['latency_is_narrow'] else ', wider than ±3 %'}.",
    ]


def _encoded_in(values: Mapping[str, Any]) -> str:
    """Memory that holds the encoded weights: flash, or DRAM on systems with large memory."""
    flash, dram = values.get("flash_bytes"), values.get("dram_bytes")
    return f"flash {size(flash)}" if flash is not None else f"DRAM {size(dram)}" if dram else "no flash"


def _why_not_measured(store: Store, run: StoredRun) -> str:
    details = analysis_of(store.database, run.id, DETAILS)
    if details is not None and not details.has_ended:
        return "It is being measured, with the times of single layers."
    if details is not None and not details.has_succeeded:
        return "The run's details could not be measured. Start the run again to measure it."
    return "An earlier version measured this run. Start the run again to measure it."


def _boards(settings: Settings, store: Store, run: StoredRun, targets: Mapping[str, Any] | None) -> None:
    if run.size_bytes is None:
        return
    try:
        table = known_boards(settings, store, owner())
    except UserMistake as error:
        st.error(plain(str(error)), icon=":material/developer_board_off:")
        return
    found = fits(table, measured_facts(run.size_bytes, targets))
    st.markdown(boards_summary(found))
    with st.expander("Boards"):
        data_table(
            boards_frame(found),
            hide_index=True,
            height=TABLE_HEIGHT,
            placeholder="–",
            column_config={
                "Fit": fit_column(width=130),
                "Flash left (KiB)": st.column_config.NumberColumn(
                    format="localized", help="Negative: so much is missing"
                ),
                "RAM left (KiB)": st.column_config.NumberColumn(
                    format="localized", help="Negative: so much is missing"
                ),
                "MHz": st.column_config.NumberColumn(format="localized"),
                "Flash (KiB)": st.column_config.NumberColumn(format="localized", help="Empty: an SD card"),
                "RAM (KiB)": st.column_config.NumberColumn(format="localized"),
            },
        )
        assumed = table.assumptions
        st.caption(
            f"Flash: the file, {assumed.runtime_flash_kib:g} KiB for the runtime and an assumed size of code for each type "
            f"of operator. RAM: the arena and {assumed.ram_allowance_kib:g} KiB for stack and static data. Your application "
            "comes on top. 1 KiB is 1,024 bytes, the kB of data sheets. "
            "The results page compares runs and boards, and adds boards of your own."
        )


def boards_summary(found: Sequence[BoardFit]) -> str:
    """`Of 49 boards: ✓ fits: 31`, with a badge for each state, as Markdown."""
    states = Counter[str](fit.state for fit in found)
    badges = [
        f":{colour}-badge[{label}: {states[state]}]"
        for state, (label, colour) in FITS.items()
        if states[state]
    ]
    return f"Of {len(found)} boards: {' '.join(badges)}"


def boards_frame(found: Sequence[BoardFit]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Fit": [[FITS[fit.state][0]] for fit in found],
            "Board": [fit.board.name for fit in found],
            "Flash left (KiB)": [_kib(fit.flash_spare_bytes) for fit in found],
            "RAM left (KiB)": [_kib(fit.ram_spare_bytes) for fit in found],
            "Core": [fit.board.core for fit in found],
            "MHz": [fit.board.clock_mhz for fit in found],
            "Flash (KiB)": [fit.board.flash_kib for fit in found],
            "RAM (KiB)": [fit.board.ram_kib for fit in found],
            "NPU": [fit.board.npu for fit in found],
            "Note": [fit.board.note for fit in found],
            "Source": [fit.board.source for fit in found],
        }
    )


def _kib(spare_bytes: int | None) -> int | None:
    """Whole KiB, rounded down: what is left is not overstated, what is missing not understated."""
    return None if spare_bytes is None else spare_bytes // 1024


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."
