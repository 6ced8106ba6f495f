"""Model cards and evaluation cards, written from records alone: this module holds no number of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nbcore import config as configs
from nbcore import gates, runs, stats
from nbcore.data.card import escaped, table
from nbcore.data.describing import CARD
from nbcore.evaluation import written
from nbcore.gates import chain
from nbcore.report import licensing, lineage
from nbcore.runs import choice, data_runs, inputs, layout
from nbcore.tasks import worth
from nbcore.view import expert_proof, gate_table

UNKNOWN = "not recorded"
HOUR = 3600.0  # seconds


def card(run: runs.Run, why: str | None = None) -> str:
    """The card of a finished run in Markdown: of an evaluation what was measured, of any other what it is and what is
    known of it. `why`: why it is passed on although its licences conflict. Raises ValueError where it is damaged."""
    for each in (run, *chain.evaluations(run)[-1:]):
        if damage := each.damage():
            raise ValueError(f"RUN: {each.id} is damaged: {damage[0]}; a card speaks of what can be verified alone")
    entry = configs.TABLE[run.phase]
    if entry.makes_data:
        own = run.path / entry.leaves / CARD
        if not own.is_file():
            raise ValueError(f"RUN: {run.id} holds data and left no {CARD}; name a run that trained, or an evaluation")
        return own.read_bytes().decode()
    if entry.measures:
        parts = _evaluation(run)
    else:
        judged = licensing.of_run(run)
        parts = [*_model(run), *_gates(run), *_data(run), *licence(judged, why), *_limits(run), *_made(run)]
    return _head(run) + "\n\n".join(parts) + "\n"


def _head(run: runs.Run) -> str:
    """What the Hub reads: base, relation to it, results."""
    from huggingface_hub import EvalResult, ModelCardData  # takes a second that other commands should not cost

    if configs.TABLE[run.phase].measures:
        return ""
    results = []
    for evaluation in chain.evaluations(run)[-1:]:
        for split, metric, rate in _rates(evaluation):
            results.append(
                EvalResult("text-generation", evaluation.config.source, split, metric, rate.value, dataset_split=split)
            )
    alone = choice.leaves(run) == layout.ADAPTER
    data = ModelCardData(
        **licensing.for_the_hub(licensing.of_run(run).licence),
        base_model=lineage.base(run),
        library_name="peft" if alone else "transformers",
        tags=["rust", run.phase],
        model_name=run.id if results else None,
        eval_results=results or None,
        base_model_relation="adapter" if alone else "finetune",
    )
    return f"---\n{data.to_yaml()}\n---\n\n"


def _model(run: runs.Run) -> list[str]:
    links = list(choice.lineage(run))[::-1]
    steps = [(configs.TABLE[link.phase].label, link.id, choice.steps(link) or UNKNOWN) for link in links]
    parts = [
        f"# {escaped(run.id)}",
        f"Base model: {escaped(lineage.base(run))}. Each phase started from the one above it.",
        table(("phase", "run", "length"), steps),
        "## Results",
    ]
    measured = chain.evaluations(run)[-1:]
    return parts + ([_results(measured[0])] if measured else ["It was not evaluated."])


def _results(evaluation: runs.Run) -> str:
    rows = [(split, metric, *_estimate(rate)) for split, metric, rate in _rates(evaluation)]
    perplexity = evaluation.info["metrics"].get("perplexity")
    if perplexity:
        found = stats.Interval(*(perplexity[name] for name in stats.Interval._fields))
        rows.append(("documents", "perplexity", *_estimate(found)))
    names = ("tasks", "metric", "value", "interval", "n")
    drawn = "families of tasks where there are enough, else tasks" if _sets(evaluation) else "tasks"
    return f"{table(names, rows)}\n\nMeasured by {escaped(evaluation.id)}; intervals at {stats.LEVEL:.0%} over {drawn}."


def _estimate(rate: stats.Interval) -> tuple[str, str, str]:
    return f"{rate.value:.3f}", f"{rate.low:.3f} to {rate.high:.3f}", str(rate.n)


def _rates(evaluation: runs.Run) -> Iterable[tuple[str, str, stats.Interval]]:
    told = _sets(evaluation)  # its intervals know of families, and that answers to one task are not independent
    for split, part in evaluation.info["metrics"].items():
        for metric, value in part.items() if isinstance(part, Mapping) and "value" not in part else ():
            if isinstance(value, Mapping) and "value" in value:
                value = told.get(split, {}).get("metrics", {}).get(metric) or value
                yield split, metric, stats.Interval(*(value[name] for name in stats.Interval._fields))


def _gates(run: runs.Run) -> list[str]:
    rows, waived = [], []
    for link in list(choice.lineage(run))[::-1]:
        record = gates.current(link) if link.finished else None
        rows.append((link.id, *(record[name] if record else UNKNOWN for name in ("verdict", "why"))))
        if record and record["waiver"]:
            said = f"{escaped(link.id)} went on although its gate said {record['verdict']}:"
            waived += [said, gate_table.waived(record["waiver"])]
    decided = gates.current(run)
    checks = [_check(row) for row in decided["metrics"]] if decided else []
    head = ("metric", "tasks", "asked", "baseline", "this run", "difference", "n", "verdict")
    shown = [f"What the gate of {escaped(run.id)} compared:", table(head, checks)] if checks else []
    return ["## Gates", table(("run", "verdict", "why"), rows), *waived, *shown]


def _check(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A check of a gate as its record has it."""
    candidate, delta = (stats.Interval(**row[name]) if row[name] else None for name in ("candidate", "delta"))
    before = UNKNOWN if row["baseline"] is None else f"{row['baseline']:.3f}"
    changed = f"{delta.value:+.3f} ({delta.low:+.3f} to {delta.high:+.3f})" if delta else UNKNOWN
    now = f"{candidate.value:.3f}" if candidate else UNKNOWN
    name, tasks = row["metric"], row["taskset"]
    if name == "perplexity" and delta:  # gates compare its logarithm, document by document
        name, tasks = "perplexity, in nats a token", "documents"
    return (name, tasks, row["asked"], before, now, changed, str(row["n"]), row["verdict"])


def _data(run: runs.Run) -> list[str]:
    rows = []
    for link in list(choice.lineage(run))[::-1]:
        report = link.info.get("data", {})
        counts = [f"{name} {value}" for name, value in report.items() if isinstance(value, int)]
        read = {field: names for field, names in link.info.get("inputs", {}).items() if field in inputs.FILES}
        files = sorted({Path(name).name for names in read.values() for name in names})  # folders are one machine's
        prepared = [link.info[data_runs.FIELD]["id"]] if link.info.get(data_runs.FIELD) else []
        taken = ", ".join([*prepared, *files]) or "shipped and generated tasks"
        rows.append((link.id, ", ".join(counts) or UNKNOWN, taken, link.info.get("data_hash")))
    record = gates.current(run)
    clean = record["integrity"].get("no_contamination") if record else None
    looked = "nobody has looked for them"
    if clean:
        looked = f"{clean['verdict']} by its gate, which looked through: {clean['why']}"
        looked = looked if clean["verdict"] == gates.PASS else f"{clean['verdict']} by its gate: {clean['why']}"
    return [
        "## Data",
        table(("run", "rows", "read", "hash"), rows),
        f"The evaluation's tasks among the data: {escaped(looked)}.",
    ]


def licence(judged: licensing.Judgement, why: str | None = None) -> list[str]:
    """The section about licences: of the base and of each source, what they ask for, and what does not go together."""
    rows = [(part.what, part.licence or UNKNOWN, part.kind, part.where) for part in (judged.base, *judged.data)]
    lines = [f"Duty: {each}." for each in judged.duties] + [f"Unknown: {each}." for each in judged.unknown]
    lines += [f"Conflict: {each}." for each in judged.conflicts]
    if judged.conflicts and why:
        lines.append(f"It is passed on although its licences conflict: {why}")
    parts = ["## Licence", table(("base and data", "licence", "kind", "stated by"), rows)]
    return [*parts, "\n".join(f"- {escaped(line)}" for line in lines)] if lines else parts


def of_folder(name: str, base: str, proof: str, judged: licensing.Judgement, why: str | None = None) -> str:
    """The card of a merged folder that no run stands behind: base, proof and licences are all that is known."""
    from huggingface_hub import ModelCardData

    known = licensing.for_the_hub(judged.licence)
    head = ModelCardData(**known, base_model=base, library_name="transformers", base_model_relation="finetune")
    parts = [f"# {escaped(name)}", f"Base model: {escaped(base)}, with an adapter merged into it. {escaped(proof)}"]
    parts += [*licence(judged, why), "## Results", "None were recorded."]
    return f"---\n{head.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"


def _limits(run: runs.Run) -> list[str]:
    lines, record = [], gates.current(run)
    if record is None:
        lines.append("No gate has judged it.")
    elif record["verdict"] != gates.PASS:
        lines.append(f"Its gate said {record['verdict']}: {record['why']}.")
    if short := choice.shortfall(run):
        lines.append(f"Cut short: {short}.")
    for evaluation in chain.evaluations(run)[-1:]:
        for split, metric, rate in _rates(evaluation):
            if metric.startswith("pass@"):
                if told := _sets(evaluation).get(split, {}).get("tests_accept_at_most"):
                    lines.append(f"{split}: {worth.sentence(told)}")
                failing = f"{100 * (1 - rate.value):.3g} %"  # whole percents would call 299 of 300 all of them
                lines.append(f"On {split} it fails {failing} of {rate.n} tasks ({metric}).")
    if not chain.evaluations(run):
        lines.append("It was not evaluated.")
    for row in record["metrics"] if record else ():
        if row["detectable"] is not None:
            lines.append(f"{row['metric']}: a change below {row['detectable']:.3f} would not have been seen.")
    return ["## Limits", "\n".join(f"- {escaped(line)}" for line in lines or ["None were recorded."])]


def _made(run: runs.Run) -> list[str]:
    links = list(choice.lineage(run))[::-1]
    rows = [(link.id, link.info.get("device") or UNKNOWN, _hours(link), link.info["seed"]) for link in links]
    rows.append(("in all", "", f"{sum(link.info['seconds'] for link in links) / HOUR:.3f}", ""))
    versions = ", ".join(f"{name} {version}" for name, version in run.info["versions"].items())
    return [
        "## How it was made",
        table(("run", "hardware", "hours", "seed"), rows),
        escaped(versions),
        *_experts(links),
    ]


def _experts(links: list[runs.Run]) -> list[str]:
    said = {link.id: expert_proof.sentence(link) for link in links}
    return [f"Experts of {escaped(id_)}: {words}." for id_, words in said.items() if words]


def _hours(run: runs.Run) -> str:
    return f"{run.info['seconds'] / HOUR:.3f}"


def _sets(evaluation: runs.Run) -> dict[str, dict]:
    """What report.json of an evaluation has of each set of tasks with hidden tests; nothing where there is none."""
    path = evaluation.path / layout.EVALUATED[0]
    sets = json.loads(path.read_bytes())["sets"] if path.is_file() else {}
    return {name: part for name, part in sets.items() if part.get("kind") == "tasks"}


def _evaluation(run: runs.Run) -> list[str]:
    decoding = run.config.generation.model_dump()
    of = (run.info["parent"] or {}).get("id") or run.info.get("base")
    settings = [("tasks", run.config.source), ("samples of a task", run.config.samples), ("seed", run.info["seed"])]
    settings += [*decoding.items(), ("data hash", run.info.get("data_hash"))]
    proof = run.path / layout.SANDBOX
    isolation = json.loads(proof.read_bytes()).get("isolation", UNKNOWN) if proof.is_file() else UNKNOWN
    settings += [("programs were", isolation), ("hardware", run.info.get("device") or UNKNOWN), ("hours", _hours(run))]
    sets = [
        (name, part["prompt_form"], str(part.get("infra_errors", UNKNOWN)), written.identity(part))
        for name, part in _sets(run).items()
        if "prompt_form" in part
    ]
    worths = [(name, worth.sentence(part.get("tests_accept_at_most"))) for name, part in _sets(run).items()]
    rendered = [part["prompt_example"] for part in _sets(run).values() if "prompt_example" in part]
    asked = next((row["prompt"] for row in run.samples() if "prompt" in row), UNKNOWN)
    shown = f"The first task: {escaped(asked)}"
    if rendered:
        shown = f"The first task, as the model saw it:\n\n{written.fenced(rendered[0])}"
    return [
        f"# {escaped(run.id)}",
        f"What {escaped(of)} answered, and what it was worth.",
        _results(run),
        "## How it was measured",
        table(("setting", "value"), settings),
        *([table(("tasks", "prompt form", "not graded", "hash of the tasks"), sets)] if sets else []),
        *(["## What the tests are worth", table(("tasks", "measured"), worths)] if worths else []),
        shown,
        escaped(", ".join(f"{name} {version}" for name, version in run.info["versions"].items())),
    ]
