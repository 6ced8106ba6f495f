"""Whether an exported folder is the model that was trained: tensor by tensor, file by file, and in its logits.

kept = <merged - base, Δ> / <Δ, Δ>, the share of the adapter's update Δ that is in the merged tensor: 1 where it is
whole, 0 where it was lost, whatever the type that the export is written in.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

from nbcore.runs import commit, layout
from nbcore.training.export import carried, closeness, deltas, logits, merge, settings, tensors, whole_merge

FILE = layout.PARITY  # beside the model of an export
TOLERANCE = {"float32": 1e-3, "float16": 0.02, "bfloat16": 0.1}  # by how much `kept` may differ from 1: it is rounding


class Lost(RuntimeError):
    """An export that is not the model that was trained; the message names what was lost."""


def check(
    base: Path,
    adapter: Path | None,
    folder: Path,
    *,
    trained_in_4_bits: bool = False,
    prompts: int = 8,
    compute: str = "float32",
    device: str = "cpu",
    doing: merge.Doing = merge.quiet,
) -> dict[str, Any]:
    """Everything that can be proved of an exported folder: {"ok", "problems", "tensors", "logits", …}.

    "problems" has one line each, naming the tensor or the file. `prompts`: how many fixed texts are read for the
    logits; 0 leaves them out. `compute`: type in which they are computed.
    """
    problems: list[str] = []
    report: dict[str, Any] = {"base": str(base), "adapter": str(adapter) if adapter else None, "problems": problems}
    report["tensors"] = []
    try:
        weights = tensors.Weights(folder)
    except ValueError as error:
        problems.append(str(error))
    else:
        report["tensors"] = check_tensors(base, adapter, weights, problems, trained_in_4_bits, device, doing)
    problems += check_tokenizer(base, adapter, folder)
    if prompts and not problems:
        report["logits"] = logits.compare(base, adapter, folder, prompts, compute, trained_in_4_bits, device, doing)
        problems += logits.problems(report["logits"])
    report["ok"] = not problems
    return report


def check_tensors(
    base: Path,
    adapter: Path | None,
    merged: tensors.Weights,
    problems: list[str],
    trained_in_4_bits: bool = False,
    device: str = "cpu",
    doing: merge.Doing = merge.quiet,
) -> list[dict[str, Any]]:
    """A row for each tensor that the adapter targets: name, max_delta, kept, and of experts the least kept.

    Names, shapes and types are compared with the base's, every tensor is looked through for NaN, and one that no
    adapter targets must be the base's. What is wrong is added to `problems`.
    """
    weights = tensors.Weights(base)
    try:
        config = settings.read(merged.folder / settings.CONFIG)
    except ValueError as error:
        problems.append(str(error))
        return []
    dtype = config.get("dtype") or config.get("torch_dtype") or "float32"
    if dtype not in TOLERANCE:
        problems.append(f"config.json: dtype is {dtype!r}; an export is in {', '.join(TOLERANCE)}")
        return []
    problems += settings.strays(merged.folder, merged.stored.values())
    try:
        parts = deltas.load(base, adapter)
        streamed = merge.streams(weights, parts)
    except deltas.NotPlain:
        parts, streamed = deltas.load(base, None), False
    if not streamed:
        rows, wrong = whole_merge.check(weights, merged, adapter, dtype, parts.tied or ())
        problems += [*settings.check_config(base, merged.folder, False), *wrong]
        return rows
    rounded = set(parts.linear) if trained_in_4_bits else frozenset()
    target = merge.Target(weights, parts, getattr(torch, dtype), device, rounded)
    if target.untied and config.get("tie_word_embeddings"):
        problems.append(
            "config.json: tie_word_embeddings is true, but the adapter has trained one of two uses of the weight"
        )
    problems += settings.check_config(base, merged.folder, target.untied)
    for name in sorted(set(merged.names) - set(target.names)):
        problems.append(f"{name}: is in the export and not in the base")
    rows = []
    for done, name in enumerate(target.names, 1):
        doing("comparing tensors", done, len(target.names))
        if name not in merged.names:
            problems.append(f"{name}: missing from the export")
            continue
        if merged.shape(name) != target.shape(name):
            problems.append(
                f"{name}: has the shape {merged.shape(name)} in the export, {target.shape(name)} in the base"
            )
            continue
        if merged.dtype(name) != target.kind(name):
            problems.append(f"{name}: is {merged.dtype(name)} in the export, {target.kind(name)} was asked for")
            continue
        value = merged.read(name).to(device)
        if not closeness.finite(value):
            problems.append(f"{name}: holds NaN or infinite values")
        elif name in parts.changes:
            row, wrong = _row(name, value.float(), target, parts.changes[name], dtype)
            rows.append(row)
            problems += wrong
        elif not _untouched(value, target.made(name), dtype, target.exact(name)):
            problems.append(f"{name}: is not the base's, and no adapter targets it")
    return rows


def _row(
    name: str, merged: torch.Tensor, target: merge.Target, change: deltas.Change, dtype: str
) -> tuple[dict[str, Any], list[str]]:
    delta = change.make().to(merged.device)
    base = target.base(name)
    if change.replaces:
        if delta.shape != base.shape:  # another vocabulary
            same = closeness.equal(merged, delta, dtype)
            return {"name": name, "max_delta": None, "kept": 1.0}, [] if same else [f"{name}: is not the adapter's"]
        delta = delta - base
    most, wrong = size_of_update(name, delta, change.replaces)
    row = {"name": name, "max_delta": most, "kept": None}
    if wrong:
        return row, wrong
    if most == 0:
        return row | {"kept": 1.0}, []  # kept whole beside the adapter, and left as it was
    how = {"dtype": dtype, "kind": target.kind(name), "exact": target.exact(name)}
    row["kept"], words = _kept(merged, base, delta, **how)
    lost = []
    if delta.dim() == 3:  # one expert after the other
        trained = [expert for expert in range(len(delta)) if bool(delta[expert].any())]
        row |= {"experts": len(delta), "untrained": len(delta) - len(trained)}
        of_each = {expert: _kept(merged[expert], base[expert], delta[expert], **how)[1] for expert in trained}
        lost = [f"{name}, expert {expert}: {said}" for expert, said in of_each.items() if said]
    if words and not lost:
        lost = [f"{name}: {words}"]
    expected = delta.add_(base)
    row["max_error"] = max(closeness.largest(one - two) for one, two in closeness.pieces(merged, expected))
    if not lost and not closeness.equal(merged, expected, dtype, how["exact"]):
        lost = [f"{name}: differs from base and adapter by {row['max_error']:.2g}"]
    return row, lost


def size_of_update(name: str, delta: torch.Tensor, replaces: bool) -> tuple[float | None, list[str]]:
    """The largest number of an update, None where JSON has no word for it, and what is wrong with it.

    `replaces`: it is of a module that was trained whole, which may have been left as it was.
    """
    most = closeness.largest(delta)
    if not math.isfinite(most):
        return None, [f"{name}: the adapter's update holds NaN or infinite values"]
    if most == 0 and not replaces:
        return most, [f"{name}: the adapter's update is zero: nothing was trained here, or a factor of it was lost"]
    return most, []


def _untouched(value: torch.Tensor, own: torch.Tensor, dtype: str, exact: bool) -> bool:
    """Whether a tensor is the base's, to the last bit where every machine reads the base alike."""
    return torch.equal(value, own) if exact else closeness.equal(value, own, dtype)


def _kept(
    merged: torch.Tensor, base: torch.Tensor, delta: torch.Tensor, dtype: str, kind: torch.dtype, exact: bool
) -> tuple[float, str | None]:
    """The share of an update that is in the merged tensor, and what was lost of it, in words.

    Rounding to 16 bits moves the share of a small update by some percent; beside the sum as it is rounded it may not.
    """
    kept = closeness.share(merged, base, delta)
    if not abs(kept - 1) <= TOLERANCE[dtype]:
        return kept, _words(kept)
    more = closeness.surplus(merged, base, delta, kind) if exact else 0.0
    return kept, None if abs(more) <= TOLERANCE["float32"] else _words(1 + more)


def _words(kept: float) -> str:
    if abs(kept) < 0.01:
        return "the adapter's update was lost, the export holds the base's values"
    return f"{kept:.1%} of the adapter's update is in the export"


def check_tokenizer(base: Path, adapter: Path | None, folder: Path) -> list[str]:
    """What differs between the export's tokenizer, template and stops and those that the model was trained with."""
    source, problems = carried.tokenizer_source(base, adapter), []
    for name in carried.names(source, folder):
        there, here = source / name, folder / name
        if there.is_file() and not here.is_file():
            problems.append(f"{name}: missing from the export")
        elif here.is_file() and not there.is_file():
            problems.append(f"{name}: is in the export and not where the tokenizer comes from")
        elif here.is_file() and here.read_bytes() != there.read_bytes():
            what = "another chat template" if "template" in name else "another tokenizer, or other settings of it"
            problems.append(f"{name}: {what} than the model was trained with")
    wanted = carried.stops(base, source)
    try:
        named = stops_of(folder)
        problems += settings.check_generation(base, folder)
    except (OSError, ValueError, AttributeError):
        return [*problems, f"{carried.GENERATION}: missing or damaged, so nothing says where an answer ends"]
    if missing := [id_ for id_ in wanted if id_ not in named]:
        words = ", ".join(map(str, missing))
        problems.append(
            f"{carried.GENERATION}: eos_token_id lacks {words}: the model would not stop where it was taught to"
        )
    if more := [id_ for id_ in named if id_ not in wanted]:
        words = ", ".join(map(str, more))
        problems.append(f"{carried.GENERATION}: eos_token_id has {words}, which ends no turn of this model")
    return problems


def stops_of(folder: Path) -> list[int]:
    """The ids that a folder's generation config names as the end of an answer. Raises OSError, ValueError."""
    named = json.loads((folder / carried.GENERATION).read_text("utf-8")).get("eos_token_id")
    return [id_ for id_ in (named if isinstance(named, list) else [named]) if id_ is not None]


def require(report: dict[str, Any]) -> None:
    """Raises Lost, naming the first problems, where a report has any."""
    if report["problems"]:
        raise Lost(told(report))


def told(report: dict[str, Any]) -> str:
    """The problems of a report in one line."""
    more = len(report["problems"]) - 3
    words = "; ".join(report["problems"][:3]) + (f" (and {more} more)" if more > 0 else "")
    return f"the export is not the model that was trained: {words}"


def write(folder: Path, report: dict[str, Any]) -> None:
    """Put the report beside the model that it is about."""
    commit.write_durably(folder / FILE, json.dumps(report, indent=1, allow_nan=False, default=str) + "\n")
