"""Links between the Markdown files: each leads to a file of the repository, and to a heading in it."""

import re
from pathlib import Path

import pytest
from conftest import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "lwdash").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s#]+)[^)]*\)")
SECTION_LINK = re.compile(r"\]\(([^)\s#]*)#([^)\s]+)\)")


def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Names of a page's headings in addresses, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_file_leads_there(page: Path) -> None:
    links = [link for link in LINK.findall(without_code(page)) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_to_a_section_leads_to_a_heading(page: Path) -> None:
    links = [(link, name) for link, name in SECTION_LINK.findall(without_code(page)) if "://" not in link]
    missing = [
        (link, name) for link, name in links if name not in anchors(page.parent / link if link else page)
    ]
    assert missing == []


def test_every_page_of_docs_is_linked_from_the_readme_or_from_contributing() -> None:
    text = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    linked = set(re.findall(r"\(docs/([\w-]+\.md)[)#]", text))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - linked == set()
