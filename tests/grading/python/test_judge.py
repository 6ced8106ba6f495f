"""HumanEval-style Python through the same grader: the protocol, the taxonomy, and what a candidate might try."""

import gzip
import json
import re
from pathlib import Path

import pytest

from nbcore.grading import verdicts
from nbcore.grading.grader import Limits, RustGrader
from nbcore.grading.python import judge
from nbcore.grading.rust import compiler
from nbcore.grading.sandbox import jail

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "humaneval_python.jsonl.gz"
PROMPT = 'def double(x: int) -> int:\n    """Twice x."""\n'
TESTS = "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(-3) == -6\n"


@pytest.fixture(scope="module")
def grader():
    made = RustGrader(jobs=1, limits=Limits(run_cpu_s=1, run_wall_s=3))
    yield made
    made.close()


def sample(completion, name="s", prompt=PROMPT, tests=TESTS):
    return {"id": name, "language": "python", "completion": completion, "signature": prompt, "tests": tests}


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("return 2 * x", "pass"),
        ("return x + x  # é", "pass"),
        ("print('noise'); return 2 * x", "pass"),
        ("return x", "tests_failed"),
        ("raise ValueError(x)", "tests_failed"),
        ("return 2 *", "compile_error"),
        ("while True: pass", "run_timeout"),
        ("import os; os._exit(0)", "early_exit"),
        ("import sys; sys.exit(0)", "tests_failed"),
        ("return double(x)", "tests_failed"),
        ("return 2 * x #" + "\x01" * 200_000, "pass"),
        ("return 'x' * (1 << 40)", "tests_failed"),
    ],
)
def test_taxonomy(grader, body, verdict):
    found = grader.grade([sample(f"    {body}\n")])[0]
    assert (found["verdict"], found["tests_total"]) == (verdict, 1), found
    assert found["passed"] == (verdict == "pass") and found["isolation"] == "jailed"


def test_the_clock_runs_slower_on_a_busy_machine(tmp_path, monkeypatch):
    """It did for Rust alone: where others were at work, a slow right answer was a time-out, and on an idle machine
    not."""
    monkeypatch.setattr(judge, "load", lambda: 1e3)
    (tmp_path / "jail").mkdir()
    cell = jail.build(tmp_path / "jail", compiler.find(False), ("landlock", "seccomp"))
    slow = "    import time\n    start = time.process_time()\n    while time.process_time() < start + 0.2: pass\n"
    text = f"{PROMPT}{slow}    return 2 * x\n"
    job = {"signature": PROMPT, "text": text, "plain": True, "tests": TESTS}
    verdict = verdicts.unknown(1)
    judge.judge(cell, Limits(run_cpu_s=2, run_wall_s=0.1), tmp_path, job, verdict)
    assert verdict["verdict"] == "pass", verdict


@pytest.mark.parametrize(
    "body",
    [
        "class Same:\n        def __eq__(self, other): return True\n    return Same()",
        "import sys\n    sys._getframe(1).f_globals['check'] = lambda candidate: None\n    return 0",
        "import os\n    os.write(1, b'passed ')\n    os.write(2, b'passed ')\n    return 0",
        "import gc\n    return next((o for o in gc.get_objects() if isinstance(o, dict) and 'nonce' in o), 0)",
        "import os\n    os.kill(os.getppid(), 9)\n    return 0",
        "import subprocess\n    subprocess.run(['/bin/true'])\n    return 0",
        "import sys\n    sys.stdin.readline()\n    return 0",
        "return 0\nimport os\nfor at in range(1, 12):\n    try:\n        os.write(at, b\"passed ''\\n\")\n"
        "    except OSError:\n        pass",
        "return 0\nimport os\nfor at in range(12):\n    try:\n"
        "        own = os.open(f'/proc/self/fd/{at}', os.O_RDONLY | os.O_NONBLOCK)\n"
        "        os.write(at, os.read(own, 1 << 16).replace(b'assert', b''))\n    except OSError:\n        pass",
    ],
    ids=[
        "equals all",
        "frames",
        "forged report",
        "collector",
        "kills",
        "spawns",
        "reads the calls",
        "first line",
        "theft",
    ],
)
def test_cheats_do_not_pass(grader, body):
    """The tests run in another process, so nothing the candidate can reach holds a verdict or an expected value."""
    assert not grader.grade([sample(f"    {body}\n")])[0]["passed"]


def test_the_host_is_out_of_reach(grader):
    """A right answer only where a host file could not be read, nor a socket made, nor a file written."""
    tries = (
        "open('/etc/passwd').read()",
        "__import__('socket').socket()",
        "open('/tmp/nbcore-escaped', 'w')",
        "__import__('os').listdir('/')",
    )
    body = "".join(f"    try:\n        {text}\n        return 0\n    except OSError:\n        pass\n" for text in tries)
    found = grader.grade([sample(body + "    return 2 * x\n")])[0]
    assert found["passed"], found


def test_errors_keep_their_kind_and_large_numbers_their_digits(grader):
    tests = (
        "def check(candidate):\n    try:\n        candidate(-1)\n    except ValueError:\n        pass\n"
        "    else:\n        assert False\n    assert candidate(1) == 10 ** 5000\n"
    )
    body = "    if x < 0:\n        raise ValueError(x)\n    return 10 ** 5000\n"
    assert grader.grade([sample(body, tests=tests)])[0]["passed"]


def test_helpers_of_the_prompt_can_be_used_by_its_tests(grader):
    prompt = "def twice(x):\n    return 2 * x\n\n\n" + PROMPT
    tests = "def check(candidate):\n    assert candidate(5) == twice(5)\n"
    assert grader.grade([sample("    return twice(x)\n", prompt=prompt, tests=tests)])[0]["passed"]


def test_a_prompt_without_a_function_is_named(grader):
    with pytest.raises(ValueError, match="sample 's': signature defines no function"):
        grader.grade([sample("return 1", prompt="x = 1\n")])


@pytest.mark.slow
def test_humaneval(grader):
    """164 canonical solutions pass; 164 emptied ones fail, but for those where that is the answer."""
    if not DATA.exists():
        pytest.skip(f"{DATA} is not here; it is not part of the repository")
    tasks = [json.loads(line) for line in gzip.decompress(DATA.read_bytes()).splitlines()]
    assert [re.findall(r"^def (\w+)", task["prompt"], re.M)[-1] for task in tasks] == [t["entry_point"] for t in tasks]

    def verdicts(body):
        rows = [
            sample(body or task["canonical_solution"], task["task_id"], task["prompt"], task["test"]) for task in tasks
        ]
        return [verdict["id"] for verdict in grader.grade(rows) if verdict["passed"]]

    assert len(verdicts(None)) == len(tasks) == 164
    assert verdicts("    pass\n") == verdicts("    return None\n") == []
