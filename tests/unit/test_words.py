"""Nothing on the pages is without an explanation: techniques, parameters, measures, quantities of layers, findings."""

import re
from collections import Counter
from pathlib import Path

import pytest

from lwdash.charts.layer_quantities import QUANTITIES
from lwdash.charts.measures import MEASURES
from lwdash.datasets.findings import CODES
from lwdash.parameters import described
from lwdash.techniques import TECHNIQUES
from lwdash.ui.words import FINDINGS, GROUPS, MEASURE_TRAPS, QUANTITY_TRAPS, Word, glossary

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


def test_pruning_says_that_the_file_stays_as_large() -> None:
    assert "gzip" in WORDS["prune"].trap
    assert "gzip" in WORDS["size_bytes"].trap


def test_words_are_found_by_what_they_say() -> None:
    assert Word("a", "B", GROUPS[0], "Some text.").mentions("TEXT b")
    assert not Word("a", "B", GROUPS[0], "Some text.").mentions("text c")
    assert {slug for slug, word in WORDS.items() if word.mentions("mcnemar")} == {"verdict"}


def test_every_slug_that_the_sources_link_to_exists() -> None:
    root = Path(__file__).parents[2]
    linked = {
        slug
        for path in (*(root / "lwdash").rglob("*.py"), *(root / "pages").glob("*.py"))
        for slug in re.findall(r"glossary[#?](?:term=)?([a-z0-9_-]+)", path.read_text())
    }
    assert linked <= set(WORDS)
