"""One untrusted program under limits, with shell commands standing in for it: the jail's limits and nothing else."""

import contextlib
import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbcore.grading.rust import compiler
from nbcore.grading.sandbox import jail, supervisor

MB = 1 << 20


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A jail of limits alone: its programs can be shells."""
    return jail.build(tmp_path_factory.mktemp("jail"), compiler.find(), ())


@pytest.fixture
def run(bare, tmp_path):
    def of(script, cpu_s=1, wall_s=5, output_kb=16, program=("/bin/sh", "-c"), env=None, **more):
        limits = {"cpu": cpu_s, "as": 256 * MB, "fsize": MB, "cwd": str(tmp_path)}
        call = bare.candidate(Path(program[0]), [*program[1:], script], limits, None)
        return supervisor.run(call, env=env or {}, cpu_s=cpu_s, wall_s=wall_s, output_kb=output_kb, **more)

    return of


def test_exit_code_output_and_times(run):
    done = run("echo out; echo err >&2; exit 3")
    assert (done.code, done.signal, done.timeout, done.over) == (3, None, None, False)
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")
    assert 0 < done.cpu_ms < 1000 and done.wall_ms > 0


def test_stdin_is_given_or_empty(run):
    assert run("cat", stdin=b"x" * 200_000, output_kb=400).stdout == b"x" * 200_000
    assert run("cat").stdout == b""


def test_environment_is_exactly_what_was_given(run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret-token")
    assert b"HF_TOKEN" not in run("/usr/bin/env", env={"ONLY": "this"}).stdout
    assert b"ONLY=this" in run("/usr/bin/env", env={"ONLY": "this"}).stdout


def test_cpu_limit(run):
    done = run("while :; do :; done", wall_s=60)  # where others are at work, a second of the processor takes many
    # The kernel warns by its ticks, which beside other programs run ahead of the time that it accounts for.
    assert done.timeout == "cpu" and not done.starved and done.cpu_ms >= 750


def test_cpu_limit_holds_when_the_warning_signal_is_ignored(run):
    done = run("trap '' XCPU; while :; do :; done", wall_s=60)
    assert done.timeout == "cpu" and done.cpu_ms >= 1000


def test_wall_limit_of_a_sleeper_is_its_own_fault(run):
    done = run("sleep 30", wall_s=0.3)
    assert done.timeout == "wall" and not done.starved and done.wall_ms < 3000


@contextlib.contextmanager
def busy_machine(count):
    """Programs that take the processors away from the others, each in a session of its own: where the kernel shares
    processors among sessions first, all of them together would get no more than the one they are to starve."""
    spin = ["sh", "-c", "while :; do :; done"]
    spinning = [subprocess.Popen(spin, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for one in spinning:
            one.kill()
            one.wait()


STEPPING = """import threading, time
gate = threading.Barrier(20)
threading.stack_size(1 << 18)
def step():
    while True:
        gate.wait(); time.sleep(0.0015)
for _ in range(20): threading.Thread(target=step, daemon=True).start()
time.sleep(60)"""


@pytest.mark.parametrize("processors", ["all", "one"])
def test_wall_limit_of_a_program_that_had_no_processor_is_ours(run, processors):
    """And only then: what no program can bring about is that others are busy. Where this process may use one of two
    processors only (taskset, a container), the other's idle time was counted, and nothing was ever starved."""
    all_of_them = os.sched_getaffinity(0)
    if processors == "one":
        os.sched_setaffinity(0, {min(all_of_them)})
    try:
        with busy_machine(4 * len(os.sched_getaffinity(0))):
            done = run("while :; do :; done", wall_s=1, cpu_s=4)
            assert done.timeout == "wall" and done.starved
            stepping = run(STEPPING, wall_s=3, cpu_s=4, program=(sys.executable, "-c"))
            assert stepping.timeout == "wall" and not stepping.starved
    finally:
        os.sched_setaffinity(0, all_of_them)


def test_nothing_on_the_way_can_be_opened_again(run):
    """The hidden tests are on a compiler's stdin: `include_str!("/dev/stdin")` must not read them."""
    names = "/dev/stdin /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"
    script = f"for name in {names}; do head -c 9 < $name 2>/dev/null && echo opened $name; done; cat | wc -c"
    done = run(script, stdin=b"x" * 400_000, sockets=True)
    assert done.stdout.split() == [b"400000"]
    again = run("head -c 9 < /proc/self/fd/0", stdin=b"x" * 400_000)
    assert again.stdout == b"x" * 9  # else this shows nothing
    assert run("exit 3", stdin=b"x" * 400_000, sockets=True).code == 3


def test_more_may_be_printed_than_said(run):
    done = run("head -c 30000 /dev/zero", stdout_kb=64, kill_over=True)
    assert not done.over and len(done.stdout) == 30000
    assert run("head -c 30000 /dev/zero >&2", stdout_kb=64, kill_over=True).over


def test_output_is_capped_and_drained(run):
    done = run("head -c 3000000 /dev/zero; exit 4")
    assert done.over and done.code == 4 and len(done.stdout) == 16 << 10


def test_a_flood_is_ended(run):
    done = run("yes", kill_over=True)
    assert done.over and done.timeout is None and done.wall_ms < 3000


def test_file_size_limit(run, tmp_path):
    done = run("exec head -c 3000000 /dev/zero > big")
    assert done.code != 0 and (tmp_path / "big").stat().st_size <= MB


def test_memory_limit(run):
    done = run("bytearray(1 << 29)", program=(sys.executable, "-c"))
    assert done.code == 1 and b"MemoryError" in done.stderr


@pytest.mark.parametrize("wall_s", [5, 0.3])
def test_the_process_group_dies_with_its_leader(run, wall_s):
    end = "sleep 30" if wall_s < 1 else "exit 0"
    done = run(f"sleep 300 & echo $!; {end}", wall_s=wall_s)
    child = int(done.stdout)
    for _ in range(3000):  # its new parent reaps it in its own time; it would sleep for five minutes
        if not Path(f"/proc/{child}").exists() or " Z " in Path(f"/proc/{child}/stat").read_text():
            break
        time.sleep(0.02)
    else:
        pytest.fail("the sleeping child outlived the sample")
    assert done.wall_ms < 3000


def test_no_descriptor_is_left_open_or_inherited(run):
    """A descriptor of the grader's in a sample is a hole in every wall around it."""
    leaky = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leaky, True)
    gc.collect()  # what earlier tests left open is not to be closed meanwhile
    before = len(os.listdir("/proc/self/fd"))
    try:
        for _ in range(5):
            shown = run("ls /proc/$$/fd").stdout.split()
        assert len(os.listdir("/proc/self/fd")) == before and str(leaky).encode() not in shown
    finally:
        os.close(leaky)


def test_a_program_that_is_not_there_is_said_by_the_jail(run):
    """Status 125 with our line is our fault, and never the sample's."""
    done = run("", program=("/nowhere/program",))
    assert done.code == 125 and done.stderr.startswith(b"jail: /nowhere/program: No such file")
