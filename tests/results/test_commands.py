"""Contract: the `sweep-results` command line: what it prints, and how it ends."""

import io
import json
import os
import subprocess
import sys

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sweep.commands.main import main
from sweep.plan import Plan, Segment
from sweep.results.runs import open_run
from sweep.store import PLAN, Store

AXES = {"alias_ratio": (0.0, 0.1), "desc_capacity": (513, 553)}
OUTCOMES = {
    "nr_lock_drops": [13, 13, 60, 20],
    "nr_sp_created": [512] * 4,
    "standing_bytes": [241_608, 247_048] * 2,
    "full_bytes": [241_608, 247_048] * 2,
}


@pytest.fixture
def cli(run_dir, monkeypatch, capfdbinary):
    """Runs `sweep-results ARGS...` on a results folder of its own: (exit code, output, errors)."""
    monkeypatch.setenv("SWEEP_RESULTS_DIR", str(run_dir.folder))

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["sweep-results", *args])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfdbinary.readouterr()
        return int(end.value.code or 0), out, err.decode()

    return call


@pytest.fixture
def run(run_dir):
    return run_dir(AXES, OUTCOMES)


def test_help_loads_neither_ray_nor_numba_nor_polars():
    script = (
        "import sys; from sweep.commands.main import main\n"
        "sys.argv = ['sweep-results', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'ray', 'numba', 'polars', 'pyarrow', 'altair'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    assert "compare" in done.stdout


@pytest.mark.parametrize(
    "command", ["ls", "show", "answer", "sql", "best", "compare", "explain", "report"]
)
def test_every_command_explains_itself_with_an_example(cli, command):
    code, out, _ = cli(command, "--help")
    assert code == 0
    assert f"Example:  sweep-results {command}" in " ".join(out.decode().split()).replace(
        "Example: ", "Example:  "
    )


def test_without_a_command_it_shows_recent_runs_and_what_to_do_next(cli, run):
    code, out, _ = cli()
    assert code == 0
    assert run in out.decode()
    # Only one run begins so: the start of its name will do.
    assert "sweep-results report literal -o report.html" in out.decode()


def test_what_to_do_next_names_a_run_in_full_if_others_begin_as_it_does(cli, run_dir, run):
    run_dir(AXES | {"desc_capacity": (513, 1026)}, OUTCOMES)
    newest = json.loads(cli("ls", "--format", "json")[1])[0]["run"]
    assert f"sweep-results show {newest} " in cli()[1].decode()


def test_the_folder_may_be_said_before_the_command_or_after_it(cli, run_dir, run, tmp_path):
    name = run_dir.folder / run
    (tmp_path / "elsewhere").mkdir()
    moved = (name.parent / name.name).rename(tmp_path / "elsewhere" / name.name)
    for words in (
        ("--results-dir", str(moved.parent), "ls"),
        ("ls", "--results-dir", str(moved.parent)),
    ):
        code, out, _ = cli(*words)
        assert code == 0
        assert name.name.encode() in out


def test_without_any_run_it_says_how_to_make_one(cli):
    code, out, _ = cli()
    assert code == 0
    assert "sweep experiment=seed_question" in out.decode()


def test_all_formats_hold_the_same_rows(cli, run):
    query = "SELECT point, nr_lock_drops FROM results ORDER BY point"
    want = pl.DataFrame({"point": [0, 1, 2, 3], "nr_lock_drops": [13, 13, 60, 20]})
    csv, parquet, as_json = (cli("sql", run, query, "-f", f)[1] for f in ("csv", "parquet", "json"))
    assert_frame_equal(pl.read_csv(csv), want)
    assert_frame_equal(pl.read_parquet(io.BytesIO(parquet)), want)
    assert json.loads(as_json) == want.to_dicts()


def test_tables_print_units(cli, run):
    out = cli("sql", run, "SELECT memslot_gib, nr_lock_drops FROM results")[1].decode()
    head = out.splitlines()[1:3]
    assert head[0].split() == ["memslot_gib", "nr_lock_drops"]
    assert head[1].split() == ["GiB", "drops"]


def test_show_says_which_settings_are_assumptions(cli, run):
    out = cli("show", run)[1].decode()
    (line,) = (line for line in out.splitlines() if line.split()[:1] == ["desc_alloc_ns"])
    assert line.split()[1:4] == ["75", "ns", "assumption"]
    assert "0, 0.1" in out


def test_show_has_as_many_rows_as_it_is_asked_for_and_all_of_them_for_0(cli, run):
    for limit, want in (("1", ["0"]), ("0", ["0", "1", "2", "3"])):
        code, out, _ = cli("show", run, "--limit", limit)
        rows = out.decode().partition("First rows")[2].splitlines()
        assert code == 0
        assert [line.split()[0] for line in rows if line.strip()[:1].isdigit()] == want


def test_sql_sees_all_the_runs_it_names_and_tells_them_apart(cli, run_dir, run):
    other = run_dir(AXES, OUTCOMES, name="other")
    query = "SELECT run, count(*) AS n FROM results GROUP BY run ORDER BY run"
    rows = json.loads(cli("sql", run, other, query, "-f", "json")[1])
    assert rows == [{"run": run, "n": 4}, {"run": other, "n": 4}]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM \"read_parquet\"/**/('x')",
        "SELECT * FROM READ_JSON ('x')",
        "DROP TABLE results",
        "CREATE TABLE t AS SELECT * FROM results",
        "TRUNCATE TABLE results",
        "DELETE FROM results",
        "SELECT 1 FROM results; SELECT 2 FROM results",
        "SELECT * FROM SCHEMA",
        "",
    ],
)
def test_sql_that_does_more_than_read_the_named_runs_is_refused(cli, run, query):
    code, out, err = cli("sql", run, query)
    assert (code, out) == (2, b"")
    assert err.startswith("sweep-results: ")


def test_a_misspelt_column_is_answered_with_the_nearest(cli, run):
    code, _, err = cli("sql", run, "SELECT nr_lock_drop FROM results")
    assert code == 2
    assert "Did you mean nr_lock_drops?" in err
    code, _, err = cli("best", run, "--minimize", "nr_lok_drops")
    assert code == 2
    assert "Did you mean nr_lock_drops?" in err


@pytest.mark.parametrize("name", ["..", "../literal", "a/../../b", "./x", ".", "sub/run"])
def test_a_name_cannot_leave_the_results_folder(cli, run, name):
    code, _, err = cli("show", name)
    assert code == 2
    assert "a run is a folder directly in" in err


def test_a_whole_path_names_a_run_anywhere(cli, run_dir, run, monkeypatch):
    monkeypatch.setenv("SWEEP_RESULTS_DIR", "/nonexistent")
    assert cli("show", f"{run_dir.folder}/{run}")[0] == 0


def test_an_unknown_run_is_answered_with_the_nearest_and_what_there_is(cli, run):
    code, _, err = cli("show", "litral")
    assert code == 2
    assert "Did you mean literal?" in err
    assert run in err


def test_the_start_of_a_name_will_do_unless_several_begin_so(cli, run_dir, run):
    assert cli("show", "lit")[0] == 0
    other = run_dir({"desc_capacity": (553,)}, {"nr_lock_drops": [1]})
    code, _, err = cli("show", "literal")
    assert code == 2
    assert run in err
    assert other in err


def test_an_unfinished_run_is_read_and_said_to_be_one(cli, run_dir):
    name = run_dir(AXES, OUTCOMES, finished=False)
    code, out, err = cli("sql", name, "SELECT count(*) AS n FROM results", "-f", "csv")
    assert (code, out) == (0, b"n\n4\n")
    assert "has not finished" in err


def test_a_torn_shard_is_one_clear_message(cli, run_dir, run):
    store = open_run(f"{run_dir.folder}/{run}").store
    (shard,) = run_dir.folder.joinpath(run).glob("*.parquet")
    store.put(shard.name, shard.read_bytes()[:-100])
    code, _, err = cli("sql", run, "SELECT count(nr_lock_drops) FROM results")
    assert code == 2
    assert "A file is torn: `sweep-results verify RUN` names it." in err


@pytest.mark.parametrize("query", ["SELECT FROM WHERE", "SELECT nope(point) FROM results"])
def test_sql_that_is_wrong_is_not_taken_for_a_torn_file(cli, run, query):
    code, _, err = cli("sql", run, query)
    assert code == 2
    assert "verify" not in err


def test_what_a_plan_contains_cannot_command_the_terminal(cli, run_dir):
    grid = json.loads((run_dir.folder / run_dir(AXES, OUTCOMES) / PLAN).read_text())["grid"]
    notes = {"experiment=x": {"": "Question: \x1b[2J\x9b31m\u202e what?"}}
    plan = Plan("evil", 4, grid, (Segment(0, 4, 4),), config={"notes": notes})
    store = Store.open(str(run_dir.folder), plan.run_name)
    store.create()
    store.put(PLAN, plan.to_json().encode())
    _, out, _ = cli("show", plan.run_name)
    assert "\\x1b[2J\\x9b31m\\u202e what?" in out.decode()
    assert b"\x1b" not in out


@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"points": 4, "grid": {}}', "\xff"])
def test_a_plan_that_is_none_of_ours_is_refused_and_other_runs_are_read(cli, run_dir, run, text):
    folder = run_dir.folder / "foo-1"
    folder.mkdir()
    (folder / PLAN).write_text(text, "latin-1")
    for words in (("show", "foo"), ("answer", "foo-1"), ("sql", "foo", "SELECT 1"),
                  ("explain", "foo", "--point", "0"), ("status", "foo"), ("verify", "foo"),
                  ("report", "foo"), ("compare", run, "foo"), ("show", str(folder))):  # fmt: skip
        code, out, err = cli(*words)
        assert (code, out) == (2, b""), words
        assert f"{folder}/{PLAN} is not a plan of this version of sweep" in err
    rows = json.loads(cli("ls", "--format", "json")[1])
    assert [(row["run"], row["nr_points"]) for row in rows] == [(run, 4), ("foo-1", None)]
    assert rows[1]["state"] == "its plan.json cannot be read"
    assert cli("show", run)[0] == 0


def test_a_plan_that_was_changed_is_refused_by_every_command(cli, run_dir, run):
    plan = run_dir.folder / run / PLAN
    plan.write_text(plan.read_text().replace('"points": 4', '"points": 3'))
    code, _, err = cli("show", run)
    assert code == 2
    assert "was changed after it was written" in err


def test_best_recommends_and_names_the_regret_of_the_others(cli, run):
    rows = json.loads(cli("best", run, "--table", "alternatives", "-f", "json")[1])
    assert [(r["alias_ratio"], r["desc_capacity"], r["regret"]) for r in rows] == [
        (0.0, 513, 0.0),
        (0.0, 553, 0.0),
        (0.1, 553, 0.0),
        (0.1, 513, 40.0),
    ]
    (row,) = json.loads(cli("best", run, "--by", "seed", "-f", "json")[1])
    assert (row["desc_capacity"], row["nr_lock_drops"]) == (553, 16.5)


def test_best_shows_the_bounds_beside_every_alternative(cli, run_dir):
    # 512 shadow pages by 40 at a time: 13 drops whatever the descriptors. The optimum for 553 is
    # what its exact_opportunistic row reaches.
    drops = {"nr_lock_drops": [60, 15, 20, 14], "nr_sp_created": [512] * 4}
    axes = {"desc_capacity": (513, 553), "policy": ("kernel", "exact_opportunistic")}
    code, out, _ = cli("best", run_dir(axes, drops), "--format", "json", "--table", "alternatives")
    assert code == 0
    found = {
        (row["desc_capacity"], row["policy"]): [
            row[f"{b}_drops"] for b in ("unbounded", "floor", "optimum")
        ]
        for row in json.loads(out)
    }
    assert found[553, "kernel"] == [1, 13, 14]
    assert found[513, "kernel"] == [1, 13, 15]


def test_best_keeps_a_limit_or_says_what_is_wrong_with_it(cli, run):
    limit = "standing_bytes<=236KiB"
    (row,) = json.loads(cli("best", run, "--by", "seed", "--within", limit, "-f", "json")[1])
    assert row["desc_capacity"] == 513
    code, _, err = cli("best", run, "--within", "standing_bytes<=236ms")
    assert code == 2
    assert "KiB" in err
    code, _, err = cli("best", run, "--within", "nr_lock_drops<=1.2.3")
    assert code == 2
    assert "write COLUMN<=NUMBER[UNIT]" in err


def test_a_fleet_gets_one_answer_for_its_mix(cli, run, tmp_path):
    mix = tmp_path / "mix.csv"
    mix.write_text("alias_ratio,share\n0,9\n0.1,1\n")
    (row,) = json.loads(cli("best", run, "--weights", str(mix), "-f", "json")[1])
    # 0.9 * 13 + 0.1 * 20 = 13.7 lock drops a VM with 553.
    assert row["desc_capacity"] == 553
    assert row["nr_lock_drops_per_million_vms"] == pytest.approx(13.7e6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alias_ratio\n0\n", "share, a number"),
        ("alias_rato,share\n0,1\n", "give parameters"),
        ("alias_ratio,share\n0,-1\n", "not negative"),
        ("alias_ratio,share\n0,1\n0,2\n", "comes twice"),
        ("alias_ratio,share\n0.5,1\n", "no rows of {'alias_ratio': 0.5}"),
        ("alias_ratio,share\n0,nan\n", "not negative"),
        ("alias_ratio,share\n0,some\n", "mix.csv: conversion from `str` to `f64` failed"),
        ("alias_ratio,share\n0,1,2\n", "mix.csv: found more fields"),
        ("", "mix.csv: empty CSV"),
    ],
)
def test_a_mix_that_says_nothing_is_refused(cli, run, tmp_path, text, message):
    mix = tmp_path / "mix.csv"
    mix.write_text(text)
    code, _, err = cli("best", run, "--weights", str(mix))
    assert code == 2
    assert message in err
    assert "verify" not in err


def test_compare_ends_with_1_if_anything_differs_and_with_0_if_not(cli, run_dir, run):
    assert cli("compare", run, run)[0] == 0
    policy = {"policy": "opportunistic"}
    drops = {"nr_lock_drops": [13, 13, 61, 20]}
    other = run_dir(AXES, OUTCOMES | drops, name="other", fixed=policy)
    code, out, _ = cli("compare", run, other, "--table", "changes", "-f", "json")
    assert code == 1
    (change,) = json.loads(out)
    assert (change["kind"], change["desc_capacity"], change["change"]) == ("regression", 513, 1)
    assert cli("compare", run, other, "--tolerance", "0.02")[0] == 0


def test_the_answer_of_a_run_without_a_question_is_refused_with_what_to_do(cli, run):
    code, _, err = cli("answer", run)
    assert code == 2
    assert "sweep-results best" in err


def test_the_answer_of_an_experiment_can_be_told_again(cli, run_dir):
    axes = {"alias_ratio": (0.0,), "desc_capacity": (513, 553, 1026)}
    name = run_dir(axes, {"nr_lock_drops": [13] * 3, "nr_sp_created": [512] * 3}, "seed_question")
    code, out, _ = cli("answer", name)
    assert code == 0
    assert "Capacity is irrelevant" in out.decode()


def test_explain_replays_a_point_to_the_lock_drops_that_its_row_counts(cli, run_dir):
    # 1 GiB, nothing aliased: 512 splits, a page top-up before every 40th: 13 lock drops.
    name = run_dir({"memslot_gib": (1.0,)}, {"nr_lock_drops": [13]})
    code, out, _ = cli("explain", name, "--point", "0", "--csv")
    assert code == 0
    attempts = pl.read_csv(out)
    drops = attempts.filter(pl.col("result") == -11)
    assert attempts.height == 512 + 13
    assert drops["cause"].to_list() == ["both"] + ["page"] * 12
    assert drops["split"].to_list() == list(range(0, 512, 40))
    _, out, _ = cli("explain", name, "--point", "0")
    assert "512 splits in 525 attempts; 13 lock drops (1 for both, 12 for page)." in out.decode()


def test_explain_refuses_a_point_that_the_run_lacks(cli, run):
    code, _, err = cli("explain", run, "--point", "4")
    assert code == 2
    assert "its points are 0 to 3" in err


def test_the_shell_completes_the_names_of_runs(run_dir, run):
    environment = {
        **os.environ,
        "SWEEP_RESULTS_DIR": str(run_dir.folder),
        "_SWEEP_RESULTS_COMPLETE": "complete_bash",
        "COMP_WORDS": "sweep-results show li",
        "COMP_CWORD": "2",
    }
    script = (
        "import sys; from sweep.commands.main import main; sys.argv = ['sweep-results']; main()"
    )
    command = [sys.executable, "-c", script]
    assert subprocess.check_output(command, env=environment, text=True).split() == [run]
