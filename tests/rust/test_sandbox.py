"""One untrusted program under limits, with shell commands standing in for it."""

import os
import sys
import time
from pathlib import Path

import pytest

from nbcore.rust import sandbox

LIMITS = {"cpu_s": 1, "wall_s": 5, "mem_mb": 256, "file_mb": 1, "output_kb": 16}


def run(script, tmp_path, **changes):
    return sandbox.run(["/bin/sh", "-c", script], cwd=tmp_path, env={}, **{**LIMITS, **changes})


def test_exit_code_output_and_times(tmp_path):
    done = run("echo out; echo err >&2; exit 3", tmp_path)
    assert (done.code, done.signal, done.timeout, done.over) == (3, None, None, False)
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    assert 0 < done.cpu_ms < 1000 and done.wall_ms > 0


def test_stdin_is_given_or_empty(tmp_path):
    assert run("cat", tmp_path, stdin=b"x" * 200_000, output_kb=400).stdout == b"x" * 200_000
    assert run("cat", tmp_path).stdout == b""


def test_environment_is_exactly_what_was_given(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret-token")
    done = sandbox.run(["/usr/bin/env"], cwd=tmp_path, env={"ONLY": "this"}, **LIMITS)
    assert done.stdout == b"ONLY=this\n"


def test_cpu_limit(tmp_path):
    done = run("while :; do :; done", tmp_path)
    assert done.timeout == "cpu" and not done.starved and done.cpu_ms >= 900


def test_cpu_limit_holds_when_the_warning_signal_is_ignored(tmp_path):
    done = run("trap '' XCPU; while :; do :; done", tmp_path)
    assert done.timeout == "cpu" and done.cpu_ms >= 1000


def test_wall_limit_of_a_sleeper_is_its_own_fault(tmp_path):
    done = run("sleep 30", tmp_path, wall_s=0.3)
    assert done.timeout == "wall" and not done.starved and done.wall_ms < 3000


def test_wall_limit_of_a_program_that_wants_the_processor_is_ours(tmp_path):
    done = run("while :; do :; done", tmp_path, wall_s=0.2, cpu_s=4)
    assert done.timeout == "wall" and done.starved


def test_output_is_capped_and_drained(tmp_path):
    done = run("head -c 3000000 /dev/zero; exit 4", tmp_path)
    assert done.over and done.code == 4 and len(done.stdout) == 16 << 10


def test_a_flood_is_ended(tmp_path):
    done = run("yes", tmp_path, kill_over=True)
    assert done.over and done.timeout is None and done.wall_ms < 3000


def test_file_size_limit(tmp_path):
    done = run("exec head -c 3000000 /dev/zero > big", tmp_path)
    assert done.code != 0 and (tmp_path / "big").stat().st_size <= 1 << 20


def test_memory_limit(tmp_path):
    script = "bytearray(1 << 29)"
    done = sandbox.run([sys.executable, "-c", script], cwd=tmp_path, env={}, **LIMITS)
    assert done.code == 1 and b"MemoryError" in done.stderr


@pytest.mark.parametrize("wall_s", [5, 0.3])
def test_the_process_group_dies_with_its_leader(tmp_path, wall_s):
    end = "sleep 30" if wall_s < 1 else "exit 0"
    done = run(f"sleep 300 & echo $!; {end}", tmp_path, wall_s=wall_s)
    child = int(done.stdout)
    for _ in range(50):  # its new parent reaps it in its own time
        if not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text():
            break
        time.sleep(0.02)
    else:
        pytest.fail("the sleeping child outlived the sample")
    assert done.wall_ms < 3000


def test_no_descriptor_is_left_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        run("true", tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_missing_launcher_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match="util-linux"):
        sandbox._launcher.__wrapped__()
