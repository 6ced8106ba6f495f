"""One page about a store: what one chain of runs achieved (chains.py says which one), and where the numbers come from.

`build` writes a self-contained HTML file, `table` makes the headline table for the terminal. Every number is read from
a run directory that was checked against its manifest; sections without any numbers are left out.
Longer than usual because a page is many small pieces of markup, and one file keeps them in reading order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from nbcore import config, runs, view
from nbcore.core import environment, plain_yaml
from nbcore.core.redact import redact
from nbcore.report import (
    beside,
    chains,
    decisions,
    experiments,
    exports,
    html_table,
    lineage,
    profiles,
    repairs,
    task_sets,
)
from nbcore.report.chains import Chosen, Stage
from nbcore.report.lineage import ABSENT
from nbcore.runs import choice, layout
from nbcore.view import expert_proof, figures, gate_table

LINES = 12  # lines of a program that are printed; the rest is only counted


def left_out(store: str | Path, run: str | None = None) -> str:
    """What the report of a store leaves out, for the terminal: runs that are not evaluated, other chains."""
    return beside.text(chains.choose(store, run), store)


def table(store: str | Path, run: str | None = None) -> Any:
    """The headline table as a rich Table that fits 80 columns; the page has more columns and intervals."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    head, lines, _ = lineage.headline(stages := chains.chain(store, run))
    note = "[95 % intervals]. Δ and p: against the row above, paired by task, exact McNemar, Holm-adjusted."
    note += lineage.degraded(stages)
    red = "".join(f"\n{line}" for line in decisions.waived(stages))
    drawn = Table(
        title=repairs.summary(store, stages),
        caption=Text.assemble(note, (red, "bold red")),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    shown = ("phase", "compile rate", "pass@1", "Δ pass@1", "p", "unseen pass@1", "perplexity")
    for name in shown:
        label = {"unseen pass@1": "unseen", "perplexity": "ppl", "Δ pass@1": "Δ"}.get(name, name)
        drawn.add_column(label, justify="left" if name == "phase" else "right", no_wrap=True)
    for line in lines:
        cells = [line[head.index(name)].partition(" (")[0] for name in shown]  # the interval of Δ is on the page
        drawn.add_row(*(Text(cell) for cell in cells))  # Text: brackets in a name are no markup
    return drawn


def build(store: str | Path, out: str | Path | None = None, run: str | None = None, stopped: str = "") -> Path:
    """Write the page (default: report.html in the store) and return its path. Equal stores give equal pages.

    `run` names the last run of the chain to report; without it the rule in chains.py chooses. `stopped`: why a gate has
    stopped the pipeline, which the page begins with; it is then written even where there is no sound chain to report.
    Raises ValueError where nothing is finished.
    """
    try:
        chosen = chains.choose(store, run)
    except ValueError:
        if not stopped:
            raise
        chosen = None
    stages = chosen.stages if chosen else ()
    style = resources.files("nbcore").joinpath("assets/report.css").read_text("utf-8")
    sections = (
        _results,
        task_sets.section,
        lambda stages: repairs.section(store, stages),
        decisions.section,
        _programs,
        _losses,
        _rewards,
        profiles.section,
        exports.section,
        _provenance,
    )
    parts = [_stopped(stopped)] if stopped else []
    if chosen:
        parts += [*(section(stages) for section in sections), experiments.section(store), _beside(chosen)]
    body = "\n".join(filter(None, parts))
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Teaching a language model Rust</title>
<style>
{style}</style>
</head>
<body>
<main>
{_header(stages, repairs.summary(store, stages)) if chosen else ""}
{body}
</main>
</body>
</html>
"""
    path = Path(out) if out else Path(store) / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(redact(page), "utf-8")
    return path


def figure(store: str | Path, out: str | Path, run: str | None = None) -> Path:
    """Write the headline figure alone to `out`, whose ending sets the format. Raises ValueError without evaluations."""
    evaluated = [stage for stage in chains.chain(store, run) if stage.evaluation]
    if not evaluated:
        raise ValueError(f"no finished evaluation in {store}: the figure shows nothing else")
    _climb(evaluated).savefig(out, dpi=110, facecolor="white")  # a transparent one is unreadable on a dark page
    return Path(out)


def _climb(evaluated: Sequence[Stage]) -> Any:
    rates = []
    for title, key, color in (
        ("Passes all hidden tests (pass@1)", "pass@1", figures.BLUE),
        ("Compiles", "compile_rate", figures.ORANGE),
    ):
        seen, unseen = ([stage.rate(split, key) for stage in evaluated] for split in ("heldout", "unseen_family"))
        rates.append((title, color, seen, unseen))
    return figures.progress([stage.label for stage in evaluated], rates)


def _stopped(why: str) -> str:
    color = gate_table.COLORS["FAIL"]
    return f'<section><h2>Stopped by a gate</h2><p class="stopped" style="color:{color}">{escape(why)}</p></section>'


def _header(stages: Sequence[Stage], lead: str) -> str:
    evaluated = [stage for stage in stages if stage.evaluation]
    newest = stages[-1].run or stages[-1].evaluation
    path = " → ".join(stage.label for stage in stages)
    tiles = ""
    if evaluated:
        first, last = evaluated[0], evaluated[-1]
        wanted = (
            ("heldout", "pass@1", "pass all hidden tests"),
            ("heldout", "compile_rate", "compile"),
            ("unseen_family", "pass@1", "pass, families never trained on"),
        )
        for split, key, words in wanted:
            if rate := last.rate(split, key):
                start = first.rate(split, key)
                before = (
                    f'<span class="from">{lineage.percent(start.value)} →</span> '
                    if start and first is not last
                    else ""
                )
                between = f"{rate.n} tasks, 95 % interval {lineage.between(rate)}"
                tiles += f"<li><b>{before}{lineage.percent(rate.value)}</b>{words}<small>{between}</small></li>"
    trained = [stage.run for stage in stages if stage.run]
    if trained:
        minutes = sum(run.info["seconds"] for run in trained) / 60
        device = view.plain(trained[-1].info["device"])
        phases = f"{len(trained)} training phase{'s' if len(trained) > 1 else ''}"
        tiles += f"<li><b>{minutes:.1f} min</b>of training<small>{phases} on {escape(device)}</small></li>"
    return f"""<header>
<p class="kicker">{escape(path)}</p>
<h1>Teaching a language model Rust</h1>
<p class="lead">{escape(lead).replace(" %", "&nbsp;%")}</p>
<ul class="tiles">{tiles}</ul>
<p class="quiet">Base model {escape(lineage.base(newest))}. Every program below was compiled by rustc and run against
tests that the model never saw.</p>
</header>"""


def _results(stages: Sequence[Stage]) -> str:
    evaluated = [stage for stage in stages if stage.evaluation]
    head, lines, note = lineage.headline(stages)
    cells = html_table.of_text(head, lines, "numbers")
    if not evaluated:
        return f"<section><h2>Results</h2>{cells}</section>"
    figure = figures.svg(_climb(evaluated), lineage.summary(stages))
    apart = any(stage.rate("unseen_family", "pass@1") for stage in evaluated)
    unseen = ". Dashed: task families that no phase was trained on" if apart else ""
    return f"""<section><h2>What each phase added</h2>
<figure>{figure}<figcaption>Share of tasks, one program each. Solid: held-out tasks, compositions that no phase was
trained on{unseen}. Whiskers: 95 % intervals.</figcaption></figure>
{cells}<p class="quiet">{escape(note)}</p></section>"""


def _programs(stages: Sequence[Stage]) -> str:
    evaluated = [stage for stage in stages if stage.evaluation]
    if not evaluated:
        return ""
    answers = [
        {row["id"]: row for row in stage.evaluation.samples() if row["split"] == "heldout"} for stage in evaluated
    ]
    start = next((at for at, stage in enumerate(evaluated[:-1]) if stage.is_yardstick), 0)
    chosen, rule = lineage.choose(answers, start, evaluated)
    cards = []
    for id_ in chosen:
        steps, previous = [], None
        for stage, rows in zip(evaluated, answers, strict=True):
            if not (row := rows.get(id_)):
                continue
            same = previous is not None and row["completion"] == previous["completion"]
            steps.append(_step(stage.label, row, same))
            previous = row
        task, _, signature = answers[-1][id_]["prompt"].strip().partition("\n")
        code = f'<pre class="code signature">{_rust(signature.strip())}</pre>' if signature.strip() else ""
        cards.append(f'<article><h3>{_prose(task)}</h3>{code}<ol class="steps">{"".join(steps)}</ol></article>')
    return f"""<section><h2>The same prompts, phase after phase</h2>
<p class="quiet">Held-out tasks. {escape(rule)}</p><div class="cards">{"".join(cards)}</div></section>"""


def _step(label: str, row: Mapping, same: bool) -> str:
    badge = view.verdict_badge(row["verdict"]).markup
    if row["verdict"] == "tests_failed":
        badge += f" <small>{row['tests_passed']} of {row['tests_total']} tests pass</small>"
    if same:
        return f'<li><p class="who"><b>{escape(label)}</b>{badge}<small>the same program</small></p></li>'
    lines = row["completion"].strip("\n").rstrip().split("\n")
    kept = "\n".join(line[:400] for line in lines[:LINES])
    more = f"<small>… {len(lines) - LINES} more lines</small>" if len(lines) > LINES else ""
    error = row["errors"][0] if row["errors"] else None
    said = f'<p class="error">{escape(": ".join(filter(None, (error["code"], error["message"]))))}</p>' if error else ""
    return (
        f'<li><p class="who"><b>{escape(label)}</b>{badge}</p>'
        f'<pre class="code">{_rust(kept) or "<i>(nothing)</i>"}</pre>{more}{said}</li>'
    )


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _rust(code: str) -> str:
    from pygments import highlight  # comes with rich
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import RustLexer

    return highlight(code, RustLexer(stripnl=False, ensurenl=False), HtmlFormatter(nowrap=True))


def _losses(stages: Sequence[Stage]) -> str:
    content = []
    for stage in stages:
        logged = stage.run.metrics() if stage.run else []
        # With a reward, the level of the loss says nothing, since advantages are centred: _rewards draws the reward.
        if any("reward" in row for row in logged):
            continue
        lines = [
            figures.line(logged, "loss", "training"),
            figures.line(logged, "eval_loss", "held-out", color=figures.ORANGE, sparse=True),
        ]
        if any(lines):
            content.append(figures.Panel(stage.label, [line for line in lines if line]))
    if not content:
        return ""
    figure = figures.svg(figures.panels(content), "training and held-out loss by phase")
    return f"""<section><h2>Losses</h2><figure>{figure}<figcaption>Each phase has its own loss and its own scale.
Pale: as logged; line: moving average; dots: held-out rows.</figcaption></figure></section>"""


def _rewards(stages: Sequence[Stage]) -> str:
    rewarded = [stage for stage in stages if stage.run and any("reward" in row for row in stage.run.metrics())]
    if not rewarded:
        return ""
    label, logged = rewarded[-1].label, rewarded[-1].run.metrics()
    names = dict.fromkeys(key for row in logged for key in row if key.startswith("rewards/") and key.endswith("/mean"))
    titles = {"reward": "reward (weighted sum)"} | {name: name.split("/")[1] for name in names}
    others = {"completions/mean_length": "tokens per completion", "kl": "KL to the parent", "entropy": "entropy"}
    lines = [(key, title, figures.line(logged, key)) for key, title in (titles | others).items()]
    content = [figures.Panel(title, [line], None if key in others else (0, 1.03)) for key, title, line in lines if line]
    if not content:
        return ""
    figure = figures.svg(figures.panels(content), f"reward and its components over {label} steps")
    return f"""<section><h2>What {escape(label)} was rewarded for</h2><figure>{figure}<figcaption>Means over the
completions of a step, drawn at the training temperature on training tasks.</figcaption></figure></section>"""


def _provenance(stages: Sequence[Stage]) -> str:
    lines = []
    for stage in stages:
        run, evaluation = stage.run, stage.evaluation
        names = [f"<code>{escape(run.id)}</code>"] if run else []
        names += [f"<small>evaluated by <code>{escape(evaluation.id)}</code></small>"] if evaluation else []
        if run and (trained := expert_proof.sentence(run)):
            names.append(f"<small>{escape(trained)}</small>")
        if not run:
            lines.append([stage.label, "<br>".join(names), *[ABSENT] * 5])
            continue
        steps = max((row["step"] for row in run.metrics() if "step" in row), default=0)
        parent = run.info["parent"]
        read = run.info.get("data_run")
        from_run = f"<br><small>from <code>{escape(read['id'])}</code></small>" if read else ""
        hashes = [
            _hash(run.info["data_hash"]) + from_run,
            _hash(parent["hash"]) if parent else escape(lineage.base(run)),
        ]
        minutes = f"{run.info['seconds'] / 60:.1f}"
        lines.append([stage.label, "<br>".join(names), str(steps), str(run.info["seed"]), *hashes, minutes])
    head = ["phase", "run", "steps", "seed", "data", "started from", "minutes"]
    newest = stages[-1].run or stages[-1].evaluation
    versions = " · ".join(f"{name} {version}" for name, version in newest.info["versions"].items())
    return f"""<section><h2>Where the numbers come from</h2>{html_table.of_html(head, lines, "provenance")}
<p class="quiet">Data and parents are named by the first digits of their sha256; the parent's covers every file it
left. {escape(view.plain(newest.info["device"]))} · {escape(versions)}</p></section>
<footer><h2>Reproduce it</h2><pre class="command">{escape(_command([stage.run for stage in stages if stage.run]))}</pre>
<p class="quiet">The resolved configuration of every run is its <code>config.yaml</code>; its metrics and graded
programs lie beside it. Finished {escape(newest.info["finished"])}.</p></footer>"""


def _beside(chosen: Chosen) -> str:
    """The section on runs and chains that the page is not about, each with the command that brings it in."""
    items = []
    for run in chosen.unevaluated:
        command = beside.evaluate_command(run, chosen, "STORE")
        items.append((run, "not evaluated", choice.shortfall(run), command))
    for stage in chosen.others:
        command = beside.report_command(stage.run, "STORE")
        items.append((stage.run, beside.result(stage), choice.shortfall(stage.evaluation), command))
    if not items:
        return ""
    cells = ""
    for run, said, short, command in items:
        words = f"{said} · cut short: {short}" if short else said
        cells += f'<p><code>{escape(run.id)}</code> · {escape(words)}</p><pre class="command">{escape(command)}</pre>'
    return f"""<section><h2>Also in this store</h2>
<p class="quiet">This page is about the chain whose last run was evaluated and not cut short, of the latest phase, the
newest of these. What else was evaluated, or is newer and was not, with the command that brings it in:</p>
{cells}</section>"""


def _command(chain: Sequence[runs.Run]) -> str:
    """The command that repeats this chain: the pipeline of its profile, or one command for each notebook where a config
    is not as shipped."""
    name = chain[-1].config.name if chain else "tiny"
    read = {about["id"]: None for run in chain if (about := run.info.get("data_run"))}
    digests = [config.digest(run.config) for run in chain] + [layout.config_of(id_)[1] for id_ in read]
    if set(digests) <= _shipped(name):
        return "bash colab_setup.sh run" if name == "tiny" else f"python -m nbcore run configs/pipeline/{name}.yaml"
    lines = []
    for id_ in [*read, *(run.id for run in chain)]:
        notebook = environment.notebook(id_.partition("/")[0]).name
        settings = f"{{config: STORE/{id_}/config.yaml, store: STORE}}"
        lines.append(f'papermill -k python3 -l python notebooks/{notebook} {notebook} -y "{settings}"')
    return "\n".join(lines)


def _shipped(name: str) -> set[str]:
    """The digests of the configs that the shipped pipeline of a profile runs: with what it lays over them, and, from
    stores of before the chain began with data, without."""
    path = environment.shipped_config("pipeline", name)
    stages = plain_yaml.read(path)["stages"] if path.is_file() else []
    return {
        config.digest(config.load(environment.REPO / stage["config"], overrides))
        for stage in stages
        for overrides in ({}, stage.get("overrides", {}))
    }


def _hash(digest: str) -> str:
    return f"<code>{escape(digest.removeprefix('sha256:')[:12])}</code>"
