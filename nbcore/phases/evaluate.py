"""Evaluation: compile rate, pass@k, lints and perplexity of any run, each with an interval.

pass@k = 1 - C(n-c, k) / C(n, k)   for c passing of n completions of one task
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from nbcore import runs, stats
from nbcore.core.finite import NotFinite
from nbcore.core.records import Document
from nbcore.data import sources
from nbcore.grading import reward, verdicts
from nbcore.grading.rust import structure
from nbcore.runs import activity
from nbcore.tasks import sets
from nbcore.training import asking, corpus, fit, load, memory, rollout
from nbcore.training.remembered import remembered
from nbcore.view.live import Live

LARGEST = 500.0  # nats a token, beyond which exp() is no float any more; a uniform guess has 12 at most


@remembered
def data(run: runs.Run) -> dict[str, Any]:
    """Held-out tasks of unseen compositions and of unseen families, and held-out documents."""
    config = run.config
    source = config.source
    read: dict[str, Any] = {}
    tasks = {"heldout": sets.tasks(source, "heldout", config.heldout, config.seed, counts=read)}
    if config.unseen and source == "katas":
        tasks["unseen_family"] = sets.tasks(source, "unseen_family", config.unseen, config.seed)
    documents = []
    if config.perplexity_documents:
        if config.max_tokens < 2:
            raise ValueError(f"max_tokens is {config.max_tokens}: a perplexity takes at least 2 tokens; raise it")
        kinds = dict.fromkeys(("katas", "files"), config.perplexity_documents)
        documents = sources.documents(kinds, "heldout", config.seed)
    everything = [task for group in tasks.values() for task in group]
    form = asking.form(run)
    return {
        "tasks": tasks,
        "documents": documents,
        "report": {
            **{name: len(group) for name, group in tasks.items()},
            **read,
            "documents": len(documents),
            "prompt_form": form,
            "sha256": asking.digest(everything, form),
        },
    }


def example(run: runs.Run) -> str:
    """The first task as the model will see it."""
    return asking.example(run, data(run)["tasks"]["heldout"][0])


def run_tasks(run: runs.Run) -> dict:
    """Answer, grade, measure. Results stand in the run's metrics and samples; a finished part is not done again."""
    config = run.config
    rows = data(run)
    done = results(run)
    parts = [part for part in (*rows["tasks"], "perplexity") if part not in done]
    if not parts:
        return done
    tokenizer = load.tokenizer(run)
    grader = rollout.grader(run)
    rollout.check_tasks(run, [task for group in rows["tasks"].values() for task in group], config.source, grader)
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
        tasks = [task for task in rows["tasks"][part] for _ in range(config.samples)]
        form, what = rows["report"]["prompt_form"], f" ({part})"
        solved = rollout.solve(model, tokenizer, tasks, config.generation, config.seed, grader, doing, form, what)
        measured = summary(solved, config.samples, config.k)
        run.sample(*({**row, "split": part, "sample": n % config.samples} for n, row in enumerate(solved)))
        run.log(**{part: {**measured, "seconds": time.monotonic() - began}})
    return results(run)


def results(run: runs.Run) -> dict:
    """What run_tasks has measured so far, by part."""
    return {name: value for row in run.metrics() for name, value in row.items() if isinstance(value, dict)}


def summary(solved: list[dict], samples: int, ks: list[int]) -> dict:
    """Rates with 95 % intervals: Wilson for one sample a task, bootstrap over tasks for pass@k from several.

    `solved` holds `samples` rows for each task, side by side. Our own faults (infra_error) are left out and counted.
    """
    groups = [solved[start : start + samples] for start in range(0, len(solved), samples)]
    groups = [[row for row in group if row["verdict"] != "infra_error"] for group in groups]
    judged = [row for group in groups for row in group]
    measured: dict[str, Any] = {
        "n": len(groups),
        "infra_errors": len(solved) - len(judged),
        "compile_rate": stats.wilson(sum(row["compiles"] for row in judged), len(judged))._asdict(),
        "clippy_warnings": sum(row["clippy_warnings"] for row in judged) / max(1, len(judged)),
        "tests_passed": sum(row["tests_passed"] / max(1, row["tests_total"]) for row in judged) / max(1, len(judged)),
        "truncated": sum(row["truncated"] for row in judged),
        "quality": quality(judged),
        "verdicts": {
            name: sum(row["verdict"] == name for row in judged) for name in {row["verdict"] for row in judged}
        },
    }
    for k in ks:
        if samples == 1:
            interval = stats.wilson(sum(row["passed"] for row in judged), len(judged))
        else:
            enough = [[row["passed"] for row in group] for group in groups if len(group) >= k]
            values = [stats.pass_at_k(len(passed), sum(passed), k) for passed in enough]
            if not values:
                raise verdicts.Ungraded(
                    f"pass@{k}: of no task could {k} of {samples} answers be graded: {verdicts.fault(solved)}"
                )
            interval = stats.mean_bootstrap(values)
        measured[f"pass@{k}"] = interval._asdict()
    return measured


def quality(judged: list[dict]) -> dict[str, Any]:
    """What the programs look like: means over all of them, and of each clippy lint over those that compile.

    documented: share of the public items that have a doc comment; idioms: how many of four are used; coverage: share of
    the prompt's words that occur; hack_rate: share of the programs that tried to get round the tests.
    """
    programs = [structure.structure(row["code"] or "", row["prompt"]) for row in judged]
    means: dict[str, Any] = {"hack_rate": _mean([float(reward.is_hack(row)) for row in judged])}
    for name in ("documented", "idioms", "coverage", "unwraps", "lines"):
        means[name] = _mean([program[name] for program in programs if program[name] is not None])
    compiled = [row for row in judged if row["compiles"]]
    totals: Counter[str] = Counter()
    for row in compiled:
        totals.update(row["lints"])
    means["lints"] = {lint: count / len(compiled) for lint, count in totals.most_common()}
    return means


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


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
    """Commit the run."""
    return fit.finish(run, results(run), data(run)["report"])
