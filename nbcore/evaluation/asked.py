"""What an evaluation asks, and one set of tasks asked and measured: for a run, and for the checkpoints of another."""

from __future__ import annotations

from typing import Any, NamedTuple

from nbcore import config as configs
from nbcore.config import prompt_form, tasksets
from nbcore.core import lines
from nbcore.evaluation import crate_faults, measures, refusals, repairs
from nbcore.tasks import checking, sets
from nbcore.training import asking, rollout
from nbcore.training.generate import generate

REPAIRED = 300  # faults of a set of repairs that names no limit


class Drawn(NamedTuple):
    """The tasks of each part of an evaluation."""

    tasks: dict[str, list]
    parts: dict[str, dict[str, Any]]
    """How each is asked: kind, source, samples, k, prompt_form, sha256 of tasks and form."""
    read: dict[str, Any]
    """What was set aside of files, by reason."""
    sha256: str


def drawn(config: configs.Phase, form: str) -> Drawn:
    """The tasks that a config asks for. Raises ValueError where two sets have one name, or one cannot be asked so."""
    source, read, tasks = config.source, {}, {}
    if config.heldout:
        tasks["heldout"] = sets.tasks(source, "heldout", config.heldout, config.seed, counts=read)
    if config.unseen and source == "katas":
        tasks["unseen_family"] = sets.tasks(source, "unseen_family", config.unseen, config.seed)
    asked = {"kind": "tasks", "source": source, "samples": config.samples, "k": config.k, "prompt_form": form}
    parts = {name: {**asked, "sha256": asking.digest(group, form)} for name, group in tasks.items()}
    digested = asking.digest([task for group in tasks.values() for task in group], form)
    named = {}
    for given in config.tasksets:
        wanted = tasksets.resolve(given)
        of_crates = crate_faults.of_set(wanted) if wanted.kind == "repairs" else None
        found = of_crates or sets.of_set(wanted, config.seed)
        name = found.set.name
        if name in parts:
            raise ValueError(f"tasksets: two sets are called {name!r}; give one of them another name")
        tasks[name], parts[name] = found.tasks, _how(found, config, form)
        named[name] = parts[name]["sha256"]
    return Drawn(tasks, parts, read, lines.digest([{"others": digested, **named}]) if named else digested)


def _how(found: sets.Drawn, config: configs.Phase, form: str) -> dict[str, Any]:
    """How the tasks of a named set are asked. Raises ValueError where its k does not go with its samples."""
    wanted = found.set
    samples = 1 if wanted.kind == "refusals" else wanted.samples or config.samples
    ks = wanted.k or [k for k in config.k if k <= samples] or [1]
    if max(ks) > samples:
        raise ValueError(f"tasksets: {wanted.name}: k is {ks}: pass@{max(ks)} needs samples of at least {max(ks)}")
    if samples > 1 and config.generation.temperature == 0:
        raise ValueError(f"tasksets: {wanted.name}: samples is {samples} with generation.temperature 0: raise it")
    if wanted.kind == "repairs":
        return _repaired(found)
    named = wanted.prompt_form
    own = prompt_form.SHIPPED.get(named, named) if named else form
    if wanted.kind == "refusals" and not named:
        own = prompt_form.BARE
    return {
        **{"kind": wanted.kind, "source": wanted.source, "split": wanted.split, "samples": samples, "k": ks},
        **{"prompt_form": own, "sha256": asking.digest(found.tasks, own), "set_sha256": found.sha256},
        **({"set_aside": found.set_aside} if found.set_aside else {}),
    }


def _repaired(found: sets.Drawn) -> dict[str, Any]:
    """How an agent is asked to repair the crates of a set."""
    wanted = found.set
    agent = (wanted.agent or tasksets.Repairs()).model_dump(mode="json") | {"limit": wanted.limit or REPAIRED}
    return {
        **{"kind": wanted.kind, "source": wanted.source, "split": wanted.split, "samples": 1, "k": [1]},
        **{"prompt_form": prompt_form.BARE, "agent": agent, "set_sha256": found.sha256},
        "sha256": lines.digest([{"tasks": found.sha256, "agent": agent}]),
        **({"set_aside": found.set_aside} if found.set_aside else {}),
    }


def example(tokenizer: Any, task: dict, how: dict, date: str | None = None) -> str:
    """The first of a part's tasks as the model will see it, control tokens included."""
    if how["kind"] == "repairs":
        return repairs.example(tokenizer, task, how["agent"], date)
    return asking.text(tokenizer, asking.prompt_ids(tokenizer, task, how["prompt_form"]))


def measure(
    model: Any, tokenizer: Any, tasks: list, how: dict, config: configs.Phase, grader: Any, doing: Any, what: str
) -> tuple[list[dict], dict[str, Any]]:
    """(the rows of samples, side by side for each task, what was measured) of one part, asked as `how` says."""
    if how["kind"] == "refusals":
        answers = _answers(model, tokenizer, tasks, config, how["prompt_form"], doing)
        return answers, refusals.rates(answers)
    if how["kind"] == "repairs":
        date = how.get("date")
        return repairs.measure(
            *(model, tokenizer, tasks, how["agent"], config.generation, config.seed, grader, doing, date)
        )
    repeated = [task for task in tasks for _ in range(how["samples"])]
    generation, form = config.generation, how["prompt_form"]
    solved = rollout.solve(model, tokenizer, repeated, generation, config.seed, grader, doing, form, what)
    answers = [{**row, **_about(task)} for row, task in zip(solved, repeated, strict=True)]
    return answers, measures.summary(answers, how["samples"], how["k"])


def is_tried(how: dict) -> bool:
    """Whether the tests of a part are tried before it is asked: those of a person's named set of tasks."""
    return "set_sha256" in how and how["kind"] == "tasks" and how["source"] != "katas"


def sound(part: str, tasks: list, broken: dict[str, str]) -> list:
    """The tasks of a part without those that `checking.failing` found broken. Raises ValueError where none is left.

    A public benchmark has some whose own reference fails: nobody could pass them, so they are set aside and counted.
    """
    kept = [task for task in tasks if task["id"] not in broken]
    if not kept:
        first = next(iter(broken.items()))
        raise ValueError(f"tasksets: {part}: no task's tests can tell a right answer ({first[0]!r}: {first[1]})")
    return kept


def _about(task: dict) -> dict[str, Any]:
    """What a sample has of its task beside its family, where known: difficulty, and a language other than Rust."""
    meta = task.get("meta") or {}
    known = {"difficulty": meta.get("difficulty", f"{len(meta['ops'])} ops" if meta.get("ops") else None)}
    known["language"] = None if checking.language(task) == "rust" else checking.language(task)
    return {name: value for name, value in known.items() if value is not None}


def _answers(model: Any, tokenizer: Any, tasks: list, config: configs.Phase, form: str, doing: Any) -> list[dict]:
    """Answers that are read and not compiled."""
    count = len(tasks)
    words = f"answering {count} prompts that may be refused"
    prompts = [asking.prompt_ids(tokenizer, task, form) for task in tasks]
    told = lambda done: doing(words, int(done), count)  # noqa: E731 - the same words with how many are done
    completions = generate(model, tokenizer, prompts, config.generation, config.seed, told)
    return [
        {
            **{"id": task["id"], "family": task["family"], "prompt": task["prompt"], "completion": done["text"]},
            **{"truncated": done["truncated"], "tokens": done["tokens"], "refused": refusals.refuses(done["text"])},
        }
        for task, done in zip(tasks, completions, strict=True)
    ]
