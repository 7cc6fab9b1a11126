"""`python -m lwdash gc`: lists files that are no longer needed, and removes them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lwdash.settings import Settings
from storage.retention import find_removable, remove, used_bytes
from storage.store import Store

OLDER_THAN_DAYS = 30.0


def collect(settings: Settings, store: Store, *, older_than_days: float, is_dry: bool) -> dict[str, Any]:
    """Removable files by kind, and whether they were removed: {"removed", "bytes", "kinds": {kind: {"number",
    "bytes"}}, …}.
    """
    removable = find_removable(store, settings.home, older_than_days=older_than_days)
    number, size = Counter(s.kind for s in removable), Counter[str]()
    for item in removable:
        size[item.kind] += item.size_bytes
        if not is_dry:
            remove(store, item)
    return {
        "removed": not is_dry,
        "older_than_days": older_than_days,
        "bytes": size.total(),
        "kinds": {kind: {"number": number[kind], "bytes": size[kind]} for kind in sorted(number)},
        "used_bytes": used_bytes(store, settings.home),
        "quota_bytes": settings.disk_quota << 20 if settings.disk_quota else None,
    }


def lines(report: Mapping[str, Any]) -> list[str]:
    """The report for a terminal."""
    verb = "removed" if report["removed"] else "would go"
    found = [
        f"{kind}: {count['number']:,} {verb}, {count['bytes']:,} bytes"
        for kind, count in report["kinds"].items()
    ]
    quota = f" of {report['quota_bytes']:,} (LWDASH_DISK_QUOTA)" if report["quota_bytes"] else ""
    return [
        *(found or [f"nothing older than {report['older_than_days']:g} days can be removed"]),
        f"in use: {report['used_bytes']:,} bytes{quota}",
    ]
