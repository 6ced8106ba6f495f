"""What is damaged in a run, and what can still be used."""

from __future__ import annotations

from nbcore.runs import checkpoints, layout, notebooks
from nbcore.runs.run import Run


def look(run: Run) -> tuple[list[str], list[str]]:
    """(what is damaged, what can still be used) of a run, finished or not, and of its checkpoints. Reads every byte."""
    problems, good = [], []
    try:
        _ = run.info, run.config, checkpoints.blessed(run.path)
    except (OSError, ValueError) as error:
        problems.append(str(error))
    if run.finished and not problems:
        problems = run.damage()
        good += [] if problems else ["the run"]
    problems += notebooks.problems(run.path)
    for checkpoint in checkpoints.listing(run.path):
        if checkpoint.committed:  # one that is not was cut off while it was saved, which is no damage
            damage = checkpoint.problems()
            problems += [f"{checkpoint.name}/{problem}" for problem in damage]
            good += [] if damage else [f"checkpoint of step {checkpoint.step}"]
    ended = (run.path / layout.TRAINED).is_file()
    if ended and not run.finished and not checkpoints.trained(run.path):
        problems.append(f"{layout.TRAINED}: differs, or the weights that it vouches for do")
    return problems, good
