"""An export that is killed at any moment: what is left is taken for no export, and the same command finishes it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training import small_adapters as small

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(5)

# One process that has imported everything, and a fork of it for each attempt: a kill between two imports tells nothing.
PREFACE = """
import json, math, os, random, signal, sys, time
from pathlib import Path
import peft, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
from nbcore import config, runs
from nbcore.cli import main
from nbcore.phases import export
from nbcore.training.export import folder

os.environ["NBCORE_MIRROR"] = "off"
place, store = Path(sys.argv[1]), Path(sys.argv[2])
out = place / "out"

def forked(work):
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(work() or 0)
    return child

def watched(work, most=math.inf):
    # (exit code, seconds of processor); killed once it has used so many: by the clock, on a machine that is busy now
    # and was not before, or the other way round, every kill would come too early, or too late.
    child = forked(work)
    while True:
        over = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        user, system = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]
        used = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        if over or used > most:
            os.kill(child, signal.SIGKILL)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), used
        time.sleep(0.002)

def ended(work):
    return watched(work)[0]

def told(**facts):
    print(json.dumps(facts), flush=True)
"""

MERGE = """
merge = lambda: main.main(["merge", str(place / "adapter"), "--base", str(place / "base"), "--out", str(out)])
code, whole = watched(merge)
assert code == 0
takers = {
    "chat": ["chat", str(out), "--store", str(store)],
    "serve": ["serve", str(out), "--once", "--store", str(store)],
    "push": ["push", str(out), "me/model", "--store", str(store)],
}
for seed in json.loads(sys.argv[3]):
    os.system(f"rm -rf {out}")
    code, _ = watched(merge, random.Random(seed).uniform(0.02, 1.05) * whole)
    there = out.exists()
    took = {} if there else {name: ended(lambda: main.main(words)) for name, words in takers.items()}
    visible = [path.name for path in place.iterdir() if path.name[0] != "." and path.name not in ("base", "adapter")]
    again = ended(merge)
    left = sorted(path.name for path in place.iterdir() if path.name[0] == ".")
    told(seed=seed, code=code, there=there, took=took, visible=visible, again=again, left=left)
"""

EXPORT = """
few = {"gguf": [], "prompts": 1, "greedy": 2, "perplexity_documents": 0}
def opened():
    return runs.open(config.load("configs/export/tiny.yaml", few), store, "base")
def work():
    run = opened()
    export.write(run)
    export.convert(run)
    export.finish(run)
code, whole = watched(work)
assert code == 0
for seed in json.loads(sys.argv[3]):
    os.system(f"rm -rf {store}/export")
    code, _ = watched(work, random.Random(seed).uniform(0.02, 1.05) * whole)
    found = bool(runs.listing(store)) and runs.listing(store)[0].finished
    takers = (["chat", "export"], ["serve", "export", "--once"], ["push", "export", "me/model"])
    took = {} if found else {given[0]: ended(lambda: main.main([*given, "--store", str(store)])) for given in takers}
    sound = ended(lambda: main.main(["runs", "verify", "--store", str(store)]))
    again = ended(work)
    run = runs.listing(store)[0]
    told(seed=seed, code=code, there=found, took=took, again=again, sound=sound, runs=len(runs.listing(store)),
         wrong=run.verify())
"""


def attempts(script, place, store):
    """What was told of each attempt."""
    command = [sys.executable, "-c", PREFACE + script, str(place), str(store), json.dumps([*SEEDS])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(rows) == len(SEEDS) and sum(row["code"] == -9 for row in rows) >= len(SEEDS) // 2, "kills came too late"
    return rows


@pytest.mark.slow
def test_a_merge_that_was_killed_is_no_export(tmp_path):
    """Half of a model under the export's name would load, with random numbers for the rest."""
    base = small.base(tmp_path / "base", "gpt_oss")
    small.adapter(tmp_path / "adapter", base, target_parameters=small.EXPERTS)
    (tmp_path / "store").mkdir()
    for row in attempts(MERGE, tmp_path, tmp_path / "store"):
        assert row["there"] or (row["visible"] in ([], ["store"]) and all(row["took"].values())), row
        assert row["again"] == 0 and row["left"] == [], row


@pytest.mark.slow
def test_an_export_that_was_killed_is_no_parent_and_goes_on(tmp_path):
    """run.json is written last: without it no command may find the run, and the same export finishes it."""
    for row in attempts(EXPORT, tmp_path, tmp_path / "store"):
        assert row["sound"] == 0 and (row["there"] or all(row["took"].values())), row
        assert row["again"] == 0 and row["runs"] == 1 and row["wrong"] == [], row
