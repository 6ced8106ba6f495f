"""What an evaluation leaves for people and programs beside its samples: samples.md and report.json.

Both are made of the run's own records alone, so that they can be made again: equal records, equal bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from nbcore import config as configs
from nbcore import runs
from nbcore.core.redact import redact
from nbcore.evaluation import measures
from nbcore.runs import commit, layout, pausing
from nbcore.tasks import worth

SHOWN = 20  # answers of each set that samples.md prints in full
LONGEST = 6000  # characters of one text in it
_UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")  # characters that hide, or turn the direction


def write(run: runs.Run, parts: Mapping[str, Mapping[str, Any]], results: Mapping[str, Any]) -> None:
    """Write both files into the run. `parts` says of each set of tasks how it was asked (see evaluate.data)."""
    texts = (json.dumps(report(run, parts, results), indent=1) + "\n", samples_page(run))
    for name, text in zip(layout.EVALUATED, texts, strict=True):
        pausing.write(run.path, lambda name=name, text=text: commit.write_durably(run.path / name, text))


def report(run: runs.Run, parts: Mapping[str, Mapping[str, Any]], results: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was measured, with how it was asked: JSON's own types only."""
    config, info = run.config, run.info
    rows: dict[str, list[dict]] = {}
    for row in run.samples():
        rows.setdefault(row["split"], []).append(row)
    sets: dict[str, Any] = {}
    for name, asked in parts.items():
        measured = results.get(name, {})
        sets[name] = {**asked, "seconds": measured.get("seconds")}
        if asked.get("kind") == "refusals":
            sets[name]["metrics"] = {key: value for key, value in measured.items() if key.endswith("_rate")}
            continue
        if asked.get("kind") == "repairs":
            sets[name] |= measured
            continue
        if record := worth.shipped(asked.get("set_sha256")) or worth.of_split(asked["source"], name):
            sets[name]["tests_accept_at_most"] = record["accepts_at_most"]
        sets[name] |= measures.detailed(rows.get(name, []), asked["k"])
        answers = sets[name]["answers"]
        if measured.get("seconds") is not None and answers:
            sets[name]["seconds_per_answer"] = measured["seconds"] / answers
    general = {name: results[name] for name in (config.harness.tasks if config.harness else ()) if name in results}
    perplexity = {key: value for key, value in results.get("perplexity", {}).items() if key != "documents"}
    return {
        **{"schema": 1, "run": run.id, "evaluated": info["parent"] or {"base": info.get("base") or config.model.base}},
        **{"seed": config.seed, "decoding": config.generation.model_dump(mode="json")},
        **{
            "config": configs.digest(config),
            "versions": info["versions"],
            "sets": sets,
            "perplexity": perplexity or None,
            **({"harness": general} if general else {}),
        },
    }


def samples_page(run: runs.Run) -> str:
    """The first answers of each set as Markdown: prompt, answer, verdict, what the compiler said.

    Whatever a model wrote stands in a fence longer than any of its own, which it cannot end; secrets are taken out.
    """
    pieces, counts = [f"# Answers of {run.id}\n"], {}
    for row in run.samples():
        if "completion" not in row:
            continue
        split = row["split"]
        counts[split] = counts.get(split, 0) + 1
        if counts[split] == 1:
            pieces.append(f"## {_inline(split)}\n")
        if counts[split] <= SHOWN:
            pieces.append(_episode(row) if "actions" in row else _answer(row))
    more = [f"{_inline(split)}: {count}" for split, count in counts.items() if count > SHOWN]
    if more:
        pieces.append(f"The first {SHOWN} of each set; all of them stand in samples.jsonl ({', '.join(more)}).\n")
    return redact("\n".join(pieces))


def _answer(row: Mapping[str, Any]) -> str:
    verdict = row.get("verdict") or ("refused" if row.get("refused") else "answered")
    told = [f"### {_inline(row['id'])}, sample {row.get('sample', 0)}: {_inline(verdict)}", ""]
    if row.get("tests_total"):
        told += [f"{row['tests_passed']} of {row['tests_total']} tests passed.", ""]
    if flags := row.get("flags"):
        told += [f"Flags: {', '.join(map(_inline, flags))}", ""]
    told += ["Prompt", "", fenced(row["prompt"]), "", "Answer", "", fenced(row["completion"]), ""]
    if errors := row.get("errors"):
        told += ["Diagnostics", "", fenced("\n".join(_diagnostics(errors))), ""]
    return "\n".join(told)


def _episode(row: Mapping[str, Any]) -> str:
    """An agent's conversation, what it changed in the end, and what the hidden tests said."""
    others = [f"{way.replace('_', ' ')} {row[way]['verdict']}" for way in ("one_shot", "retries") if way in row]
    told = [f"### {_inline(row['id'])} ({_inline(row['kind'])}): {_inline(row['verdict'])}", ""]
    used = f"{row['steps']} actions, {row['valid']} of them valid, {row['tokens']} tokens; ended by {row['done']}"
    told += [_inline("; ".join([used, *others])), "", "Task", "", fenced(row["prompt"]), ""]
    for number, action in enumerate(row["actions"], 1):
        name = action["name"] or action["action"]
        told += [f"{number}. {_inline(name)}", "", fenced(action["arguments"]), "", fenced(action["answer"]), ""]
    told += ["What it changed", "", fenced(row["diff"] or "nothing"), ""]
    return "\n".join(told)


def _diagnostics(errors: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for error in errors:
        where = f"line {error['line']}: " if error.get("line") is not None else ""
        yield f"{where}{error['code'] + ': ' if error.get('code') else ''}{error['message']}"


def fenced(text: str) -> str:
    """A text of anybody's as a block of Markdown that it cannot leave, with what is invisible spelled out."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… {len(text) - LONGEST} more characters"
    plain = "".join(_plain(character) for character in cut.replace("\r\n", "\n"))
    longest = max((len(ticks) for ticks in re.findall("`+", plain)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{plain.rstrip()}\n{fence}"


def identity(part: Mapping[str, Any]) -> str:
    """The hash of the tasks of a set, as report.json has it; of an unnamed one that of tasks and prompt form."""
    return part.get("set_sha256") or part["sha256"]


def _plain(character: str) -> str:
    hidden = (not character.isprintable() and character not in "\n\t") or _UNSEEN.match(character)
    return character.encode("unicode_escape").decode() if hidden else character


def _inline(text: Any) -> str:
    """A name as it stands in a heading: on one line, and no Markdown or HTML."""
    one_line = "".join(_plain(character) for character in " ".join(str(text).split()))
    return re.sub(r"([\\`*_{}\[\]<>#|!&])", r"\\\1", one_line[:200])
