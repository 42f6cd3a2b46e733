"""Captured: the README's answers are what the experiments answer; `make answers` writes them."""

import pytest

from tests.results.answers_page import PAGE, ran, written


@pytest.mark.slow
def test_the_readme_shows_what_the_experiments_answer(tmp_path):
    text = PAGE.read_text()
    assert written(text, ran(tmp_path)) == text
