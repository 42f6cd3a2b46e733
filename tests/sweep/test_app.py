"""Contract: the `sweep` command as a user types it, in a folder of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sweep.config import CONF, notes

SWEEP = Path(sys.executable).with_name("sweep")


def sweep(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SWEEP, *words], cwd=folder, capture_output=True, text=True, check=False)


def run_of(folder: Path) -> Path:
    (run,) = (folder / "results").iterdir()
    return run


def plan_of(folder: Path) -> dict[str, object]:
    plan: dict[str, object] = json.loads((run_of(folder) / "plan.json").read_text())
    return plan


def test_sweep_without_a_grid_runs_one_point_and_writes_results_only(tmp_path: Path) -> None:
    done = sweep(tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert [p.name for p in tmp_path.iterdir()] == ["results"]
    assert plan_of(tmp_path)["points"] == 1
    assert run_of(tmp_path).name.startswith("sweep-")


def test_a_multirun_is_one_run_with_one_table(tmp_path: Path) -> None:
    words = ["-m", "caches.desc_capacity=range(513,516)", "policy=kernel,opportunistic"]
    done = sweep(tmp_path, *words, "workload.memslot_gib=1", "backend=inline")
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["results"]
    plan = plan_of(tmp_path)
    assert plan["points"] == 6
    assert plan["overrides"] == [*words[1:], "workload.memslot_gib=1", "backend=inline"]
    assert "sweep -m 'caches.desc_capacity=range(513,516)'" in str(plan["resume"])


def test_an_experiment_runs_its_grid_under_its_name(tmp_path: Path) -> None:
    thin = ["workload.memslot_gib=1", "workload.alias_ratio=0.1", "caller.clear_chunk_gib=1"]
    done = sweep(tmp_path, "experiment=clear_chunks", "backend=inline", *thin)
    assert done.returncode == 0, done.stderr
    assert run_of(tmp_path).name.startswith("clear_chunks-")
    assert plan_of(tmp_path)["points"] == 2 * 3


def test_experiments_that_are_swept_together_name_their_run_together(tmp_path: Path) -> None:
    done = sweep(tmp_path, "-m", "experiment=clear_chunks,starvation", "dry_run=true")
    assert "/clear_chunks+starvation-" in (done.stdout + done.stderr).replace("\n", "")


def test_a_run_keeps_what_its_presets_say_of_themselves(tmp_path: Path) -> None:
    sweep(tmp_path, "workload=hyperv_vbs", "workload.memslot_gib=1")
    config = plan_of(tmp_path)["config"]
    assert isinstance(config, dict)
    assert config["workload"]["alias_ratio"] == 0.6
    assert "[assumption]" in config["notes"]["workload=hyperv_vbs"]["alias_ratio"]
    assert "TLFS" in config["notes"]["workload=hyperv_vbs"][""]


def test_a_dry_run_tells_its_size_and_writes_nothing(tmp_path: Path) -> None:
    done = sweep(tmp_path, "experiment=clear_chunks", "dry_run=true")
    assert (done.returncode, list(tmp_path.iterdir())) == (0, [])
    assert "324 points" in done.stdout + done.stderr


REFUSED = {
    ("caches.desc_capacty=1",): ("Did you mean caches.desc_capacity?", "desc_min"),
    ("-m", "caches.desc_capacty=1,2"): ("Did you mean caches.desc_capacity?", "desc_min"),
    ("wrkload=uniform",): ("Did you mean workload?", "Groups:"),
    ("workload=kata_flet",): ("Did you mean kata_fleet?", "wsl2_dev"),
    ("-m", "workload=kata_flet,uniform"): ("Did you mean kata_fleet?", "wsl2_dev"),
    ("experiment=seed_qestion",): ("Did you mean seed_question?", "fleet_bytes"),
    ("workload.alias_ratio=1.01",): ("workload.alias_ratio=1.01", "between 0 and 1"),
    ("workload.memslot_gib=1.001",): ("workload.memslot_gib=1.001", "2 MiB huge pages"),
    ("caches.desc_capacity=512",): ("desc_capacity=512", "desc_min=513", "Mainline"),
    ("workload.alias_degree=1001",): ("alias_degree=1001", "RMAP_RECYCLE_THRESHOLD"),
    ("policy.policy=kernl",): ("policy.policy='kernl'", "Did you mean kernel?"),
    ("caches.desc_capacity=many",): ("many", "Integer"),
    ("engine=fast",): ("fast", "auto, reference, expected"),
    ("caller.rounds=1,2",): ("--multirun",),
    ("-m", "workload.alias_ratio=0,1.5"): ("workload.alias_ratio=1.5", "It is a share"),
    ("-m", "workload.seed=range(4,4)"): ("workload.seed=range(4,4,1)", "at least one value"),
    ("-m", "backend=inline,ray_local"): ("backend", "no axis"),
    ("-m", "workload.seed=range(0,9,0.5)"): ("workload.seed", "whole number"),
    ("workload=trace",): ("workload.path must name the file",),
    ("--no-such-option",): ("unrecognized arguments: --no-such-option",),
    ("backend.shard_points=-5",): ("backend.shard_points=-5", "at least 1", "null"),
    ("++backend.shard_points=0",): ("backend.shard_points=0", "at least 1", "null"),
    ("backend={kind: inline, shard_points: -5}",): ("backend.shard_points=-5", "at least 1"),
    ("-m", "workload.seed=1,2", "backend.shard_points=-5"): ("backend.shard_points=-5",),
    ("dry_run=true", "backend.shard_points=-5"): ("backend.shard_points=-5",),
    ("-m", "backend.shard_points=1,2"): ("backend.shard_points", "no axis"),
    ("backend.shrd_points=5",): ("Did you mean backend.shard_points?", "deadline_s"),
    ("+backend.threads=5",): ("backend.threads", "num_cpus"),
    ("backend=ray_local", "backend.num_cpus=0"): ("backend.num_cpus=0", "between 1 and 8192"),
    ("backend=ray_local", "backend.num_cpus=-1"): ("backend.num_cpus=-1", "null"),
    ("backend=ray_cluster", "backend.num_cpus=2"): ("backend.num_cpus=2", "every CPU"),
    ("backend=ray_local", "backend.address=head:6379"): (
        "backend.address=head:6379",
        "ray_cluster",
    ),
    ("backend.deadline_s=-1",): ("backend.deadline_s=-1", "above 0"),
    ("backend.deadline_s=0",): ("backend.deadline_s=0", "above 0"),
    ("backend.deadline_s=nan",): ("backend.deadline_s=nan", "above 0"),
    ("backend.deadline_s=inf",): ("backend.deadline_s=inf", "900"),
    ("backend.kind=slurm",): ("backend.kind=slurm", "auto, inline, ray_local, ray_cluster"),
    ("backend=ray_cluster",): ("no address", "backend.address=host:port"),
    ("backend=ray_cluster", "backend.address=head"): ("head", "host:port"),
    ("backend=ray_cluster", "backend.address=127.0.0.1:99999"): ("99999", "host:port"),
    ("backend=ray_cluster", "backend.address=http://head:8265"): ("http://head:8265", "ray job"),
    ("backend=ray_cluster", "backend.address=127.0.0.1:1"): ("no Ray cluster answers",),
    ("backend=null",): ("backend=null", "inline, ray_cluster"),
    ("workload=null",): ("workload=null", "kata_fleet"),
    ("policy=3",): ("policy=3: 3 is no option", "policy has exact_demand"),
    ("-m", "workload.seed=1,2", "backend=nan"): ("backend=nan: nan is no option", "ray_local"),
    ("workload=NULL",): ("workload=NULL: null is no option", "kata_fleet"),
    ("--cfg", "job", "-m", "workload.seed=1,2"): ("Only one of --run, --multirun, --cfg",),
    ("experiment=null",): ("experiment=null", "seed_question"),
    ("results_dir=",): ("results_dir=", "results_dir=."),
    ("results_dir=' '",): ("results_dir=", "results_dir=."),
    ("results_dir=s3://",): ("results_dir=s3://", "s3://bucket/prefix"),
    ("results_dir=s3:/bucket/x",): ("results_dir=s3:/bucket/x", "s3://bucket/prefix"),
    ("results_dir=s3://a/b?region=c",): ("region=c", "only in quotes"),
    ("results_dir=foo://x",): ("foo://x", "Unrecognized filesystem"),
    ("name=",): ("run name ''", "letters"),
    ("name=a/b",): ("run name 'a/b'", "letters"),
    ("engine=",): ("engine", "auto, reference"),
    ("-m", "hydra/sweeper=basic", "workload.seed=1,2"): ("BasicSweeper", "hydra/sweeper"),
    ("-m", "hydra/sweeper=null", "workload.seed=1,2"): ("hydra/sweeper=null", "splitsweep"),
    ("-m", "hydra.launcher._target_=a.JoblibLauncher"): ("a.JoblibLauncher", "backend="),
    ("hydra.mode=MULTIRUN", "hydra/sweeper=basic"): ("BasicSweeper", "hydra/sweeper"),
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_a_bad_command_line_ends_with_2_and_says_what_where_and_which_exist(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = sweep(tmp_path, *words)
    assert [part for part in REFUSED[words] if part not in done.stderr] == []
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("group", "lines", "part"),
    [
        ("backend", "defaults: [auto]\nshard_points: -5", "backend.shard_points=-5"),
        ("backend", "defaults: [auto]\nnum_cpus: 0", "backend.num_cpus=0"),
        ("backend", "defaults: [auto]\ndeadline_s: .nan", "backend.deadline_s=nan"),
        ("backend", "defaults: [auto]\nkind: null", "kind"),
        ("backend", "defaults: [auto]\nthreads: 4", "threads"),
        ("experiment", "# @package _global_\nresults_dir: ''", "results_dir="),
        ("experiment", '# @package _global_\nresults_dir: "a\\0b"', "results_dir="),
        ("experiment", "# @package _global_\nbackend: {shard_points: 0}", "backend.shard_points=0"),
        ("experiment", "# @package _global_\ngrid: {backend.shard_points: [1, 2]}", "no axis"),
    ],
)
def test_a_bad_setting_in_a_file_is_refused_as_on_the_command_line(
    tmp_path: Path, group: str, lines: str, part: str
) -> None:
    (tmp_path / "own" / group).mkdir(parents=True)
    (tmp_path / "own" / group / "mine.yaml").write_text(f"{lines}\n")
    done = sweep(tmp_path, "-m", "--config-dir=own", f"{group}=mine", "workload.seed=1,2")
    assert part in done.stderr
    assert (done.returncode, [p.name for p in tmp_path.iterdir()]) == (2, ["own"])
    assert "Traceback" not in done.stderr


def test_a_config_of_ones_own_with_another_sweeper_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    lines = "defaults: [config, {override hydra/sweeper: basic}]\n"
    (tmp_path / "own" / "mine.yaml").write_text(lines)
    words = ("--config-dir=own", "--config-name=mine", "-m", "workload.seed=1,2")
    done = sweep(tmp_path, *words)
    assert "hydra/sweeper is hydra._internal.core_plugins.basic_sweeper.BasicS" in done.stderr
    assert (done.returncode, [p.name for p in tmp_path.iterdir()]) == (2, ["own"])


def test_no_option_is_suggested_where_all_are_right(tmp_path: Path) -> None:
    done = sweep(tmp_path, "backend=inline", "backend.shard_points=1.5")
    assert (done.returncode, "Did you mean" in done.stderr) == (2, False)
    assert "backend.shard_points" in done.stderr


def test_help_names_groups_options_and_an_example(tmp_path: Path) -> None:
    done = sweep(tmp_path, "--help")
    parts = (
        "workload: ",
        "kata_fleet",
        "experiment: ",
        "desc_capacity: 553",
        "sweep -m",
        "dry_run",
    )
    assert (done.returncode, [part for part in parts if part not in done.stdout]) == (0, [])


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--cfg", "job", "caches=doubled"), "desc_capacity: 1026"),
        (("--cfg", "hydra"), "hydra_plugins.splitsweep.GridSweeper"),
        (("--info", "defaults-tree"), "policy: kernel"),
        (("--hydra-help",), "--multirun"),
    ],
)
def test_hydras_own_flags_work(tmp_path: Path, words: tuple[str, ...], part: str) -> None:
    done = sweep(tmp_path, *words)
    assert (done.returncode, part in done.stdout + done.stderr) == (0, True)
    assert list(tmp_path.iterdir()) == []


def test_tab_completes_groups_options_and_leaves(tmp_path: Path) -> None:
    def completed(line: str) -> list[str]:
        command = [SWEEP, "--shell-completion", "query=bash"]
        env = {"COMP_LINE": f"sweep {line}", "PATH": str(SWEEP.parent)}
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert completed("workload=ka") == ["workload=kata_fleet"]
    assert "caches.desc_capacity=" in completed("caches.desc_")
    assert "experiment=seed_question" in completed("experiment=se")


def test_help_and_refusals_load_no_heavy_library() -> None:
    script = (
        "import sys; from sweep.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'ray', 'numba', 'pyarrow', 'polars', 'altair', 'pandas', 'rich'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    for words in (["--help"], ["-m", "caller.rounds=1,1"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "loaded: []"


def test_a_one_point_sweep_loads_no_compiler_and_no_library_that_it_does_not_need(tmp_path) -> None:
    script = (
        "import sys; from sweep.app import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code)\n"
        "heavy = {'ray', 'numba', 'polars', 'altair', 'pandas', 'rich', 'pyarrow.compute'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script, "backend=inline", "workload.memslot_gib=64"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0", "loaded: []"]
    assert len(list(tmp_path.glob("results/sweep-*/shard-*.parquet"))) == 1


def test_every_preset_says_where_its_numbers_come_from() -> None:
    for path in sorted((CONF / "workload").glob("*.yaml")):
        said = notes("workload", path.stem)
        assert len(said[""]) > 80, path
        values = {k: v for k, v in said.items() if k}
        marks = ("[verified]", "[derived]", "[assumption]")
        assert path.stem in ("uniform", "trace", "rmap_histogram") or any(
            mark in comment for comment in values.values() for mark in marks
        ), path


def test_every_experiment_is_a_question_with_the_command_that_answers_it() -> None:
    for path in sorted((CONF / "experiment").glob("*.yaml")):
        package, question, run, *_ = path.read_text().splitlines()
        assert package == "# @package _global_"
        assert question.startswith("# Question: ")
        assert question.endswith("?")
        assert run == f"# Run:      sweep experiment={path.stem}"


@pytest.mark.parametrize(
    ("words", "points"),
    [
        (("caches.desc_capacity=range(513,600,step=40)",), 3),
        (("caches.desc_capacity=sort(553,513,reverse=true)",), 2),
        (("kernel=glob(*,exclude=x)",), 3),
        (("caches.desc_capacity=513,553", "results_dir='a?b=c'"), 2),
    ],
)
def test_an_equals_sign_that_hydra_reads_is_not_refused(
    tmp_path: Path, words: tuple[str, ...], points: int
) -> None:
    done = sweep(tmp_path, "-m", *words, "dry_run=true")
    assert f"{points} points" in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("words", [["workload.seed=1"], ["-m", "workload.seed=1,2"]])
def test_a_value_error_of_ours_is_no_refusal(tmp_path: Path, words: list[str]) -> None:
    broken = (
        "import sys, sweep.app, sweep.sweeper\n"
        "sweep.sweeper.Sweep = lambda *_: int('a defect')\n"
        f"sys.argv = ['sweep', *{words}]\n"
        "sweep.app.main()"
    )
    command = [sys.executable, "-c", broken]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
