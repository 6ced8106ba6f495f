"""What notebooks display: rows, loss masks, curves, before and after, comparisons, source code.

Each function returns an `Html`: a picture or small table in a notebook, the same content as plain text in a terminal.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby, islice
from typing import Any

from nbcore.view import figures
from nbcore.view.html import PRE, Html, Picture, aligned, clip, grid, plain, pre

IGNORED = -100  # label of a token that carries no loss, as in transformers
GOOD, CLOSE, BAD = "#0072b2", "#b26a00", "#b3372b"  # told apart in any colour vision; the sign says it too
VERDICTS = {
    "pass": ("✓", "passes", GOOD),
    "tests_failed": ("~", "fails tests", CLOSE),
    "compile_error": ("✗", "does not compile", BAD),
    "no_code": ("✗", "no code", BAD),
    "rejected": ("✗", "rejected unseen", BAD),
    "infra_error": ("?", "not graded", "#6b7280"),
}


def facts(values: Mapping[str, Any]) -> Html:
    """Names and values in two columns."""
    width = max(map(len, values), default=0)
    text = "\n".join(f"{name:<{width}}  {plain(value)}" for name, value in values.items())
    return Html(grid([], [[name, plain(value)] for name, value in values.items()]), text)


def data_report(report: Mapping[str, Any]) -> Html:
    """What a phase will train on, before its first step: a table of the rows in numbers, and its other counts below.

    `report["shown"]`: rows, tokens, truncated, dropped, fully_masked, longest, fill (0..1).
    """
    values = {name.replace("_", " "): f"{value:,}" for name, value in report["shown"].items() if name != "fill"}
    values["fill"] = f"{100 * report['shown']['fill']:.2f} %"
    rest = facts({name: value for name, value in report.items() if name != "shown"})
    head, line = list(values), list(values.values())
    return Html(f"{grid(head, [line])}<br>{rest.markup}", f"{aligned([head, line])}\n\n{rest.text}")


def rows(rows: Iterable[Any], tokenizer: Any = None, count: int = 3) -> Html:
    """The first rows of a dataset, field by field; with a tokenizer, their length in tokens as well."""
    blocks, lines = [], []
    for row in islice(rows, count):
        fields = [(clip(name), clip(text)) for name, text in _fields(row)]
        if tokenizer is not None:
            fields.append(("tokens", str(_tokens(row, tokenizer))))
        blocks.append(grid([], [[name, Html(pre(text), text)] for name, text in fields]))
        lines.append("\n".join(f"{name}: {text}" for name, text in fields))
    return Html("<br>".join(blocks) or "<i>no rows</i>", "\n\n".join(lines) or "no rows")


def mask(input_ids: Sequence[int], labels: Sequence[int], tokenizer: Any) -> Html:
    """The loss mask of one row: trained tokens in colour (in text: ⟦so⟧), the rest grey.

    `input_ids` and `labels` have the same length; a label of -100 carries no loss.
    """
    ids, labels = [int(token) for token in input_ids], [int(label) for label in labels]
    if len(ids) != len(labels):
        raise ValueError(f"mask: {len(ids)} input_ids and {len(labels)} labels; they describe the same tokens")
    markup, text, colour = "", "", figures.BLUE
    for trained, group in groupby(zip(ids, labels, strict=True), key=lambda pair: pair[1] != IGNORED):
        pieces = list(_pieces([token for token, _ in group], tokenizer))
        text += f"⟦{''.join(pieces)}⟧" if trained else "".join(pieces)
        style = f"background:{colour}33;box-shadow:inset 0 -2px {colour}" if trained else "color:#808791"
        spans = (html.escape(piece).replace("\n", "↵\n") for piece in pieces)
        # The hairline between spans shows where one token ends.
        markup += "".join(f'<span style="{style};margin-right:1px">{span}</span>' for span in spans)
    trained = sum(label != IGNORED for label in labels)
    legend = f"{trained} of {len(ids)} tokens carry loss"
    swatch = f'<span style="background:{colour}33;box-shadow:inset 0 -2px {colour}">trained</span>'
    swatch += ' <span style="color:#808791">context only</span>'
    return Html(f'<div style="{PRE}">{markup}</div><small>{swatch} · {legend}</small>', f"{text}\n{legend}")


def curves(run: Any, keys: Sequence[str] | None = None) -> Picture:
    """Loss, evaluation loss and reward of a run, raw and smoothed; or the metrics named in `keys`, a panel each.

    Raises ValueError where the run has logged none of them.
    """
    logged = run.metrics()
    ends = [_ends(logged, key) for key in keys or ("loss", "eval_loss", "reward")]
    return Picture(figures.learning(logged, keys), f"{run.id}: " + ", ".join(filter(None, ends)))


def verdict_badge(verdict: str) -> Html:
    """The name of a verdict (a key of VERDICTS) as a small coloured label."""
    sign, words, colour = VERDICTS.get(verdict, ("✗", str(verdict).replace("_", " "), BAD))
    style = f"background:{colour};color:#fff;border-radius:9px;padding:1px 8px;font-size:11px;white-space:nowrap"
    return Html(f'<span style="{style}">{sign} {html.escape(words)}</span>', f"{sign} {words}")


def before_after(samples: Iterable[Mapping[str, Any]], count: int = 4) -> Html:
    """The same prompts before and after training: code and verdict side by side.

    `samples` are rows {"when": "before" | "after", "id", "prompt", "completion", "verdict"}.
    """
    pairs: dict[str, dict[str, Mapping]] = {}
    for row in samples:
        pairs.setdefault(row["id"], {})[row["when"]] = row
    lines, text = [], []
    complete = ((id_, pair) for id_, pair in pairs.items() if len(pair) == 2)
    for id_, pair in islice(complete, count):
        prompt = clip(str(pair["before"]["prompt"]))
        before, after = _answer(pair["before"]), _answer(pair["after"])
        lines.append([Html(pre(prompt), prompt), before, after])
        text.append(f"{id_}: {prompt}\n--- before: {before}\n--- after: {after}")
    return Html(grid(["prompt", "before", "after"], lines), "\n\n".join(text) or "no prompt was sampled twice")


def answers(samples: Iterable[Mapping[str, Any]]) -> Html:
    """Samples {"prompt", "completion", "verdict"} as a table of request, answer and verdict; rows without a verdict are
    left out."""
    lines, text = [], []
    for row in (row for row in samples if "verdict" in row):
        prompt, answer = clip(str(row["prompt"])), _answer(row)
        lines.append([Html(pre(prompt), prompt), answer])
        text.append(f"{prompt}\n--- {answer}")
    return Html(grid(["prompt", "answer"], lines), "\n\n".join(text) or "no answers")


def rates(results: Mapping[str, Mapping[str, Any]]) -> Html:
    """What an evaluation measured (`evaluate.results`): each rate as a bar with its 95 % interval."""
    lines, text = [], []
    for part, measured in results.items():
        for name, value in measured.items():
            if isinstance(value, Mapping) and "low" in value:
                words = f"{value['value']:.1%} [{value['low']:.1%} – {value['high']:.1%}]"
                lines.append(
                    [f"{part}, n = {measured['n']}", name, words, _bar(value["value"], value["low"], value["high"])]
                )
                text.append([part, f"n={measured['n']}", name, words])
        if "value" in measured:
            words = f"{measured['value']:.3f} [{measured['low']:.3f} – {measured['high']:.3f}]"
            lines.append([f"held-out documents, n = {measured['n']}", part, words, ""])
            text.append(["documents", f"n={measured['n']}", part, words])
    return Html(grid([], lines), aligned(text) if text else "nothing measured yet")


def source(function: Callable | type) -> Html:
    """The source code of what a notebook calls, coloured."""
    import inspect
    import textwrap

    from pygments import highlight  # comes with rich
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    code, number = inspect.getsourcelines(function)
    text = textwrap.dedent("".join(code))
    where = f"{function.__module__}.{function.__qualname__} · line {number}"
    # Colours written into the tags need a background of their own: a notebook may be dark.
    box = "background:#f8f8f8;color:#222;padding:8px 12px;border-radius:6px;overflow:auto"
    markup = highlight(text, PythonLexer(), HtmlFormatter(noclasses=True, cssstyles=box))
    return Html(f"<small>{html.escape(where)}</small>{markup}", f"# {where}\n{text}")


def _answer(row: Mapping[str, Any]) -> Html:
    badge, code = verdict_badge(row["verdict"]), clip(row["completion"])
    return Html(f"{badge.markup}{pre(code)}", f"{badge}\n{code}")


def _bar(value: float, low: float, high: float) -> Html:
    span = "position:absolute;top:{top}px;height:{height}px;left:{left:.1f}%;width:{width:.1f}%;background:{colour}"
    bar = span.format(top=3, height=10, left=0, width=100 * value, colour=figures.BLUE)
    whisker = span.format(top=7, height=2, left=100 * low, width=100 * (high - low), colour=figures.ORANGE)
    box = "position:relative;width:220px;height:16px;background:#80879122"
    return Html(f'<div style="{box}"><div style="{bar}"></div><div style="{whisker}"></div></div>', "")


def _fields(row: Any) -> Iterable[tuple[str, str]]:
    for name, value in row.items():
        if name == "messages":
            yield from ((message["role"], plain(message["content"])) for message in value)
        elif value not in (None, {}, []):
            yield name, plain(value)


def _tokens(row: Mapping, tokenizer: Any) -> int:
    if "input_ids" in row:
        return len(row["input_ids"])
    if "messages" in row:
        return len(tokenizer.apply_chat_template(row["messages"], tokenize=True, return_dict=False))
    return len(tokenizer(row["text"] if "text" in row else row["prompt"])["input_ids"])


def _pieces(ids: Sequence[int], tokenizer: Any) -> Iterable[str]:
    # A byte-level token may be only part of a character: tokens are held back until they make whole characters.
    held: list[int] = []
    for token in ids:
        held.append(token)
        piece = tokenizer.decode(held)
        if not piece.endswith("\ufffd") or len(held) >= 4:
            yield piece
            held = []
    if held:
        yield tokenizer.decode(held)


def _ends(logged: Sequence[Mapping], key: str) -> str:
    series = figures.line(logged, key)
    return f"{key} {series.values[0]:.4g} → {series.values[-1]:.4g} (step {series.steps[-1]})" if series else ""
