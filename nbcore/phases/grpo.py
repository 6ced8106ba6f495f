"""GRPO: the reward is the verdict of the real compiler and of hidden tests.

advantage = (reward - mean of its group) / std of its group,   a group being the completions of one prompt
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from nbcore import runs
from nbcore.chat import template
from nbcore.grading import reward, verdicts
from nbcore.tasks import sets, worth
from nbcore.training import (
    agent_rollout,
    ahead,
    asking,
    fit,
    load,
    logits,
    lora,
    order,
    packing,
    private,
    rollout,
    vllm_room,
)
from nbcore.training.judge import Judge
from nbcore.training.remembered import remembered
from nbcore.view.live import Live

UNGRADED_STEPS = 3  # that are borne: a full disk may be cleared within a step or two


class FoldedTrainer(private.Generating, GRPOTrainer):
    """GRPO that generates with the adapter folded in: the same policy, a sixth faster on a small model.

    TRL generates a step's completions at once: where memory ran out before, they come in as many chunks as the
    micro-batch was halved into. `ended` is told each prompt and completion at one of `stops`, while others are written.
    """

    chunks = 1
    stops: Sequence[int] = ()
    ended: Callable[[list[int], list[int]], None] | None = None

    def generate(self, prompts, complete):
        if self.use_vllm:
            return complete(prompts)  # TRL has given vLLM the merged weights
        size = -(-len(prompts) // self.chunks)
        completions: list[list[int]] = []
        policy = self.accelerator.unwrap_model(self.model)
        with lora.folded(policy), logits.finite(policy):
            for start in range(0, len(prompts), size):
                some = prompts[start : start + size]
                with ahead.endings(policy, self.stops, lambda row, ids, some=some: self.ended(some[row], ids)):
                    completions += complete(some)
        return completions


@remembered
def data(run: runs.Run) -> dict[str, Any]:
    """Prompts, each with the id of its task; the hidden tests stay in "tasks", where only the reward looks."""
    config = run.config
    read: dict[str, Any] = {}
    tasks = rollout.training_tasks(run, config.tasks, read)
    if load.adapter_of(run.parent) is None:
        print(
            f"{run.id} starts from the bare base: where that has not learnt to answer, most groups earn nothing, and "
            "nothing is learnt from them. Expect a slow start, or run sft first",
            flush=True,
        )
    tokenizer = load.tokenizer(run)
    if config.episodes:
        known, rendered, report = agent_rollout.crates(run, tasks, tokenizer, Live("faults").tell)
        rows = [{"prompt": id_, "task": id_} for id_ in known]  # what TRL hands back as a prompt is a fault's id
        tasks = {id_: problem.record() for id_, problem in known.items()}
        kept = {"tasks": tasks, "problems": known, "tokenizer": tokenizer}
        return _ordered(run, rows, rendered, read | report) | kept
    form = asking.form(run)
    rendered = [template.prompt_ids(tokenizer, sets.question(task, form)) for task in tasks]
    rows = [{"prompt": sets.question(task, form), "task": task["id"]} for task in tasks]
    report = {
        **{"tasks": len(tasks), **read, "prompt_form": form},
        "what the tests are worth": worth.told(config.tasks.source, "train"),
        "sha256": asking.digest([*tasks, *asking.as_rendered(tokenizer)], form),
    }
    return _ordered(run, rows, rendered, report) | {
        "tasks": {task["id"]: task for task in tasks},
        "tokenizer": tokenizer,
    }


def _ordered(run: runs.Run, rows: list[dict], rendered: list[list[int]], report: dict[str, Any]) -> dict[str, Any]:
    """Rows in the order of training. Raises ValueError where they do not fill a step."""
    config = run.config
    prompts = config.effective_batch // config.group_size
    if len(rows) < prompts:
        raise ValueError(
            f"tasks: {len(rows)} {'faults' if config.episodes else 'tasks'} are left of {config.tasks.source!r}, and "
            f"one step takes {prompts} (batch_size × gradient_accumulation / group_size); give more tasks, or lower "
            "batch_size"
        )
    longest = max(map(len, rendered))
    shown = [{"input_ids": ids} for ids in rendered]
    return {
        "train": order.in_order(rows, config.max_steps, prompts, config.seed, length=lambda row: 0),
        "prompts": [{"ids": ids} for ids in rendered],
        "report": {
            **report,
            "longest_prompt_tokens": longest,
            "shown": packing.counted(shown, longest, truncated=0, dropped=0, fully_masked=0),
        },
    }


def example(run: runs.Run) -> str:
    """The first task, or fault, as the model will see it."""
    rows = data(run)
    if run.config.episodes:
        return f"{rows['report']['frame']}\n{asking.text(rows['tokenizer'], rows['prompts'][0]['ids'])}"
    return asking.example(run, next(iter(rows["tasks"].values())))


def rewards(run: runs.Run, judge: Judge | None = None) -> list[Any]:
    """One async TRL reward function for each component that counts, all reading the same verdicts.

    TRL adds them up with the weights that `arguments` gives it.

    A batch is graded once, when the first of them is called. Where an answer could not be graded (our own fault), its
    whole group is rewarded with None, which TRL leaves out: compared with the mean of the others alone, the advantages
    would be wrong. Raises verdicts.Ungraded where UNGRADED_STEPS batches in a row were left out whole: training would
    teach nothing.
    """
    weights, size = run.config.weights.model_dump(), run.config.group_size
    judge = judge or Judge(run, data(run))
    latest: dict[str, Any] = {"batch": None, "ungraded": 0}

    def judged(completion_ids: list, task: list[str], log_metric: Any) -> list[dict]:
        began = time.monotonic()
        graded, fresh = judge.verdicts(completion_ids, task)
        worth = [reward.components(verdict) for verdict in graded]
        dropped = 0
        for start in range(0, len(worth), size):
            if any(verdict["verdict"] == "infra_error" for verdict in graded[start : start + size]):
                worth[start : start + size] = [dict.fromkeys(reward.COMPONENTS)] * len(worth[start : start + size])
                dropped += 1
        latest["ungraded"] = latest["ungraded"] + 1 if dropped * size >= len(graded) else 0
        if latest["ungraded"] == UNGRADED_STEPS:
            raise verdicts.Ungraded(
                f"{UNGRADED_STEPS} steps in a row taught nothing, for no group could be graded whole: "
                f"{verdicts.fault(graded)}; once that is mended, the same command goes on from the last checkpoint"
            )
        log_metric("hack_rate", sum(map(reward.is_hack, graded)) / len(graded))
        log_metric("infra_dropped", dropped)
        log_metric("graded", fresh)  # the others were known from before
        log_metric("grading_seconds", time.monotonic() - began)
        return worth

    def component(name: str) -> Any:
        async def function(completion_ids, task, log_metric=lambda *_: None, **_columns):
            if latest["batch"] is not completion_ids:
                graded = asyncio.to_thread(judged, completion_ids, task, log_metric)
                latest.update(batch=completion_ids, worth=asyncio.ensure_future(graded))
            return [worth[name] for worth in await latest["worth"]]

        function.__name__ = name  # TRL logs each reward under the function's name
        return function

    return [component(name) for name in reward.counted(weights)]


def model(run: runs.Run) -> Any:
    """The parent's policy, whose adapter is trained further."""
    return fit.trainable_policy(run)


def arguments(run: runs.Run) -> GRPOConfig:
    """TRL's config. gspo is its grpo loss with importance sampling by sequence."""
    config, episodes = run.config, run.config.episodes
    weights = episodes.weights.model_dump() if episodes else reward.counted(config.weights.model_dump())
    loss = {"loss_type": config.loss_type}
    if config.loss_type == "gspo":
        loss = {"loss_type": "grpo", "importance_sampling_level": "sequence"}
    return fit.arguments(
        run,
        **loss,
        beta=config.beta,
        num_generations=config.group_size,
        max_completion_length=config.logits_at_once,
        temperature=config.generation.temperature,
        top_p=config.generation.top_p,
        reward_weights=list(weights.values()),
        **vllm_room.rollouts(run),
        mask_truncated_completions=not episodes,  # who runs out of turns has failed, and learns from it
        shuffle_dataset=False,  # the rows are in the order of training already
    )


def trainer(run: runs.Run) -> FoldedTrainer:
    """The trainer as it stands before its first step."""
    settings, rows, policy = arguments(run), data(run), model(run)
    vllm_room.stop_at(settings, policy.generation_config.eos_token_id)
    judge, several = None, None
    if run.config.episodes:
        functions = agent_rollout.rewards(run.config.group_size, UNGRADED_STEPS)
        grader = rollout.grader(run, lint=False)
        several = agent_rollout.rollout_function(run, rows["tokenizer"], rows["problems"], grader)
    else:
        judge = Judge(run, rows, template.stop_ids(rows["tokenizer"], policy.generation_config))
        functions = rewards(run, judge)
    built = FoldedTrainer(
        model=policy,
        args=settings,
        reward_funcs=functions,
        train_dataset=Dataset.from_list(rows["train"]),
        processing_class=rows["tokenizer"],
        rollout_func=several,
    )
    lora.complete_reference(built.model)
    built.chunks = 2**run.halvings
    if judge:
        built.stops, built.ended = judge.stops, judge.early
    return built


def longest(trainer: FoldedTrainer, prompt_tokens: int) -> torch.Tensor:
    """The log-probabilities of a micro-batch of the longest completions, summed: what a step differentiates."""
    length = trainer.args.max_completion_length
    shape = trainer.args.per_device_train_batch_size, prompt_tokens + length
    ids = torch.zeros(shape, dtype=torch.long, device=trainer.accelerator.device)
    trainer.model.to(ids.device)
    return private.completion_logps(trainer, ids, length).sum()


def train(run: runs.Run, live: Any = None) -> dict:
    """Train, resume where a checkpoint stands, and leave adapter/."""
    rows = data(run)
    tokens = rows["report"]["longest_prompt_tokens"]
    return fit.train(run, rows, trainer, live, longest=lambda built: longest(built, tokens))


def see(run: runs.Run) -> list[dict]:
    """The same tasks, or faults, before and after, graded; logged to samples.jsonl."""
    if run.config.episodes:
        most = run.config.generation.max_new_tokens
        return agent_rollout.before_after(run, run.config.episodes, most, show=Live("before and after").tell)
    return rollout.before_after(run, show=Live("before and after").tell)


def finish(run: runs.Run) -> runs.Run:
    """Commit the run."""
    return fit.finish(run, fit.last(run), data(run)["report"])
