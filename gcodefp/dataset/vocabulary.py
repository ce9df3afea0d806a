"""G-code blocks as class indices, one word position per word.

A block of n words takes n word positions and one for its end. Each has a token type; a command has
a command class, a parameter a parameter type (its letter) and a parameter value. Classes are those
of the train split; all others are UNSEEN: never predicted, and never correct.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gcodefp.recordings.gcode import Block, Word, format_block, parse_block

PAD, END, COMMAND, PARAMETER = range(4)
TOKEN_TYPES = ("pad", "end", "command", "parameter")
UNSEEN = -1
FIELDS = ("token_type", "command", "parameter_type", "parameter_value")


@dataclass(frozen=True)
class Vocabulary:
    """The classes of each head.

    Attributes:
        commands: such as G0, G1.
        parameter_types: letters such as X, Y.
        parameter_values: all numbers that a parameter takes, ascending.
        operations: names of the operations.
        steps: word positions: those of the longest block, and its end.
    """

    commands: tuple[str, ...]
    parameter_types: tuple[str, ...]
    parameter_values: tuple[float, ...]
    operations: tuple[str, ...]
    steps: int

    def encode(self, texts: Sequence[str], steps: int | None = None) -> NDArray[np.int32]:
        """Class indices of blocks.

        Args:
            texts: U blocks.
            steps: S, by default `self.steps`; longer blocks are cut.

        Returns:
            (U, S, 4), the last axis in the order of FIELDS; UNSEEN where a field does not apply or
            its class is not in the vocabulary.
        """
        steps = steps or self.steps
        commands = {name: i for i, name in enumerate(self.commands)}
        letters = {letter: i for i, letter in enumerate(self.parameter_types)}
        values = {number: i for i, number in enumerate(self.parameter_values)}
        tokens = np.full((len(texts), steps, len(FIELDS)), UNSEEN, np.int32)
        tokens[..., 0] = PAD
        for row, text in zip(tokens, texts, strict=True):
            block = parse_block(text)
            for step, word in zip(row, block, strict=False):
                if word.is_command:
                    step[:2] = COMMAND, commands.get(str(word), UNSEEN)
                else:
                    step[0] = PARAMETER
                    step[2:] = letters.get(word.letter, UNSEEN), values.get(word.number, UNSEEN)
            if len(block) < steps:
                row[len(block), 0] = END
        return tokens

    def encode_rows(self, blocks: NDArray[np.str_]) -> NDArray[np.int32]:
        """Class indices of N rows' blocks, (N, S + 1, 4).

        One word position more than the longest train block, so that a longer block matches none.
        """
        texts, index = np.unique(blocks, return_inverse=True)
        return self.encode(texts.tolist(), self.steps + 1)[index]

    def decode(self, tokens: NDArray[np.integer]) -> list[str]:
        """Blocks of class indices (U, S, 4), up to the first position that is not a word."""
        return [format_block(self._block(row)) for row in tokens]

    def _block(self, tokens: NDArray[np.integer]) -> Block:
        words: list[Word] = []
        for token_type, command, letter, value in tokens:
            if token_type == COMMAND:
                words += parse_block(self.commands[command])
            elif token_type == PARAMETER:
                words.append(Word(self.parameter_types[letter], self.parameter_values[value]))
            else:
                break
        return tuple(words)


def build_vocabulary(texts: Iterable[str], operations: Iterable[str]) -> Vocabulary:
    """The vocabulary of the blocks and operations of the train split."""
    blocks = [parse_block(text) for text in set(texts)]
    words = {word for block in blocks for word in block}
    parameters = {word for word in words if not word.is_command}
    return Vocabulary(
        commands=tuple(sorted(str(word) for word in words if word.is_command)),
        parameter_types=tuple(sorted({word.letter for word in parameters})),
        parameter_values=tuple(sorted({word.number for word in parameters})),
        operations=tuple(sorted(set(operations))),
        steps=max(len(block) for block in blocks) + 1,
    )


def count_words(blocks: NDArray[np.str_], block: NDArray[np.integer]) -> dict[str, int]:
    """Word -> how many of N rows execute it, in the order of letter and number.

    Args:
        blocks, block: (U,) texts, and (N,) index of each row's text.
    """
    counts: Counter[Word] = Counter()
    rows = np.bincount(block, minlength=len(blocks))
    for text, count in zip(blocks.tolist(), rows.tolist(), strict=True):
        for word in parse_block(text):
            counts[word] += count
    return {str(word): counts[word] for word in sorted(counts)}
