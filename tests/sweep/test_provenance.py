"""Contract: what a run says of its code, and that asking for it never stops a run."""

import subprocess

from sweep.provenance import provenance


def test_a_git_that_does_not_answer_leaves_the_commit_out(monkeypatch):
    def silent(command, **settings):
        raise subprocess.TimeoutExpired(command, settings["timeout"])

    monkeypatch.setattr(subprocess, "run", silent)
    found = provenance.__wrapped__()
    assert found["commit"] == ""
    assert found["python"]
