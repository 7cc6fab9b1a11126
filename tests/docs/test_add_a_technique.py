"""docs/add-a-technique.md, followed to the letter: the technique of the page passes the contract suite."""

import pytest
from support.documented import documented, loaded

from lwdash.recipe import parse_recipe
from lwdash.techniques import TECHNIQUES

NAME = "coarse"
pytestmark = pytest.mark.tensorflow


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch):
    """The contract suite with the page's claim, while the page's technique is in the table."""
    files = documented("add-a-technique.md")
    table, claims = "lwdash/techniques/__init__.py", "tests/contract/test_techniques.py"
    technique = loaded("lwdash/techniques/coarse.py", files.pop("lwdash/techniques/coarse.py"), monkeypatch)
    with monkeypatch.context() as only_here:
        listed = loaded(table, files.pop(table), only_here).TECHNIQUES
    assert listed == {**TECHNIQUES, NAME: technique}
    monkeypatch.setitem(TECHNIQUES, NAME, technique)
    suite = loaded(claims, files.pop(claims), monkeypatch)
    assert files == {}
    return suite


def test_the_technique_of_the_page_keeps_the_contract(suite) -> None:
    suite.test_a_technique_says_what_it_is(NAME)
    suite.test_every_parameter_is_described(NAME)
    suite.test_the_defaults_construct_and_survive_text(NAME)
    for name, key in [pair for pair in suite.PARAMETERS if pair[0] == NAME]:
        suite.test_a_value_inside_the_bounds_survives_text(name, key)
        suite.test_a_value_outside_the_bounds_is_refused_by_name(name, key)
    suite.test_the_same_file_gives_the_same_bytes(NAME)
    for kind in suite.MODELS:
        suite.test_the_packed_file_runs_and_answers_alike(NAME, kind)
        suite.test_ports_keep_their_names_and_shapes(NAME, kind)
        suite.test_the_claimed_effect_is_real_in_the_file(NAME, kind)


def test_its_recipe_is_read_and_the_claim_can_fail(suite) -> None:
    assert str(parse_recipe("prune + coarse(bits=6)")) == "prune(sparsity=0.5) + coarse(bits=6)"
    suite.SETTINGS[NAME] = {"bits": 20}
    with pytest.raises(AssertionError):
        suite.CLAIMS[NAME]("table")
