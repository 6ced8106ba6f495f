"""Evaluation: compile rate, pass@k, lints and perplexity of any run, each with an interval.

pass@k = 1 - C(n-c, k) / C(n, k)   for c passing of n completions of one task
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch

from nbcore import runs, stats
from nbcore.config import Evaluate
from nbcore.core.finite import NotFinite
from nbcore.core.records import Document
from nbcore.data import sources
from nbcore.evaluation import asked, harness, written
from nbcore.evaluation.measures import quality, summary
from nbcore.runs import activity
from nbcore.tasks import checking
from nbcore.training import asking, corpus, fit, load, memory, rollout
from nbcore.training.remembered import remembered
from nbcore.view.live import Live

__all__ = ["data", "documents", "example", "finish", "perplexity", "quality", "results", "run_tasks", "summary"]

LARGEST = 500.0  # nats a token, beyond which exp() is no float any more; a uniform guess has 12 at most


@remembered
def data(run: runs.Run) -> dict[str, Any]:
    """Held-out tasks of unseen compositions and of unseen families, those of the named sets, and held-out documents.

    {"tasks": part -> tasks, "parts": part -> how it is asked, "documents", "report"}
    """
    config = run.config
    form = asking.form(run)
    drawn, texts = asked.drawn(config, form), documents(config)
    if config.harness:
        harness.require(config.harness, list(drawn.tasks))
    counts = {name: len(group) for name, group in drawn.tasks.items()}
    return {
        "tasks": drawn.tasks,
        "parts": drawn.parts,
        "documents": texts,
        "report": {
            **{**counts, **drawn.read, "documents": len(texts)},
            **{"prompt_form": form, "sha256": drawn.sha256},
        },
    }


def documents(config: Evaluate) -> list[Document]:
    """The held-out documents that a config measures the perplexity on."""
    if not config.perplexity_documents:
        return []
    if config.max_tokens < 2:
        raise ValueError(f"max_tokens is {config.max_tokens}: a perplexity takes at least 2 tokens; raise it")
    kinds = dict.fromkeys(("katas", "files"), config.perplexity_documents)
    return sources.documents(kinds, "heldout", config.seed)


def example(run: runs.Run) -> str:
    """The first task as the model will see it."""
    rows = data(run)
    name, group = next(iter(rows["tasks"].items()))
    if rows["parts"][name]["kind"] == "repairs":
        return asked.example(load.tokenizer(run), group[0], rows["parts"][name], load.date_of(run))
    return asking.example(run, group[0])


def run_tasks(run: runs.Run) -> dict:
    """Answer, grade, measure. Results stand in the run's metrics and samples; a finished part is not done again."""
    config = run.config
    rows = data(run)
    done = results(run)
    parts = [part for part in (*rows["tasks"], "perplexity") if part not in done]
    general = [name for name in (config.harness.tasks if config.harness else ()) if name not in done]
    if not parts and not general:
        return done
    tokenizer = load.tokenizer(run)
    grader = rollout.grader(run)
    own = [task for name in ("heldout", "unseen_family") for task in rows["tasks"].get(name, [])]
    rollout.check_tasks(run, own, config.source, grader)
    doing = activity.Activity(run.path, Live(config.phase).tell)
    doing("loading the model")
    model = load.policy(run, run.parent)
    for part in parts:
        began = time.monotonic()
        if part == "perplexity":
            if rows["documents"]:
                measured = perplexity(model, tokenizer, rows["documents"], config.max_tokens, config.seed, doing)
                run.sample(*({"split": part, **row} for row in measured.pop("documents")))
                run.log(perplexity=measured)
            continue
        how, tasks, extra = rows["parts"][part], rows["tasks"][part], {}
        if how["kind"] == "repairs":
            how = {**how, "date": load.date_of(run)}
        if asked.is_tried(how):
            broken = _broken(run, part, tasks, how, grader)
            tasks, extra = asked.sound(part, tasks, broken), {"broken_tests": len(broken)} if broken else {}
        answers, measured = asked.measure(model, tokenizer, tasks, how, config, grader, doing, f" ({part})")
        run.sample(*({**row, "split": part, "sample": n % how["samples"]} for n, row in enumerate(answers)))
        run.log(**{part: {**measured, **extra, "seconds": time.monotonic() - began}})
    for name, answers, measured in harness.each(run, model, tokenizer, general, doing):
        run.sample(*({**row, "split": name} for row in answers))
        run.log(**{name: measured})
    return results(run)


def _broken(run: runs.Run, part: str, tasks: list, how: dict, grader: Any) -> dict[str, str]:
    """The tasks of a set whose tests cannot tell right from wrong here, and why; tried once in a run."""
    known = [row for row in run.events("taskset_checked") if row["sha256"] == how["sha256"]]
    if known:
        return known[-1]["broken"]
    print(f"{run.id}: trying the tests of {len(tasks)} tasks of {part}", flush=True)
    broken = checking.failing(tasks, grader.grade)
    run.event("taskset_checked", taskset=part, sha256=how["sha256"], broken=broken)
    return broken


def results(run: runs.Run) -> dict:
    """What run_tasks has measured so far, by part."""
    return {name: value for row in run.metrics() for name, value in row.items() if isinstance(value, dict)}


@torch.inference_mode()
def perplexity(
    model: Any,
    tokenizer: Any,
    documents: list[Document],
    max_tokens: int,
    seed: int,
    doing: Callable[[str, int, int], None] = lambda words, done, total: None,
) -> dict:
    """exp of the mean negative log-likelihood per token, with a bootstrap interval over documents.

    "documents" holds the summed negative log-likelihood and the number of tokens of each document, so that two models
    can be compared document by document.
    """
    rows, _ = corpus.encode(tokenizer, documents, max_tokens)
    rows.sort(key=lambda row: len(row["input_ids"]))
    losses: list[tuple[float, int]] = []

    def measure(batch: list[dict]) -> None:
        rows_of_ids = [row["input_ids"] for row in batch]
        width = max(len(ids) for ids in rows_of_ids)
        padded = [ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids in rows_of_ids]
        ids = torch.tensor(padded, device=model.device)
        lengths = torch.tensor([len(ids) for ids in rows_of_ids], device=model.device)
        mask = torch.arange(width, device=model.device)[None] < lengths[:, None]
        logits = model(input_ids=ids, attention_mask=mask.long()).logits[:, :-1].float()
        nll = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none") * mask[:, 1:]
        losses.extend(zip(nll.sum(1).tolist(), (lengths - 1).tolist(), strict=True))

    for done in memory.in_batches(rows, 16, measure):
        doing("perplexity of documents", done, len(rows))
    total, tokens = sum(loss for loss, _ in losses), sum(count for _, count in losses)
    if not total / tokens < LARGEST:
        raise NotFinite(f"perplexity: the mean loss is {total / tokens:.4g} nats a token: the weights have diverged")
    # Documents differ in length, so the bootstrap resamples how far each one moves the ratio total/tokens.
    pulls = [total / tokens + (loss - total / tokens * count) * len(losses) / tokens for loss, count in losses]
    interval = stats.mean_bootstrap(pulls, seed=seed)
    return {
        "value": math.exp(interval.value),
        "low": math.exp(interval.low),
        "high": math.exp(interval.high),
        "n": len(losses),
        "documents": [
            {"id": row["id"], "nll": loss, "tokens": count} for row, (loss, count) in zip(rows, losses, strict=True)
        ],
    }


def finish(run: runs.Run) -> runs.Run:
    """Write samples.md and report.json, and commit the run."""
    rows, measured = data(run), results(run)
    if not run.finished:
        tokenizer = load.tokenizer(run)
        parts = {}
        for name, how in rows["parts"].items():
            shown = asked.example(tokenizer, rows["tasks"][name][0], how, load.date_of(run))
            parts[name] = {**how, "prompt_example": shown}
        written.write(run, parts, measured)
    return fit.finish(run, measured, rows["report"])
