"""What captions are worth: do they name what the images' own captions name?"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class NounScores:
    """Micro-averaged over all images: of the nouns said, how many are right; of the right, said."""

    precision: float
    recall: float
    f1: float


def noun_finder(forms: Mapping[str, Sequence[str]]) -> Callable[[str], set[str]]:
    """Return a function that finds nouns in a text; `forms` has the spellings of each noun.

    A longer noun hides the shorter ones in it: a "coffee table" is not also a "table".
    """
    noun_of = {
        spelling.lower(): noun for noun, spellings in forms.items() for spelling in spellings
    }
    longest_first = sorted(map(re.escape, noun_of), key=len, reverse=True)
    pattern = re.compile(rf"\b({'|'.join(longest_first)})\b")
    return lambda text: {noun_of[found] for found in pattern.findall(text.lower())}


def score_nouns(
    said: Sequence[str],
    truths: Sequence[Sequence[str]],
    find: Callable[[str], set[str]],
) -> NounScores:
    """Compare one caption of each image with the nouns of all its reference captions."""
    right = wrong = missed = 0
    for text, references in zip(said, truths, strict=True):
        named = find(text)
        there = set().union(*(find(reference) for reference in references))
        right += len(named & there)
        wrong += len(named - there)
        missed += len(there - named)
    return NounScores(
        precision=right / max(1, right + wrong),
        recall=right / max(1, right + missed),
        f1=2 * right / max(1, 2 * right + wrong + missed),
    )
