"""The linter's findings for a terminal and as JSON."""

from typing import Any

from lwdash.engine.input_files.linting import Linted


def findings_record(linted: Linted) -> dict[str, Any]:
    """One JSON-able object: rows of each part, findings with their fixes, or the error."""
    return {
        "rows": dict(linted.rows or {}),
        "findings": [finding.to_dict() for finding in linted.findings],
        "error": linted.error,
        "task": linted.task,
        "task_note": linted.task_note,
    }


def findings_lines(linted: Linted) -> list[str]:
    """Each finding with its place, reason and remedy."""
    rows = ", ".join(f"{count:,} {part}" for part, count in (linted.rows or {}).items())
    if not linted.findings:
        return [f"nothing found in {rows} rows"]
    lines = [f"{len(linted.findings)} found in {rows} rows" if rows else f"{len(linted.findings)} found"]
    for finding in linted.findings:
        lines += [
            "",
            f"{finding.severity}: {finding.what} [{finding.code}]",
            f"  where: {finding.where}",
            f"  why:   {finding.why}",
            f"  do:    {finding.advice}",
        ]
    return lines
