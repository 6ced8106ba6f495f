"""Checks of the run itself, beside its numbers: whether it is what it says, and was measured as it should be.

Each can fail by itself. `look` runs those that a gate asks for; what cannot be tried here is INVESTIGATE, never PASS.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from nbcore import config as configs
from nbcore import runs
from nbcore.gates import adapters, chain, contamination, measure
from nbcore.gates.checks import FAIL, INVESTIGATE, PASS
from nbcore.gates.contamination import Doing
from nbcore.gates.gate_file import Gate
from nbcore.runs import choice, commit, inputs, layout, weights

SILENT: Doing = lambda words, done, total: None  # noqa: E731 - the default of a parameter
TOKENIZER = ("tokenizer", "special_tokens_map", "added_tokens", "vocab", "merges", "chat_template", "spiece")


class Finding(NamedTuple):
    """What one check came to."""

    name: str
    verdict: str
    why: str


class Subject(NamedTuple):
    """What is looked at."""

    run: runs.Run
    evaluation: runs.Run | None
    baseline: runs.Run | None
    gate: Gate
    doing: Doing


def look(subject: Subject) -> list[Finding]:
    """The findings of the checks that the gate asks for, in its order."""
    found = []
    for name in subject.gate.integrity:
        subject.doing(name.replace("_", " "), 0, 0)
        try:
            verdict, why = CHECKS[name](subject)
        except measure.NotRecorded as error:
            verdict, why = INVESTIGATE, f"not tried: {error}"
        found.append(Finding(name, verdict, why))
    return found


def _weights_finite(subject: Subject) -> tuple[str, str]:
    left = choice.leaves(subject.run)
    if not left or configs.TABLE[subject.run.phase].makes_data:
        return PASS, "it leaves no weights"
    files = sorted((subject.run.path / left).rglob(adapters.WEIGHTS))
    if not files:
        return FAIL, f"no weights in {left}/"
    for file in files:
        try:
            wrong = weights.not_finite(file)
        except (OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError):
            wrong = "is no whole safetensors file"
        if wrong:
            return FAIL, f"{file.name}: {wrong}"
    return PASS, f"{len(files)} file{'s' if len(files) > 1 else ''}"


def _adapter_changed(subject: Subject) -> tuple[str, str]:
    entry = configs.TABLE[subject.run.phase]
    if not entry.trains or entry.leaves != layout.ADAPTER:
        return PASS, "it leaves no adapter"
    folder, before = subject.run.path / layout.ADAPTER, _adapter_before(subject.run)
    if before is None and (gone := choice.missing(subject.run)):
        return INVESTIGATE, f"not tried: {gone}, which it stands on, is not here"
    try:
        names, lost = adapters.tensors(folder), adapters.lost(folder, before)
        same = adapters.untouched(folder, before) if names else []
    except (OSError, ValueError) as error:
        return FAIL, str(error)
    if not names:
        return FAIL, f"no weights in {layout.ADAPTER}/"
    if lost:
        return FAIL, f"{len(lost)} tensors of the parent's adapter are gone: {lost[0]}"
    if same:
        what = "are those of the parent" if before else "are zero, so they add nothing"
        return FAIL, f"{len(same)} of {len(names)} tensors {what}: {same[0]}"
    return PASS, f"all {len(names)} tensors"


def _adapter_before(run: runs.Run):
    above = list(choice.lineage(run))[1:]
    folders = [each.path / layout.ADAPTER for each in above]
    return next((folder for folder in folders if folder.is_dir()), None)


def _adapter_loaded(subject: Subject) -> tuple[str, str]:
    entry = configs.TABLE[subject.run.phase]
    if not entry.trains or entry.leaves != layout.ADAPTER:
        return PASS, "it leaves no adapter"
    from nbcore.training import adapter_effect, load, memory  # torch, which nothing else here needs

    try:
        model = subject.run.config.model
    except (OSError, ValueError) as error:
        return FAIL, f"its config cannot be read: {error}"
    if gone := choice.missing(subject.run):
        return INVESTIGATE, f"not tried: {gone}, which it stands on, is not here"
    try:
        load.check_precision(model)
    except ValueError as error:
        return INVESTIGATE, f"not tried: {error}"
    try:
        difference = adapter_effect.largest_difference(subject.run)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        words = " ".join(str(error).split())[:200]
        if memory.is_lacking(error):
            return INVESTIGATE, f"not tried for want of memory: {words}"
        return FAIL, f"does not load: {type(error).__name__}: {words}"
    if not difference < float("inf"):
        return FAIL, "the logits are not finite"
    if difference == 0:
        return FAIL, "base and adapter give the same logits: nothing of it is loaded"
    return PASS, f"moves a logit by up to {difference:.3g}"


def _tokenizer_unchanged(subject: Subject) -> tuple[str, str]:
    """Of the base now, of the run's own folder, of its ancestors' records and of the evaluation's: all the same."""
    try:
        recorded = _tokenizer_files(subject.run)
        others = [each for each in (*list(choice.lineage(subject.run))[1:], subject.evaluation) if each]
        records = [(each.id, _tokenizer_files(each)) for each in others]
    except (OSError, ValueError) as error:
        return FAIL, f"of {subject.run.id} or what it stands on, {error}"
    now = {path: inputs.located(path) for path in recorded}
    for path, (name, sha256) in recorded.items():
        if now[path] is None:
            return INVESTIGATE, f"{path} is not here, so nothing tells whether it changed"
        if commit.sha256(now[path]) != sha256:
            return FAIL, f"{path} has changed since the run was opened"
        for id_, files in records:
            theirs = dict(files.values())
            if theirs.get(name, sha256) != sha256:
                return FAIL, f"{name} is another one than that of {id_}"
        leaves = choice.leaves(subject.run)
        own = subject.run.path / leaves / name if leaves else None
        if own and own.is_file() and leaves == layout.ADAPTER and commit.sha256(own) != sha256:
            return FAIL, f"{leaves}/{name} is not the base's"
    if not recorded:
        return PASS, "its base is no folder here; the commit or the run that it names stands for it"
    return PASS, ", ".join(sorted(name for name, _ in recorded.values()))


def _tokenizer_files(run: runs.Run) -> dict[str, tuple[str, str]]:
    """Path -> (file name, sha256) of the tokenizer and chat template among the base's files that a run recorded."""
    files = {**run.info.get("shipped", {}), **run.info.get("inputs", {}).get(inputs.BASE, {})}
    named = {path: (path.rpartition("/")[2], sha256) for path, sha256 in files.items() if "/" in path and sha256}
    return {path: entry for path, entry in named.items() if entry[0].startswith(TOKENIZER)}


def _hashes_verified(subject: Subject) -> tuple[str, str]:
    replaced = ("blessing", subject.run.id, chain.ABSENT)  # else a decision that is gone could not be made anew
    links = [link for link in chain.verify_chain(subject.run) if link[:3] != replaced]
    for evaluation in (subject.evaluation, subject.baseline):
        links += chain.files_of(evaluation) if evaluation else []
    bad = chain.broken(links)
    worse = [link for link in bad if link.state == chain.BROKEN]
    if worse:
        return FAIL, worse[0].line()
    return (INVESTIGATE, bad[0].line()) if bad else (PASS, f"{len(links)} links")


def _no_contamination(subject: Subject) -> tuple[str, str]:
    bound = subject.gate.integrity["no_contamination"] or 0.0
    try:
        found = contamination.search(subject.run, subject.evaluation, subject.gate, subject.doing)
    except (OSError, ValueError) as error:
        return INVESTIGATE, f"not tried: {error}"
    share = len(found.hits) / found.records if found.records else 0.0
    if share > bound:
        more = f" and {len(found.hits) - 1} more" if found.hits[1:] else ""
        return FAIL, f"{found.hits[0]}{more}, of {found.records} records that it was trained on"
    if found.unread:
        return INVESTIGATE, f"not looked through: {found.unread[0]}"
    return PASS, f"{found.records} records of files; shipped katas are kept apart by composition"


def _sandbox_not_degraded(subject: Subject) -> tuple[str, str]:
    proved = 0
    for run in filter(None, (subject.evaluation, subject.baseline, subject.run)):
        proof = run.path / layout.SANDBOX
        if not proof.is_file():
            if configs.TABLE[run.phase].measures:
                return INVESTIGATE, f"{run.id} left no {proof.name}: nothing tells what its programs could reach"
            continue
        try:
            isolation = json.loads(proof.read_text("utf-8"))["isolation"]
        except (ValueError, KeyError, TypeError):
            return FAIL, f"{run.id}: {proof.name} cannot be read"
        if isolation != "jailed":
            return FAIL, f"{run.id} was graded in a sandbox that is {isolation}"
        proved += 1
    return PASS, f"jailed in {proved} run{'s' if proved != 1 else ''}"


def _hack_rate(subject: Subject) -> tuple[str, str]:
    bound = subject.gate.integrity["hack_rate"]
    logged = [row["hack_rate"] for row in subject.run.metrics() if "hack_rate" in row]
    late = logged[-max(1, len(logged) // 4) :] if logged else []
    rates = [("the last quarter of training", sum(late) / len(late))] if late else []
    rates += measure.shares(subject.gate.sets, measure.hack_rate, evaluation=subject.evaluation)
    return _bounded("hack rate", rates, bound)


def _infra_errors(subject: Subject) -> tuple[str, str]:
    sides = {"evaluation": subject.evaluation, "baseline": subject.baseline}
    rates = measure.shares(subject.gate.sets, measure.infra_errors, **sides)
    return _bounded("infra errors", rates, subject.gate.integrity["infra_errors"])


def _parity(subject: Subject) -> tuple[str, str]:
    """That an export is the model that was trained, by the proof that it left beside it."""
    if not configs.TABLE[subject.run.phase].whole:
        return PASS, "it is no export"
    try:
        proof = json.loads((subject.run.path / layout.PARITY).read_text("utf-8"))
        problems, files = list(proof["problems"]), proof.get("gguf", {})
        problems += [f"{kind}: {words}" for kind, each in files.items() for words in each.get("problems", ())]
        untried = [kind for kind, each in files.items() if "skipped" in each]
        whole, tensors = proof["ok"] is True, len(proof["tensors"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return FAIL, f"{layout.PARITY} is missing or cannot be read: nothing proves that this is what was trained"
    if problems or not whole:
        return FAIL, (problems or ["it is not what was trained"])[0]
    words = f"{tensors} tensors are what was trained"
    return PASS, words + (f"; not made here: {', '.join(untried)}" if untried else "")


def _bounded(what: str, rates: list[tuple[str, float]], bound: float) -> tuple[str, str]:
    for where, rate in rates:
        if not rate <= bound:
            return FAIL, f"{what} {100 * rate:.1f} % in {where}, above {100 * bound:g} %"
    return PASS, f"at most {100 * max((rate for _, rate in rates), default=0.0):.1f} % ({100 * bound:g} % are allowed)"


CHECKS: dict[str, Callable[[Subject], tuple[str, str]]] = {
    "weights_finite": _weights_finite,
    "adapter_changed": _adapter_changed,
    "adapter_loaded": _adapter_loaded,
    "tokenizer_unchanged": _tokenizer_unchanged,
    "hashes_verified": _hashes_verified,
    "no_contamination": _no_contamination,
    "sandbox_not_degraded": _sandbox_not_degraded,
    "hack_rate": _hack_rate,
    "infra_errors": _infra_errors,
    "parity": _parity,
}
