"""Episodes of a repair agent: the conversation with its calls, what they answered and changed, and the verdict."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nbcore.view.html import PRE, Html, aligned, clip, grid, pre
from nbcore.view.viewers import verdict_badge

ADDED, REMOVED = "#0072b2", "#b3372b"  # told apart in any colour vision; the sign at the line's beginning says it too
WAYS = {"agent": "agent", "one_shot": "in one go", "retries": "verified retries", "scripted": "scripted agent"}
NOTHING = "no agent was evaluated: `kind: repairs` in a task set asks one, such as `tasksets: [agent_faults]`"


def episodes(
    samples: Iterable[Mapping[str, Any]], results: Mapping[str, Mapping[str, Any]] | None = None, count: int = 6
) -> Html:
    """Episodes of an evaluation's samples, repaired ones and others in turn: the first open, the others to unfold. With
    `results` (`evaluate.results`) the tables of what was measured stand above them."""
    played = [row for row in samples if "actions" in row]
    repaired, left = ([row for row in played if row["passed"] is way] for way in (True, False))
    turns = [row for pair in zip(repaired, left, strict=False) for row in pair]
    rest = repaired[len(turns) // 2 :] + left[len(turns) // 2 :]
    chosen = [*turns, *rest][:count]
    if not chosen:
        return Html(f"<i>{html.escape(NOTHING)}</i>", NOTHING)
    parts = [episode(row) for row in chosen]
    heads = [_head(row) for row in chosen]
    tables = [repairs(part) for part in (results or {}).values() if "by_kind" in part]
    markup = "".join(table.markup for table in tables)
    for number, (head, part) in enumerate(zip(heads, parts, strict=True)):
        opened = "" if number else " open"
        markup += f'<details style="margin:6px 0"{opened}><summary>{head.markup}</summary>{part.markup}</details>'
    told = [f"{head.text}\n{part.text}" for head, part in zip(heads, parts, strict=True)]
    return Html(markup, "\n\n".join([*(table.text for table in tables), *told]))


def episode(row: Mapping[str, Any]) -> Html:
    """One episode, action by action."""
    lines, told = [], [f"task: {clip(row['prompt'])}"]
    for number, action in enumerate(row["actions"], 1):
        name = action["name"] or action["action"]
        mark = "" if action["valid"] else " ✗"
        given, answer = clip(action["arguments"]), clip(action["answer"])
        changed = difference(action["diff"])
        shown = changed.markup if action["diff"] else pre(given)
        lines.append([str(number), Html(f"<b>{html.escape(name + mark)}</b>", name), Html(shown, given), _pre(answer)])
        told.append(f"{number}. {name}{mark} {given}\n   → {answer}" + (f"\n{changed.text}" if action["diff"] else ""))
    last = difference(row["diff"])
    why = f" {row['why']}" if row.get("why") else ""
    told.append(f"in the end: {row['verdict']}{clip(why)}\n{last.text}")
    end = f"<b>In the end</b> {verdict_badge(row['verdict']).markup} {html.escape(clip(why))}{last.markup}"
    task = f"<small>task</small>{pre(clip(row['prompt']))}"
    return Html(f"{task}{grid(['', 'action', 'call or change', 'answer'], lines)}{end}", "\n".join(told))


def difference(diff: str) -> Html:
    """A unified diff with its lines in colour."""
    if not diff:
        return Html("<div><small>nothing changed</small></div>", "nothing changed")
    text = clip(diff)
    spans = []
    for line in text.split("\n"):
        added, removed = line.startswith("+") and line[:3] != "+++", line.startswith("-") and line[:3] != "---"
        colour = ADDED if added else REMOVED
        style = f"color:{colour};background:{colour}1a" if added or removed else "opacity:.75"
        spans.append(f'<span style="{style}">{html.escape(line)}</span>')
    return Html(f'<pre style="{PRE}">' + "\n".join(spans) + "</pre>", text)


def repairs(measured: Mapping[str, Any]) -> Html:
    """What was measured of a set of repairs: rates by kind of fault and by crate, and the ways compared in pairs."""
    ways = [way for way in WAYS if way in next(iter(measured["by_kind"].values()), {})]
    head = ["fault", "n", *(WAYS[way] for way in ways)]
    overall = {way: measured["repair_rate" if way == "agent" else f"{way}_rate"] for way in ways}
    lines = [["all", str(measured["n"]), *(_rate(overall[way]) for way in ways)]]
    for parts in (measured["by_kind"], measured.get("by_crate", {})):
        for name, rates in sorted(parts.items(), key=lambda item: -item[1]["n"]):
            lines.append([name, str(rates["n"]), *(_rate(rates[way]) for way in ways)])
    pairs = [["pair", "repaired by the first alone", "by the second alone", "exact McNemar p"]]
    for pair in measured["pairs"]:
        names = f"{WAYS[pair['of']]} against {WAYS[pair['against']]}"
        pairs.append([names, str(pair["won"]), str(pair["lost"]), f"{pair['p']:.3g}"])
    facts = _facts(measured)
    markup = f"{grid(head, lines)}<br>{grid(pairs[0], pairs[1:])}<p><small>{html.escape(facts)}</small></p>"
    return Html(markup, f"{aligned([head, *lines])}\n\n{aligned(pairs)}\n{facts}")


def _facts(measured: Mapping[str, Any]) -> str:
    means, caps = measured["means"], measured["caps"]
    valid = measured["valid_calls"]
    used = ", ".join(f"{means[name]['value']:.1f} {name.replace('_', ' ')}" for name in means)
    ended = ", ".join(f"{count} {name}" for name, count in measured["ended"].items())
    most = f"at most {caps['steps']} actions, {caps['tokens']} tokens, {caps['attempts']} attempts"
    return f"valid actions {_rate(valid)} of {valid['n']}; on average {used}; ended by: {ended}; {most}"


def _head(row: Mapping[str, Any]) -> Html:
    badge = verdict_badge(row["verdict"])
    others = [f"{WAYS[way]} {'repaired' if row[way]['passed'] else 'did not repair'} it" for way in WAYS if way in row]
    words = f"{row['id']} · {row['kind']} · {row['steps']} actions, {row['tokens']} tokens, ended by {row['done']}"
    words = " · ".join([words, *others])
    return Html(f"{badge.markup} {html.escape(words)}", f"{badge} {words}")


def _pre(text: str) -> Html:
    return Html(pre(text), text)


def _rate(rate: Mapping[str, Any]) -> str:
    return f"{rate['value']:.1%} [{rate['low']:.1%} – {rate['high']:.1%}]"


__all__: Sequence[str] = ("difference", "episode", "episodes", "repairs")
