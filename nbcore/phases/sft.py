"""Supervised fine-tuning: instruction to function, the loss on the assistant's tokens only.

L = -mean over the answer's tokens of log p(token | prompt, answer so far)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datasets import Dataset
from trl import SFTTrainer

from nbcore import runs
from nbcore.agent.tools import NAMES
from nbcore.chat import actions, renderer, template
from nbcore.config.agent import Playing
from nbcore.core import lines
from nbcore.core.records import Row
from nbcore.data import from_run, metadata, preferences, sources
from nbcore.tasks import sets
from nbcore.training import agent_rollout, asking, fit, lessons, load, lora, order, packing, rollout
from nbcore.training.remembered import remembered
from nbcore.view.live import Live

ACTION = 512  # tokens of one action of an agent that is shown before and after


@remembered
def data(run: runs.Run) -> dict[str, Any]:
    """Rows of input_ids and labels in the order they are trained in. A hash of its id decides whether a row is kept for
    validation. "epoch" is the number of steps that go once through the training rows.

    Raises ValueError where nothing is left to train or to validate on.
    """
    config = run.config
    tokenizer = load.tokenizer(run)
    form = asking.form(run)
    drawn: dict[str, Any] = {}  # what became of what was read, for the report
    taken = from_run.rows(run)
    if taken:
        rows, drawn = [*sets.drawn(taken.train, config.limit, config.seed), *taken.heldout], taken.counts
    elif config.best_of_n:
        rows, drawn = _best_of_n(run, tokenizer, form)
    elif config.episodes:
        rows, drawn = lessons.rows(run, tokenizer, Live("recording repairs").tell)
    else:
        rows = sources.rows(config.rows, config.limit, config.seed, form, drawn)
    if config.metadata_comments:
        rows, drawn["commented"] = metadata.commented(rows)
    field, name = ("data_run", config.data_run) if taken else ("rows", config.rows)
    if config.episodes:
        field, name = "episodes", config.episodes.source
    heldout = {row["id"] for row in taken.heldout} if taken else set()
    splits: dict[str, list[dict]] = {"train": [], "validation": []}
    counts = {"rows": len(rows), "too_long": 0, "control_tokens_inside": 0, "trained_tokens": 0}
    lost = {"truncated": 0, "fully_masked": 0}
    ways: set[str] = set()
    for row, number, sample in _samples(run, tokenizer, rows, counts, ways, f"{field}: {name}"):
        ids, labels = sample.ids, sample.labels
        if len(ids) > config.max_length:
            if config.overlong == "raise":
                raise ValueError(
                    f"overlong is 'raise': row {row['id']!r} of {field}: {name!r} has {len(ids)} tokens, and "
                    f"max_length is {config.max_length}; raise that, shorten the row, or choose drop or truncate"
                )
            if config.overlong == "drop":
                counts["too_long"] += 1
                continue
            lost["truncated"] += 1
            sample = actions.cut(sample, config.max_length, within=not renderer.has_tools(row))
            ids, labels = sample.ids, sample.labels
        if all(label == template.IGNORED for label in labels[1:]):  # the first token is given, never predicted
            lost["fully_masked"] += 1
            continue
        counts["trained_tokens"] += sum(label != template.IGNORED for label in labels)
        validates = row["id"] in heldout if taken else sources.in_share(row["id"], config.validation_share)
        split = "validation" if validates else "train"
        named = f"{row['id']}#{number}" if number else row["id"]
        splits[split].append({"id": named, "input_ids": ids, "labels": labels})
    for split, kept in splits.items():
        if not kept:
            raise ValueError(
                f"{field}: {name!r} leaves no {split} rows ({counts | lost}); raise max_length "
                f"({config.max_length}), limit, or validation_share"
            )
        counts[split] = len(kept)
    asks = config.rows == "katas" and not taken and not config.episodes  # other rows bring questions of their own
    asked_in = {"prompt_form": form} if asks else {}
    batch = config.effective_batch
    first, dropped = splits["train"][0], counts["too_long"] + counts["control_tokens_inside"]
    if config.packing != "none":
        splits["train"] = packing.pack(splits["train"], config.max_length)
    if taken and taken.keeps_order:
        train = order.as_given(splits["train"], config.max_steps, batch)
    else:
        train = order.in_order(splits["train"], config.max_steps, batch, config.seed)
    return {
        "train": train,
        "first": train[0] if config.packing == "none" else first,
        "validation": splits["validation"],
        "epoch": -(-len(splits["train"]) // batch),
        "tokenizer": tokenizer,
        "report": {
            **counts,
            **drawn,
            **asked_in,
            **({"tools_rendered_by": sorted(ways)} if ways else {}),
            "sha256": lines.digest([*rows, *asking.as_rendered(tokenizer)]),
            "shown": packing.counted(splits["train"], config.max_length, dropped=dropped, **lost),
        },
    }


def _samples(
    run: runs.Run, tokenizer: Any, rows: list[Row], counts: dict[str, int], ways: set[str], where: str
) -> Iterator[tuple[Row, int, actions.Rendered]]:
    """(row, number, sample) of all rows: number 0, and 0, 1, 2 … for a row with tools, each of whose turns is a sample.

    Rows that spell a control token are counted and left out. `ways` gets who rendered the rows with tools. Raises
    ValueError, which names the row, where it cannot be rendered.
    """
    date = load.date_of(run)
    for row in rows:
        way = renderer.chosen(tokenizer, row, date)
        try:
            samples = way.render(row)
        except template.ForgedToken:
            counts["control_tokens_inside"] += 1
            continue
        except ValueError as error:
            raise ValueError(f"{error} (row {row['id']!r} of {where})") from None
        if renderer.has_tools(row):
            ways.add(way.describe())
        yield from ((row, number, sample) for number, sample in enumerate(samples))


def _best_of_n(run: runs.Run, tokenizer: Any, form: str) -> tuple[list[Row], dict[str, int]]:
    """The parent's best answers as rows, and what became of all that it was asked. Raises ValueError where none is
    left."""
    wanted = run.config.best_of_n
    solved = rollout.several(run, tokenizer, wanted.tasks, wanted.samples, wanted.generation, Live("rollouts").tell)
    found = preferences.groups(solved, lambda text: rollout.spoiled(tokenizer, text))
    asked = {task["id"]: sets.question(task, form)[0]["content"] for task in rollout.training_tasks(run, wanted.tasks)}
    rows = preferences.best_of_n(found.mixed, lambda row: asked[row["id"]], wanted.keep)
    if not rows:
        raise ValueError(
            f"best_of_n: no task was both passed and failed ({found.counts}); raise samples, tasks.limit or "
            "generation.temperature, or start from a better parent"
        )
    return sets.drawn(rows, run.config.limit, run.config.seed), found.counts


def example(run: runs.Run) -> str:
    """The first row as the model will see it before it answers."""
    rows = data(run)
    row = rows["first"]
    trained = next(place for place, label in enumerate(row["labels"]) if label != template.IGNORED)
    prompt = row["input_ids"][:trained]
    asked_in = rows["report"].get("prompt_form")
    source = "an episode" if run.config.episodes else run.config.data_run or run.config.rows
    words = asking.described(asked_in) if asked_in else f"asked as {source} has it"
    if ways := rows["report"].get("tools_rendered_by"):
        words += f"; tools rendered by {' and '.join(ways)}"
    return f"{words}\nWhat the model will see of {row['id']}:\n\n{asking.text(rows['tokenizer'], prompt)}"


def model(run: runs.Run) -> Any:
    """The parent's policy, whose adapter is trained further; a fresh adapter where the parent has none."""
    return fit.trainable_policy(run)


def trainer(run: runs.Run) -> SFTTrainer:
    """The trainer as it stands before its first step; it evaluates after every epoch."""
    rows = data(run)
    lengths = packing.arguments(run.config.packing, run.config.max_length)
    arguments = fit.arguments(run, **lengths, eval_strategy="steps", eval_steps=rows["epoch"])
    policy = model(run)
    if run.config.packing != "none":
        packing.isolated(policy)
    lora.choose_loss(arguments, policy)
    return SFTTrainer(
        model=policy,
        args=arguments,
        train_dataset=Dataset.from_list(rows["train"]),
        eval_dataset=Dataset.from_list(rows["validation"]),
        processing_class=rows["tokenizer"],
    )


def train(run: runs.Run, live: Any = None) -> dict:
    """Train to the lowest validation loss, resume where a checkpoint stands, and leave adapter/."""
    return fit.train(run, data(run), trainer, live, patience=run.config.patience)


def see(run: runs.Run) -> list[dict]:
    """The same tasks, or faults to repair, before and after, graded; logged to samples.jsonl."""
    if wanted := run.config.episodes:
        playing = Playing(tools=wanted.tools or [*NAMES], brief=wanted.brief, shown=wanted.shown)
        return agent_rollout.before_after(run, playing, ACTION, show=Live("before and after").tell)
    return rollout.before_after(run, show=Live("before and after").tell)


def finish(run: runs.Run) -> runs.Run:
    """Commit the run with the numbers of the epoch whose weights it leaves."""
    fit.refuse_untrained(run)
    best = min((row for row in run.metrics() if "eval_loss" in row), key=lambda row: row["eval_loss"])
    kept = {"best_step": best["step"], "eval_loss": best["eval_loss"], "eval_perplexity": best["eval_perplexity"]}
    return fit.finish(run, fit.last(run) | kept, data(run)["report"])
