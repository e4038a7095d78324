"""Noun scores, on cases done by hand."""

import pytest

from stages.captioning.scores import noun_finder, score_nouns

FIND = noun_finder(
    {"table": ["table", "tables"], "coffee table": ["coffee table"], "sofa": ["sofa"]}
)


def test_the_longest_noun_wins() -> None:
    assert FIND("Two tables, a sofa.") == {"table", "sofa"}
    assert FIND("a coffee table") == {"coffee table"}
    assert FIND("a tablet") == set()


def test_scores_by_hand() -> None:
    said = ["a sofa and a table", "a sofa", "nothing"]
    truths = [["a table", "a coffee table"], ["a sofa"], ["two tables"]]
    scores = score_nouns(said, truths, FIND)
    # Right: table, sofa. Wrong: sofa. Missed: coffee table, table.
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.recall == pytest.approx(2 / 4)
    assert scores.f1 == pytest.approx(4 / 7)
    assert score_nouns([""], [[""]], FIND).f1 == 0
