"""What a report leaves out, each with the command that brings it in: runs without an evaluation, and other chains."""

from __future__ import annotations

import shlex
from pathlib import Path

from nbcore import config, runs
from nbcore.core import environment, plain_yaml
from nbcore.report.chains import Chosen, Stage
from nbcore.runs import choice, layout

MOST = 5  # runs of each kind that the terminal names


def text(chosen: Chosen, store: str | Path) -> str:
    """What is left out, as text for the terminal; empty where nothing is. Only commands may exceed 80 columns."""
    lines: list[str] = []
    for run in chosen.unevaluated[:MOST]:
        lines += ["", f"not evaluated: {run.id}", *_cut_short(run), evaluate_command(run, chosen, str(store))]
    for stage in chosen.others[:MOST]:
        lines += ["", f"evaluated too: {stage.run.id}", f"  {result(stage)}", *_cut_short(stage.evaluation)]
        lines.append(report_command(stage.run, str(store)))
    if more := max(0, len(chosen.unevaluated) - MOST) + max(0, len(chosen.others) - MOST):
        lines += ["", f"and {more} more: python -m nbcore runs list --store {shlex.quote(str(store))}"]
    return "\n".join(lines[1:])


def result(stage: Stage) -> str:
    """What an evaluated model reached, in a few words."""
    rate = stage.rate("heldout", "pass@1")
    return f"pass@1 {100 * rate.value:.0f} % of {rate.n} held-out tasks"


def evaluate_command(run: runs.Run, chosen: Chosen, store: str) -> str:
    """The command that evaluates a run on the same terms as the chain's last model, so that the two can be compared."""
    phase = next(name for name, entry in config.TABLE.items() if entry.measures)
    notebook = environment.notebook(phase).name
    values = {"config": _config(run, chosen, phase, store), "parent": run.id, "store": store}
    parts = [plain_yaml.dump_line({key: value})[1:-1] for key, value in values.items()]
    given = shlex.quote("{" + ",\n  ".join(parts) + "}")
    return f"papermill -k python3 -l python notebooks/{notebook} out.ipynb \\\n  -y {given}"


def report_command(run: runs.Run, store: str) -> str:
    """The command that reports the chain which ends in `run`."""
    return f"python -m nbcore report {shlex.quote(store)} \\\n  --run {run.id}"


def _cut_short(run: runs.Run) -> list[str]:
    short = choice.shortfall(run)
    return [f"  cut short: {short}"] if short else []


def _config(run: runs.Run, chosen: Chosen, phase: str, store: str) -> str:
    """Path of the config to evaluate `run` with: the one that the chain was evaluated with, as shipped or else as kept
    in that evaluation's folder. A run on another base model takes the shipped config of its own profile."""
    evaluation = next((stage.evaluation for stage in reversed(chosen.stages) if stage.evaluation), None)
    if evaluation is None or evaluation.info["base"] != run.info.get("base"):  # it may need another precision
        profile = layout.config_of(run.id)[0]
        shipped = environment.shipped_config(phase, profile)
        return f"configs/{phase}/{profile if shipped.is_file() else 'tiny'}.yaml"
    shipped = environment.shipped_config(phase, evaluation.config.name)
    if shipped.is_file() and config.digest(config.load(shipped)) == config.digest(evaluation.config):
        return f"configs/{phase}/{shipped.name}"
    return f"{store}/{evaluation.id}/{layout.CONFIG}"
