"""Formats of images and sounds that are not read, by the suffixes of their files."""

from collections.abc import Mapping, Sequence

UNREAD: Mapping[str, tuple[str, ...]] = {
    "image": (".webp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm"),
    "sound": (".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".wma"),
}
"""Samples in formats that are not read."""


def unread_kind(names: Sequence[str]) -> str | None:
    """The kind of sample for a zip most of whose files are of a format that is not read; None for any other."""
    counts = {
        what: sum(name.lower().endswith(suffixes) for name in names) for what, suffixes in UNREAD.items()
    }
    return next((what for what, count in counts.items() if 2 * count >= len(names) > 0), None)
