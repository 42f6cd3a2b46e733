"""The one error that a user caused and can mend."""

from collections.abc import Iterable
from difflib import get_close_matches


class RefusedError(Exception):
    """Nothing was run, and the message says what to do about it. Ends with exit code 2."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """` Did you mean x?`, or nothing if no known name is near."""
    near = get_close_matches(word, list(known), n=1)
    return f" Did you mean {near[0]}?" if near else ""
