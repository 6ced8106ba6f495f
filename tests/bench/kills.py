"""SIGKILL the pipeline at random moments, each time on a new disk with only the mirror left. Does it end as it would?

    python tests/bench/kills.py --kills 20 --seed 0

The exact phases (pretrain, language adapter, SFT, IPO) with their evaluations, real notebooks through papermill, short
settings. Moments are drawn over the time that an undisturbed run of what is left would take. Prints each kill, then
the evaluations beside those of the undisturbed run, which have to be equal answer by answer.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nbcore import runs  # noqa: E402 - the path must be set before the imports

STAGES = """
name: kills
stages:
  - {id: pretrain, phase: pretrain, config: configs/pretrain/tiny.yaml, overrides: {max_steps: 24, save_steps: 4}}
  - {id: lang_adapter, phase: lang_adapter, config: configs/lang_adapter/tiny.yaml,
     overrides: {max_steps: 16, save_steps: 4, corpus.sources: {katas: 300}, lora.dropout: 0.05}}
  - {id: sft, phase: sft, config: configs/sft/tiny.yaml, parent: lang_adapter,
     overrides: {max_steps: 16, save_steps: 4}}
  - {id: sft_eval, phase: evaluate, config: configs/evaluate/tiny.yaml, parent: sft,
     overrides: {heldout: 30, unseen: 6, perplexity_documents: 20}}
  - {id: ipo, phase: ipo, config: configs/ipo/tiny.yaml, parent: sft,
     overrides: {max_steps: 12, save_steps: 4, tasks.limit: 40, rollouts: 6}}
  - {id: ipo_eval, phase: evaluate, config: configs/evaluate/tiny.yaml, parent: ipo,
     overrides: {heldout: 30, unseen: 6, perplexity_documents: 20}}
"""


def start(pipeline: Path, disk: Path, mirror: Path) -> subprocess.Popen:
    """The command a person would give, on a disk of its own."""
    command = [sys.executable, "-m", "nbcore", "run", str(pipeline), "--store", str(disk)]
    environment = {**os.environ, "NBCORE_MIRROR": str(mirror)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def kill(process: subprocess.Popen) -> None:
    """What losing the machine is: every process of it, at once and unasked."""
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            each.send_signal(signal.SIGKILL)
    process.wait()


def measured(disk: Path) -> dict[str, list]:
    """Every answer, verdict and perplexity of the evaluations, by the phase they looked at."""
    found = {}
    for run in runs.listing(disk, "evaluate"):
        rows = [(r["split"], r["id"], r.get("completion"), r.get("verdict"), r.get("nll")) for r in run.samples()]
        found[run.parent.phase] = sorted(map(str, rows))
    return found


def main(kills: int, seed: int, folder: Path, stages: str = STAGES) -> bool:
    """Whether the disturbed pipeline came to the very end of the undisturbed one."""
    draw = random.Random(seed)
    pipeline = folder / "pipeline.yaml"
    pipeline.write_text(stages)
    began = time.monotonic()
    calm = start(pipeline, folder / "calm", folder / "calm_mirror")
    output, _ = calm.communicate()
    whole = time.monotonic() - began
    assert calm.returncode == 0, output.decode()[-2000:]
    print(f"undisturbed: {whole:.0f} s", flush=True)

    done = 0
    for number in range(1, 10 * kills):
        disk = folder / f"disk{number}"
        process = start(pipeline, disk, folder / "mirror")
        if done < kills:
            # Long enough that some get into the training, short enough that all the kills fit into the whole, even
            # where the undisturbed run shared the machine and took several times as long.
            patience = draw.uniform(2, min(2.5 * whole / kills + 12, whole / 3, 40))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=patience)
            if process.poll() is None:
                kill(process)
                done += 1
                states = [f"{run.phase} {'finished' if run.finished else 'unfinished'}" for run in runs.listing(disk)]
                print(
                    f"kill {done:2} after {patience:4.1f} s, disk thrown away: {', '.join(states) or 'nothing'}",
                    flush=True,
                )
                shutil.rmtree(disk, ignore_errors=True)  # there may be none yet
                continue
        output, _ = process.communicate()
        assert process.returncode == 0, output.decode()[-3000:]
        break
    print(f"completed after {done} kills on {number} disks", flush=True)
    straight, disturbed = measured(folder / "calm"), measured(disk)
    for phase in straight:
        equal = sum(a == b for a, b in zip(straight[phase], disturbed[phase], strict=True))
        print(f"evaluation of {phase}: {equal} of {len(straight[phase])} answers and losses equal to the last digit")
    return bool(straight) and straight == disturbed and done > 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        sys.exit(0 if main(chosen.kills, chosen.seed, Path(where)) else 1)
