"""Values of hyperparameters as texts: one by which they are told apart, one for readers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

DIGITS = 6
MOST_DIGITS = 17
"""So many tell any two numbers of double precision apart."""


def value_key(value: Any) -> str:
    """What tells a value from others; 16 and 16.0 are the same, as a table holds either."""
    if not is_number(value):
        return str(value)
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def value_texts(values: Sequence[Any], digits: int = DIGITS) -> list[str]:
    """For readers: numbers of so many digits, or of as many as it takes to tell them apart."""
    different = len(set(map(value_key, values)))
    texts: list[str] = []
    for count in range(digits, MOST_DIGITS + 1):
        texts = [f"{of:.{count}g}" if is_number(of) else str(of) for of in values]
        if len(set(texts)) == different:
            return texts
    return texts


def is_number(value: Any) -> bool:
    """Whether it is one; True and False are none."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
