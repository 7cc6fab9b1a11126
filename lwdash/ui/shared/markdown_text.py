"""Escapes for text of users in Markdown."""

import re


def plain(text: str) -> str:
    """A user's text as Markdown that shows it character by character.

    Addresses do not become links: backslashes cannot prevent that, so an invisible joiner separates them.
    """
    parted = re.sub(r"(?i)(?=@)|(?<=http)(?=s?://)|(?<=www)(?=\.)", "\u2060", text)
    return "".join(f"\\{char}" if char in r"\`*_{}[]()<>#+-.!|~$:&=" else char for char in parted)


def code(text: str) -> str:
    """A text as inline code of Markdown: `st.code` would load a library of 1.5 MB into the browser."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, gap = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{gap}{text}{gap}{fence}"
