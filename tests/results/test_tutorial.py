"""Captured: the tutorial's commands print what it shows; `make tutorial` writes it again."""

import re

import pytest

from tests.results.tutorial import PAGE, played


def steady(text):
    """Without what differs from day to day: digests of runs, and sizes of files."""
    return re.sub(r"\d+\.\d MB", "N MB", re.sub(r"-[0-9a-f]{12}", "-DIGEST", text))


@pytest.mark.slow
def test_the_tutorial_shows_what_its_commands_print(tmp_path):
    text = PAGE.read_text()
    assert text.count("```console") >= 6
    assert steady(played(text, tmp_path)) == steady(text)
