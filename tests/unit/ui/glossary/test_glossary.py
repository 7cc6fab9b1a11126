"""Nothing on the pages is without an explanation: techniques, parameters, measures, quantities of layers, findings."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lwdash.datasets.linter.findings import CODES
from lwdash.metrics.layer_metrics import QUANTITIES
from lwdash.metrics.limits import limits_summary
from lwdash.metrics.run_metrics import MEASURES
from lwdash.parameters import described
from lwdash.techniques import TECHNIQUES
from lwdash.ui.glossary.entries import FINDINGS, MEASURE_TRAPS, QUANTITY_TRAPS, glossary
from lwdash.ui.glossary.entry_list import entries_html
from lwdash.ui.glossary.glossary_entry import GROUPS, Entry

WORDS = {word.slug: word for word in glossary()}


@pytest.mark.parametrize("name", TECHNIQUES)
def test_every_technique_and_parameter_is_explained(name: str) -> None:
    word = WORDS[name]
    assert word.trap
    assert [p[0] for p in word.parameters] == list(described(TECHNIQUES[name].Params))
    assert all(all(cell for cell in parameter) for parameter in word.parameters)


def test_every_measure_quantity_and_finding_has_its_entry_and_none_is_left_over() -> None:
    assert set(MEASURE_TRAPS) == set(MEASURES) <= set(WORDS)
    assert set(QUANTITY_TRAPS) == set(QUANTITIES)
    assert set(FINDINGS) == set(CODES) <= set(WORDS)
    assert {word.group for word in WORDS.values()} == set(GROUPS)


def test_slugs_are_unique_and_fit_an_address() -> None:
    assert max(Counter(word.slug for word in glossary()).values()) == 1
    assert all(re.fullmatch(r"[a-z0-9_-]+", slug) for slug in WORDS)


def test_explanations_are_whole_sentences() -> None:
    for word in WORDS.values():
        assert word.text.endswith((".", "?")), word.slug
        assert not word.trap or word.trap.endswith("."), word.slug


def test_pruning_names_the_step_that_makes_the_file_smaller() -> None:
    assert "sparse" in WORDS["prune"].trap
    assert "sparse" in WORDS["size_bytes"].trap


def test_words_are_found_by_what_they_say() -> None:
    assert Entry("a", "B", GROUPS[0], "Some text.").mentions("TEXT b")
    assert not Entry("a", "B", GROUPS[0], "Some text.").mentions("text c")
    assert {slug for slug, word in WORDS.items() if word.mentions("mcnemar")} == {"verdict"}


def test_every_slug_that_the_sources_link_to_exists() -> None:
    root = Path(__file__).parents[4]
    linked = {
        slug
        for path in (*(root / "lwdash").rglob("*.py"), *(root / "pages").glob("*.py"))
        for slug in re.findall(r"glossary[#?](?:term=)?([a-z0-9_-]+)", path.read_text())
    }
    assert linked <= set(WORDS)


class Outline(HTMLParser):
    """The tags, anchors and links of a page, in its order, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.ids, self.links, self.text = [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if "href" in values else []

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_glossary_shows_every_word_once_with_a_heading_that_links_to_itself() -> None:
    page = Outline(entries_html(glossary()))
    assert len(page.ids) == len(set(page.ids)) == len(WORDS) + len(GROUPS)
    assert set(WORDS) <= set(page.ids)
    assert page.links == [f"#{anchor}" for anchor in page.ids]
    assert (page.tags.count("h2"), page.tags.count("h3")) == (len(GROUPS), len(WORDS))
    shown = [text for word in WORDS.values() for text in (word.title, word.text, word.trap)]
    shown += [cell for word in WORDS.values() for row in word.parameters for cell in row]
    assert [text for text in shown if text not in page.text] == []


def test_parameters_are_open_where_one_word_was_sought() -> None:
    assert "<details open>" in entries_html([WORDS["prune"]])
    assert "<details open>" not in entries_html([WORDS["prune"], WORDS["cluster"]])


def test_words_cannot_become_tags_of_the_glossary() -> None:
    html = entries_html([Entry("a", "<b>", GROUPS[0], "x < y <i>", "<u>", (("<s>",) * 5,))])
    assert set(re.findall(r"<(\w)>", html)) <= {"p"}
    assert "x &lt; y &lt;i&gt;" in html


@pytest.mark.parametrize(
    ("drop", "words"),
    [(0.01, "≤ 1 point"), (0.0, "≤ 0 points"), (0.001, "≤ 0.1 points"), (0.11, "≤ 11 points")],
)
def test_a_limit_of_one_point_is_in_the_singular(drop: float, words: str) -> None:
    assert limits_summary({"accuracy_drop": drop}) == f"drop of accuracy {words}"
