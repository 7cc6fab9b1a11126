"""Findings of the linter on a page: place, reason, remedy, and a button if one click can apply it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from lwdash.datasets.linter.findings import ERROR, NOTE, WARNING, Finding
from lwdash.ui.shared.markdown_text import plain

ICONS = {
    ERROR: ":red[:material/error:]",
    WARNING: ":orange[:material/warning:]",
    NOTE: ":blue[:material/info:]",
}
SEVERITY_NAMES = {ERROR: ("error", "errors"), WARNING: ("warning", "warnings"), NOTE: ("note", "notes")}


def show_findings(findings: Sequence[Finding]) -> None:
    """Show the list, most severe first; errors are open."""
    if not findings:
        st.success("The linter found no problem in these rows.", icon=":material/verified:")
        return
    st.markdown(f"**Checked before any run: {count_text(findings)}**")
    for place, finding in enumerate(findings):
        head = f"{ICONS[finding.severity]} **{finding.title}** · {plain(finding.what)}"
        with st.expander(head, expanded=finding.severity == ERROR):
            st.markdown(
                f"**Where** {plain(finding.where)}  \n**Why it matters** {plain(finding.why)}  \n"
                f"**What to do** {plain(finding.advice)}"
            )
            if finding.fix:
                st.button(
                    f"Set {_setting_text(finding.fix)}",
                    key=f"fix:{place}:{finding.code}",
                    icon=":material/auto_fix_high:",
                    on_click=_apply,
                    args=(dict(finding.fix),),
                )


def count_text(findings: Sequence[Finding]) -> str:
    """`1 error, 2 notes`."""
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(
        f"{counts[severity]} {SEVERITY_NAMES[severity][counts[severity] > 1]}"
        for severity in SEVERITY_NAMES
        if counts[severity]
    )


def _setting_text(fix: Mapping[str, Any]) -> str:
    if "classes" in fix:
        return f"the classes to {', '.join(fix['classes'])}"
    text = fix.get("preprocess")
    return f"the pre-processing to {text}" if text else "no pre-processing"


def _apply(fix: Mapping[str, Any]) -> None:
    for key, value in fix.items():
        st.session_state[f"data:{key}"] = ", ".join(value) if isinstance(value, list) else value
