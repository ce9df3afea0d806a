"""How often each word is there to be learnt, and how often it is read right."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from gcodefp.evaluation.files import MODEL
from gcodefp.findings.results import Results
from gcodefp.recordings.gcode import Word, parse_block


class OfWord(NamedTuple):
    """One word, such as G1 or X1.5.

    Attributes:
        train: rows of the train split that execute it.
        test: rows of the test split that do.
        right: those of them where it is read, at its place in the line.
    """

    word: Word
    train: int
    test: int
    right: int

    @property
    def wrong(self) -> int:
        return self.test - self.right

    @property
    def share(self) -> float:
        """Of the test rows, those where it is right."""
        return self.right / self.test


class Decade(NamedTuple):
    """All words that the train split has from `low` to under `high` times, in powers of ten."""

    low: int
    high: int
    test: int
    right: int

    @property
    def share(self) -> float:
        """Of their test rows, those where they are right."""
        return self.right / self.test


def by_word(results: Results, answer: str = MODEL) -> list[OfWord]:
    """Each word of the test split, those first that are wrong most often; then by the word.

    Words are compared at their place in the line, as the scores do. The results' dataset.json has
    to count words.
    """
    predictions = results.predictions
    train = results.dataset["words"]["train"]
    pairs = zip(predictions.true_block.tolist(), predictions.blocks[answer].tolist(), strict=True)
    test: Counter[Word] = Counter()
    right: Counter[Word] = Counter()
    for (true_text, read_text), rows in Counter(pairs).items():
        true, read = parse_block(true_text), parse_block(read_text)
        for place, word in enumerate(true):
            test[word] += rows
            right[word] += rows * (read[place : place + 1] == (word,))
    found = [OfWord(word, train.get(str(word), 0), test[word], right[word]) for word in test]
    return sorted(found, key=lambda of: (-of.wrong, of.word))


def decades(found: Sequence[OfWord]) -> list[Decade]:
    """Words put together by how often the train split has them; never is from 0 to under 1."""
    parts: dict[int, list[OfWord]] = {}
    for of in found:
        parts.setdefault(len(str(of.train)) if of.train else 0, []).append(of)
    return [
        Decade(
            low=10 ** (digits - 1) if digits else 0,
            high=10**digits,
            test=sum(of.test for of in parts[digits]),
            right=sum(of.right for of in parts[digits]),
        )
        for digits in sorted(parts)
    ]
