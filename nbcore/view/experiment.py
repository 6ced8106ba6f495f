"""The outcome of an experiment, from its record: a table for the terminal, Markdown for a file, a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbcore import stats
from nbcore.core import plain_yaml
from nbcore.view import figures
from nbcore.view.comparison import MEASURES, p_value
from nbcore.view.html import aligned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEAD = ("arm", "measure", "control", "arm's", "difference", "p", "power", "detectable", "better/worse")


def rows(record: Mapping[str, Any]) -> list[list[str]]:
    """The table: each arm's measures against the control's, the one that decides first."""
    found = []
    for each in record["effects"]:
        scale, digits = _scale(each)
        effect, power = each["effect"], each["power"]
        between = f"[{scale * effect['low']:+.{digits}f}, {scale * effect['high']:+.{digits}f}]"
        found.append(
            [
                each["arm"],
                each["measure"],
                f"{scale * each['control']:.{digits}f}",
                f"{scale * each['treatment']:.{digits}f}",
                f"{scale * effect['value']:+.{digits}f} {between}",
                p_value(effect["p"]),
                f"{100 * power:.0f} %" if power is not None else "–",
                f"{scale * each['detectable']:.{digits}f}" if effect["error"] else "–",
                f"{each['better']}/{each['worse']}",
            ]
        )
    return found


def verdicts(record: Mapping[str, Any]) -> list[str]:
    """One sentence for each arm."""
    n = {each["arm"]: each["effect"] for each in record["effects"] if each["decides"]}
    return [
        f"{each['arm']}: {each['verdict']}: {each['why']} ({each['measure']}, n = {n[each['arm']]['n']} tasks × "
        f"{n[each['arm']]['seeds']} seeds, p {p_value(each['holm'])})"
        for each in record["effects"]
        if each["decides"]
    ]


def text(record: Mapping[str, Any]) -> str:
    """For a terminal."""
    return "\n".join([record["question"], "", aligned([list(HEAD), *rows(record)]), "", *verdicts(record)])


def note(record: Mapping[str, Any]) -> str:
    """How to read the table."""
    settings = record["settings"]
    level, margin = 100 * (1 - settings["alpha"]), 100 * settings["margin"]
    return (
        "Rates in percent, differences in points, perplexity in nats a token (lower is better). Paired by task and "
        f"seed; the {level:g} % interval and p cover other tasks and another training (families of tasks are drawn "
        "together; Student's t, the variance between seeds added). Power: of finding a difference of "
        f"{margin:g} points; detectable: what would be found in 4 of 5 repetitions; better/worse: tasks."
    )


def markdown(record: Mapping[str, Any]) -> str:
    """The whole outcome as a file for people."""
    settings, one = record["settings"], record["effects"][0]["effect"]
    arms = [f"**{arm['name']}** ({_words(arm)})" for arm in settings["arms"]]
    seeds = ", ".join(map(str, settings["seeds"]))
    out = [
        f"# {record['question']}",
        "",
        *[f"{sentence}." for sentence in verdicts(record)],
        "",
        f"Control {arms[0]}; against {', '.join(arms[1:])}. {settings['pipeline']}, stages "
        f"{', '.join(settings['stages'])}; seeds {seeds} on {', '.join(settings['seeded'])}; all arms: "
        f"`{plain_yaml.dump_line(settings['set'])}`. {one['n']} tasks of `{settings['taskset']}`, each answered under "
        f"{one['seeds']} seeds in every arm. {record['seconds'] / 60:.0f} minutes of runs on {record['device']}.",
        "",
        *_table(HEAD, rows(record)),
        "",
        note(record),
        "",
        "## By seed",
        "",
    ]
    head = ("arm", "measure", *(f"seed {seed}" for seed in settings["seeds"]), "these very models (tasks alone)", "p")
    lines = []
    for each in record["effects"]:
        scale, digits = _scale(each)
        alone = each["tasks_only"]
        bounds = f"[{scale * alone['low']:+.{digits}f}, {scale * alone['high']:+.{digits}f}]"
        seeds_ = [
            f"{scale * by['control']:.{digits}f} → {scale * by['treatment']:.{digits}f}" for by in each["by_seed"]
        ]
        total = f"{scale * alone['value']:+.{digits}f} {bounds}"
        lines.append([each["arm"], each["measure"], *seeds_, total, p_value(alone["p"])])
    out += [*_table(head, lines), "", "The last two columns say nothing of another training: exact sign test.", ""]
    out += ["## Runs", "", *_table(("arm", "seed", "evaluation", "model"), [_run(run) for run in record["runs"]])]
    return "\n".join(out) + "\n"


def figure(record: Mapping[str, Any]) -> Figure:
    """The differences of rates with their intervals: over tasks and seeds, then each seed's own value beside zero."""
    drawn, margins = [], []
    for each in record["effects"]:
        if each["measure"] in MEASURES.values():
            drawn.append((f"{each['arm']}: {each['measure']}", _interval(each["effect"])))
            margins.append(record["settings"]["margin"] if each["decides"] else None)
            for by in each["by_seed"] if each["decides"] else ():
                value = by["effect"]
                drawn.append((f"seed {by['seed']}", stats.Interval(value, value, value, each["effect"]["n"])))
                margins.append(None)
    return figures.differences(drawn, margins, 1 - record["settings"]["alpha"])


def _interval(effect: Mapping[str, Any]) -> stats.Interval:
    return stats.Interval(*(effect[name] for name in stats.Interval._fields))


def _scale(each: Mapping[str, Any]) -> tuple[int, int]:
    """(factor, digits) that a measure is printed with."""
    return (100, 1) if each["measure"] in MEASURES.values() else (1, 4)


def _words(arm: Mapping[str, Any]) -> str:
    if arm["other_seeds"]:
        return f"the control under seeds greater by {arm['other_seeds']}"
    return f"`{plain_yaml.dump_line(arm['set'])}`" if arm["set"] else "as it is"


def _run(run: Mapping[str, Any]) -> list[str]:
    return [run["arm"], str(run["seed"]), f"`{run['evaluation']}`", f"`{run['model']}`" if run["model"] else "base"]


def _table(head: Any, lines: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines]]
