"""Contract: tables for people and for programs."""

import json

import polars as pl
import pytest
from rich.console import Console

from sweep.commands.tables import Format, write
from sweep.results.columns import unit
from sweep.results.formats import cell, encode
from sweep.terminal import clean


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (32_768, "32,768"),
        (0.00001, "0.00001"),
        (0.0125, "0.0125"),
        (819.25, "819.2"),
        (1619.4, "1,619"),
        ("a\nb", "a\\nb"),
    ],
)
def test_a_cell_is_what_people_read(value, text):
    assert cell(value) == text


def test_control_and_direction_characters_are_made_visible():
    assert clean("\x1b[31m\u202eevil\x07\x9b") == "\\x1b[31m\\u202eevil\\x07\\x9b"
    assert clean("µs, 5 % of VMs, Ω") == "µs, 5 % of VMs, Ω"


@pytest.mark.parametrize(
    ("column", "want"),
    [
        ("memslot_gib", "GiB"),
        ("hold_ns_p99", "ns (modelled)"),
        ("standing_553_kib", "KiB"),
        ("saved_553_per_kib", "drops/KiB"),
        ("drops_553", "drops"),
        ("standing_bytes_per_million_vms", "bytes per 10^6 VMs"),
        ("worst_standing_bytes", "bytes"),
        ("no_such_thing", ""),
    ],
)
def test_a_derived_column_has_the_unit_that_its_name_says(column, want):
    assert unit(column) == want


def test_on_a_narrow_terminal_words_fold_and_numbers_do_not(monkeypatch, capsys):
    monkeypatch.setattr("sweep.commands.tables.console", lambda: Console(width=40))
    rows = pl.DataFrame({"a": [1_234_567_890], "b": [9_876_543_210], "text": ["many words " * 9]})
    write(rows, Format.table)
    out = capsys.readouterr().out
    assert "1,234,567,890" in out
    assert "9,876,543,210" in out
    assert max(map(len, out.splitlines())) < 60


def test_on_a_narrow_terminal_names_and_headings_stay_whole(monkeypatch, capsys):
    monkeypatch.setattr("sweep.commands.tables.console", lambda: Console(width=30))
    name = "is_exact_counting_worth_it-75b73cd910ef"
    rows = pl.DataFrame({"run": [name], "text": ["some words"], "lock_held_ns": [1], "error": [""]})
    write(rows, Format.table)
    lines = capsys.readouterr().out.splitlines()
    assert any(name in line for line in lines)
    (heading,) = (line.split() for line in lines if "run" in line)
    assert heading == ["run", "text", "lock_held_ns", "error"]
    assert any("ns (modelled)" in line for line in lines)
    assert [line.strip() for line in lines if "words" in line] == ["words"]


def test_on_a_narrow_terminal_no_word_is_lost(monkeypatch, capsys):
    monkeypatch.setattr("sweep.commands.tables.console", lambda: Console(width=50))
    cells = {
        "run": "is_exact_counting_worth_it-75b73cd910ef",
        "some": "words of no great length, and enough of them to fill several lines",
        "path": "/a/path/without/blanks" * 4,
        "n": 1_234_567_890_123,
    }
    write(pl.DataFrame([cells]), Format.table)
    lines = capsys.readouterr().out.splitlines()[3:]
    assert "1,234,567,890,123" in lines[0]
    assert lines[0].split()[0] == cells["run"]
    letters = sorted("".join(lines).replace(" ", ""))
    assert letters == sorted("".join(map(cell, cells.values())).replace(" ", ""))


def test_a_heading_is_broken_behind_underscores_and_keeps_its_blanks(capsys):
    write(pl.DataFrame({"n of rows": [1], "a_heading_of_some_length": [2]}), Format.table)
    out = capsys.readouterr().out
    assert "n of rows" in out
    assert [line.split()[-1] for line in out.splitlines()[1:3]] == ["a_heading_of_", "some_length"]


def test_what_is_no_number_is_null_in_json():
    rows = pl.DataFrame({"x": [1.5, float("nan"), float("inf")]})
    assert json.loads(encode(rows, Format.json)) == [{"x": 1.5}, {"x": None}, {"x": None}]
