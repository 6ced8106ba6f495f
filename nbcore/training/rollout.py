"""Let a model answer tasks and have the answers graded: the one path from a policy to verdicts."""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from nbcore import runs
from nbcore.chat import frame, template
from nbcore.config import Generation, Tasks, prompt_form
from nbcore.core import lines
from nbcore.core.records import Completion, Sample, Task, Verdict
from nbcore.grading import verdicts
from nbcore.grading.grader import RustGrader
from nbcore.runs import activity, layout
from nbcore.tasks import checking, katas, sets
from nbcore.training import asking, beside, load, once
from nbcore.training.generate import generate

ENOUGH = 4  # an answer that is not over by then has lost its way, and would cost the most of all
KEPT = (
    *("verdict", "passed", "compiles", "tests_passed", "tests_total", "clippy_warnings", "lints", "errors", "flags"),
    "code",
)
SPENT = ("tokens", "seconds")  # of a completion


def solve(
    model: Any,
    tokenizer: Any,
    tasks: list[Task],
    generation: Generation,
    seed: int,
    grader: RustGrader,
    doing: Callable[[str, int, int], None] = lambda words, done, total: None,
    form: str = prompt_form.BARE,
    what: str = "",
) -> list[dict]:
    """One graded answer for each task, asked in a prompt form, in order: {"id", "family", "prompt", "completion",
    "truncated", …, "tokens", "seconds"}, and "reasoning" where the model reasoned before it answered. A batch is
    graded while the next is generated; the order of the rows, and every verdict, is as if it were not.

    `doing` is called with (words, done, total) as it goes on, as an activity.Activity is; `what` ends the words.
    Raises verdicts.Ungraded where not one answer could be graded.
    """
    count, answers = len(tasks), f"{len(tasks)} answers{what}"
    prompts = [asking.prompt_ids(tokenizer, task, form) for task in tasks]
    doing(f"answering {count} tasks{what}", 0, count)

    def judge(batch: Sequence[int], done: Sequence[Completion], note: Callable[[int], None]) -> list[Verdict]:
        chosen = [tasks[index] for index in batch]
        return graded(chosen, done, lambda samples: grader.grade(samples, lambda some, _: note(some)), form)

    with beside.Grading(judge) as grading:
        completions = generate(
            *(model, tokenizer, prompts, generation, seed),
            lambda done: doing(f"answering {count} tasks{what}", int(done), count),
            grading.add,
            bare=form == prompt_form.COMPLETE,
        )
        doing(f"grading {answers}", 0, count)
        judged = grading.verdicts(count, lambda done: doing(f"grading {answers}", done, count))
    verdicts.refuse_ungraded(judged, "answers")
    return [
        {**_answer(task, done), **{key: verdict[key] for key in KEPT}, **{key: done[key] for key in SPENT}}
        for task, done, verdict in zip(tasks, completions, judged, strict=True)
    ]


def _answer(task: Task, done: Completion) -> dict[str, Any]:
    """What was asked and answered, as it stands in samples.jsonl."""
    reasoning = {"reasoning": done["reasoning"]} if done["reasoning"] else {}
    asked = {"id": task["id"], "family": task.get("family", ""), "prompt": task["prompt"]}
    return {**asked, "completion": done["text"], "truncated": done["truncated"], **reasoning}


def several(
    run: runs.Run,
    tokenizer: Any,
    wanted: Tasks,
    count: int,
    generation: Generation,
    show: Callable[[activity.Doing], None] = lambda doing: None,
) -> list[dict]:
    """`count` graded answers of the parent's policy to each training task, side by side, kept in rollouts.jsonl.

    They cost minutes, so they are drawn once and read back on a resume. Raises ValueError where the file is not what
    was written.
    """
    path = run.path / layout.ROLLOUTS
    if not path.is_file():
        tasks = training_tasks(run, wanted)
        form, judge = asking.form(run), grader(run, lint=False)
        check_tasks(run, tasks, wanted.source, judge)
        doing = activity.Activity(run.path, show)
        doing("loading the model")
        policy = load.policy(run, run.parent)
        repeated = [task for task in tasks for _ in range(count)]
        solved = solve(policy, tokenizer, repeated, generation, run.config.seed, judge, doing, form)
        for row in solved:
            del row["seconds"]  # the same rollouts are the same bytes, however long they took
        once.write(run, path, solved, "rollouts")
        run.publish()
    once.require(run, path, "rollouts", "rollouts", "they are drawn anew")
    return lines.read(path)


def training_tasks(run: runs.Run, wanted: Tasks, counts: dict[str, Any] | None = None) -> list[Task]:
    """The training tasks that a run's rollouts are drawn on. `counts` gets how many of a file were set aside."""
    only = wanted.undemonstrated
    return sets.tasks(wanted.source, "train", wanted.limit, run.config.seed, undemonstrated=only, counts=counts)


def spoiled(tokenizer: Any, text: str) -> bool:
    """Whether an answer spells a control token, which in a row to train on would forge the end of a turn."""
    return any(token in text for token in template.control_tokens(tokenizer))


def graded(
    tasks: Sequence[Task],
    completions: Sequence[Completion],
    grade: Callable[[list[Sample]], list[Verdict]],
    form: str = prompt_form.BARE,
) -> list[Verdict]:
    """The verdicts on answers to tasks, in order. `grade` is a grader's, with or without progress.

    Every phase comes through this function: evaluation, rollouts, before and after through `solve`, and GRPO, whose
    completions TRL generates.
    """
    return grade([sets.sample(task, done["text"], form) for task, done in zip(tasks, completions, strict=True)])


def grader(run: runs.Run, lint: bool = True) -> RustGrader:
    """The grader of a run, which keeps in sandbox.json what was proved of the sandbox it used."""
    config = run.config
    made = RustGrader(getattr(config, "jobs", None), lint, allow_degraded=config.sandbox.allow_degraded)
    (run.path / layout.SANDBOX).write_text(json.dumps(made.capabilities(), indent=1) + "\n")
    if made.lost:
        warnings.warn(f"sandbox {made.isolation}, as sandbox.allow_degraded has it; every report says so", stacklevel=2)
    return made


def check_tasks(run: runs.Run, tasks: list[Task], source: str, judge: RustGrader) -> None:
    """Raises ValueError where tests of a person's file cannot be right; each set of tasks is tried once in a run."""
    digest = lines.digest(tasks)
    if source == "katas" or any(row["sha256"] == digest for row in run.events("tasks_checked")):
        return
    print(f"{run.id}: trying the tests of {len(tasks)} tasks from {source}", flush=True)
    checking.refuse_failing(tasks, source, judge.grade)
    run.event("tasks_checked", sha256=digest, tasks=len(tasks))


def before_after(
    run: runs.Run, count: int = 8, show: Callable[[activity.Doing], None] = lambda doing: None
) -> list[dict]:
    """The same validation katas answered by the parent's policy and by this run's, graded and logged once.

    An answer is cut where it is ENOUGH times as long as the longest reference, unless the model may reason before it.
    `show` is told what is being done.
    """
    if len(run.samples()) == 2 * count:
        return run.samples()
    doing = activity.Activity(run.path, show)
    tasks = sets.tasks("katas", "validation", count, run.config.seed)
    tokenizer = load.tokenizer(run)
    rows = []
    judge = grader(run)
    asked = getattr(run.config, "generation", Generation()).max_new_tokens
    longest = max(len(tokenizer.encode(katas.code(task), add_special_tokens=False)) for task in tasks)
    greedy = Generation(max_new_tokens=asked if frame.reasons(tokenizer) else min(asked, ENOUGH * longest))
    for when, of in (("before", run.parent), ("after", run)):
        doing(f"loading the model, {when} training")
        model = load.policy(run, of)
        what = f", {when} training"
        solved = solve(model, tokenizer, tasks, greedy, run.config.seed, judge, doing, asking.form(run), what)
        rows += [{"when": when, **row} for row in solved]
        del model  # two of them do not fit where one barely does
        gc.collect()
        torch.cuda.empty_cache()
    run.sample(*rows)
    return rows
