"""Numbers as people write them: 0.3 is a multiple of 0.1, whatever binary floats think of it.

Owns exact comparison, reading a number out of a string, and the canonical form that makes 0.5, "0.5" and 0.50 identical.
"""

from __future__ import annotations

import functools
import math
import re
from fractions import Fraction

# Plain digits only: exponents ("1e3"), signs, blanks, underscores or other scripts' digits are far more often a mistake than a number.
_PLAIN = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?\Z", re.ASCII)
LONGEST = 40  # characters; beyond lies no quantity anyone can provide


def is_number(value) -> bool:
    """True for int and float; a bool is no number, nor is NaN or an infinity."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@functools.lru_cache(maxsize=4096)  # limits, and what is asked for again and again: reading one takes longer than comparing two
def exact(number) -> Fraction:
    """The decimal number a person reads in this int or float."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(float(number)))


def canonical(number):
    """Whole numbers as int (so 1.0 and 1 look alike everywhere), others as they are."""
    return int(exact(number)) if exact(number).denominator == 1 else float(number)


def from_text(text: str):
    """The number written in text, or None when it is not one or could not be kept digit by digit."""
    if len(text) > LONGEST or not _PLAIN.match(text):
        return None
    wanted = Fraction(text)
    number = int(wanted) if wanted.denominator == 1 else float(wanted)
    return number if exact(number) == wanted else None


def is_multiple(number, step) -> bool:
    """Whether number is a whole multiple of step, in decimal arithmetic."""
    return (exact(number) / exact(step)).denominator == 1


def text(number) -> str:
    """A limit as people write it: 4 rather than 4.0."""
    return str(canonical(number))
