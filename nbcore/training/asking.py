"""Which prompt form a run asks its tasks in, and what the model sees of one."""

from __future__ import annotations

import hashlib
from typing import Any

from nbcore import runs
from nbcore.chat import template
from nbcore.config import prompt_form
from nbcore.core import lines
from nbcore.core.records import Task
from nbcore.tasks import sets
from nbcore.training import load
from nbcore.training.tokenizer import CHAT_TEMPLATE


def form(run: runs.Run) -> str:
    """The template that a run's tasks are asked in: its config's, else the nearest ancestor's that names one, because
    what is trained is what is asked. Where nobody names one, models made here, the seedling and what pretrain leaves,
    are asked barely, as they were taught, and every other base in the shipped chat form."""
    ancestor: runs.Run | None = run
    while ancestor is not None:
        named = getattr(ancestor.config, "prompt_form", None)  # pretrain and lang_adapter ask nothing
        if named is not None:
            return prompt_form.SHIPPED.get(named, named)
        ancestor = ancestor.parent
    return prompt_form.BARE if load.made_here(run) else prompt_form.CHAT


def digest(tasks: list[Task], asked_in: str) -> str:
    """sha256 of tasks and of the form they are asked in; of the tasks alone where that is the bare one."""
    return lines.digest(tasks if asked_in == prompt_form.BARE else [*tasks, {"prompt_form": asked_in}])


def as_rendered(tokenizer: Any) -> list[dict[str, str]]:
    """What joins rows and tasks in a hash of data: the chat template, by its hash, and what it makes of a short
    conversation. Nothing where it is the one that models made here have, so that hashes of old runs stay."""
    if tokenizer.chat_template == CHAT_TEMPLATE:
        return []
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    shown = text(tokenizer, template.render(tokenizer, said)[0])
    return [{"chat_template": hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest(), "rendered": shown}]


def prompt_ids(tokenizer: Any, task: Task, asked_in: str) -> list[int]:
    """The ids that a task's answer goes on from: its conversation with the generation prompt, or in the form
    'complete' the bare text. Raises ForgedToken, a ValueError, where the prompt spells a control token."""
    if asked_in == prompt_form.COMPLETE:
        text = sets.raw(task)
        template.refuse_control_tokens(tokenizer, [{"role": "user", "content": text}])
        return tokenizer.encode(text)
    return template.prompt_ids(tokenizer, sets.question(task, asked_in))


def example(run: runs.Run, task: Task) -> str:
    """A task as the model will see it, control tokens and generation prompt included, under a line that names the
    prompt form."""
    asked_in, tokenizer = form(run), load.tokenizer(run)
    ids = prompt_ids(tokenizer, task, asked_in)
    return f"{described(asked_in)}\nWhat the model will see of {task['id']}:\n\n{text(tokenizer, ids)}"


def described(asked_in: str) -> str:
    """Which prompt form this is, in words."""
    names = {shipped: f"the shipped form {name!r}" for name, shipped in prompt_form.SHIPPED.items()}
    return f"prompt_form: {names.get(asked_in, 'a form of your own')}"


def text(tokenizer: Any, ids: list[int]) -> str:
    """Ids as text, with nothing left out and nothing tidied."""
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
