"""Lines for people, on standard error, where they never mix with data."""

import sys


def clean(text: str) -> str:
    """`text` with everything that a terminal could take for a command made visible."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def tell(text: str) -> None:
    """Write the lines of `text`; configs and traces in them cannot steer the terminal."""
    sys.stderr.write("".join(f"{clean(line)}\n" for line in text.split("\n")))
