"""Cards: identity, tampering, and naming what differs."""

import pytest

from cache.card import Card, CardError, differences

CARD = Card("thing", 1, {"a": 1, "b": {"c": [1, 2]}}, {"scene": "x"}, {"rows": 3}, {"hash": "f"})


def test_round_trip() -> None:
    assert Card.from_dict(CARD.to_dict(), where="here") == CARD


def test_only_identity_enters_the_fingerprint() -> None:
    assert len(CARD.fingerprint) == 16
    same = Card("thing", 1, {"b": {"c": [1, 2]}, "a": 1}, {"scene": "x"}, {"rows": 4})
    assert same.fingerprint == CARD.fingerprint
    for other in (
        Card("other", 1, CARD.config, CARD.inputs),
        Card("thing", 2, CARD.config, CARD.inputs),
        Card("thing", 1, {"a": 2}, CARD.inputs),
        Card("thing", 1, CARD.config, {"scene": "y"}),
    ):
        assert other.fingerprint != CARD.fingerprint


@pytest.mark.parametrize("raw", [None, 3, {}, {"kind": "thing"}])
def test_what_is_no_card_is_refused(raw: object) -> None:
    with pytest.raises(CardError, match="here: its card is not one of ours"):
        Card.from_dict(raw, where="here")


def test_an_altered_card_is_refused() -> None:
    raw = CARD.to_dict()
    raw["config"] = {"a": 2}
    with pytest.raises(CardError, match=f"says fingerprint {CARD.fingerprint}"):
        Card.from_dict(raw, where="here")


def test_differences_are_named() -> None:
    lines = differences({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "d": 3}, "e": "x"})
    assert lines == ["b.c: 2 there, 4 asked", 'e: not set there, "x" asked']
