"""An entry of the glossary, and the groups of entries."""

from dataclasses import dataclass

TECHNIQUE, MEASURE, QUANTITY, FINDING, TERM = "Techniques", "Metrics", "Layer metrics", "Findings", "Terms"
GROUPS = (TECHNIQUE, MEASURE, QUANTITY, FINDING, TERM)


@dataclass(frozen=True)
class Entry:
    """One entry of the glossary.

    slug: its anchor in the glossary. text: the explanation; trap: a common mistake, "" if there is none.

    parameters: of a technique, (key, label, description, bounds, default).
    """

    slug: str
    title: str
    group: str
    text: str
    trap: str = ""
    parameters: tuple[tuple[str, str, str, str, str], ...] = ()

    def mentions(self, sought: str) -> bool:
        """True if the entry contains all words of `sought`, in upper or lower case."""
        text = f"{self.slug} {self.title} {self.text} {self.trap} {' '.join(p[0] for p in self.parameters)}".lower()
        return all(part in text for part in sought.lower().split())
