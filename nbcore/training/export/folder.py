"""An exported folder made from base and adapter: merged, proved, and only then given its name."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import torch

from nbcore import runs
from nbcore.core import licences
from nbcore.runs import commit, layout
from nbcore.training import fitting, split_experts
from nbcore.training.export import carried, deltas, gguf, merge, parity, tensors


def device_of(wanted: str) -> str:
    """'cpu' or 'cuda', where 'auto' is the GPU if there is one. Raises ValueError for any other, or a GPU not there."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: {wanted!r} is none of auto, cpu, cuda")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: 'cuda', and this machine has no GPU that torch can use; take cpu or auto")
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def merged(
    adapter: Path | None,
    base: str | None,
    out: Path,
    *,
    dtype: str = "float32",
    shard_gb: float = 4.0,
    device: str = "auto",
    prompts: int = 8,
    compute: str = "float32",
    trained_in_4_bits: bool = False,
    revision: str = "main",
    hashed: bool = True,
    doing: merge.Doing = merge.quiet,
) -> dict[str, Any]:
    """Merge a PEFT folder into a base and prove it; returns the report of parity.check, which `out`/parity.json holds.

    `base`: a folder, a Hub id or "seedling"; None: the one that the adapter's config names. A folder `out` that is
    there already is not written again but proved again. `hashed`: keep the sha256 of each file in the report, which
    tells later that what was proved is what is there; a run keeps them in its own proof. Raises ValueError where base
    and adapter do not fit or an argument cannot be, and parity.Lost, with nothing left behind, where something was
    lost.
    """
    if dtype not in parity.TOLERANCE:
        raise ValueError(f"dtype: {dtype!r} is none of {', '.join(parity.TOLERANCE)}")
    if not 0 < shard_gb < math.inf or prompts < 0:
        field, value = ("prompts", prompts) if prompts < 0 else ("shard-gb", shard_gb)
        raise ValueError(f"{field}: {value} cannot be; give a number above 0")
    place, out = device_of(device), Path(out)
    tensors.return_memory()
    adapter = Path(adapter).expanduser() if adapter else None
    named = deltas.config_of(adapter).get("base_model_name_or_path") if adapter else None
    if base is None and not named:
        raise ValueError("base: the adapter names none; say which model it was trained on, with --base")
    try:
        source = merge.local(base or named, revision)
    except ValueError as error:
        raise ValueError(f"base: {error}" if base else f"base: {error}; the adapter names it, --base another") from None
    fitting.shape(source, f"base: {str(source)!r}")
    split_experts.refuse_base(tensors.Weights(source).names, str(source))  # raises where the base itself is damaged
    known = {"named": base or named, "licence": licences.of_folder(source)._asdict()}
    how = {"trained_in_4_bits": trained_in_4_bits, "device": place, "doing": doing}
    with split_experts.as_fused(adapter) as adapter:
        if (out / "config.json").is_file():
            report = parity.check(source, adapter, out, prompts=prompts, compute=compute, **how)
            parity.write(out, report | known | ({"files": hashes(out)} if hashed else {}))
            return report
        with merge.whole(out) as folder:
            merge.require_space(folder, source, dtype)
            facts = merge.merge(source, adapter, folder, dtype=dtype, shard_bytes=round(shard_gb * 10**9), **how)
            report = parity.check(source, adapter, folder, prompts=prompts, compute=compute, **how)
            parity.require(report)
            report |= known | facts | {"dtype": dtype, "peft": deltas.peft_version(adapter) if adapter else None}
            parity.write(folder, report | ({"files": hashes(folder)} if hashed else {}))
        return report


def hashes(folder: Path) -> dict[str, str]:
    """Name -> sha256 of every file of an export, its own proof and its card apart."""
    names = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    apart = (parity.FILE, "README.md")
    return {
        name: commit.sha256(path) for name, path in names.items() if name not in apart and not commit.is_hidden(name)
    }


def require_proved(target: Path, report: dict[str, Any]) -> None:
    """Raises parity.Lost where the proof of a run's export failed, or where a file is no more what was proved: the
    manifest would vouch for it as it is by now."""
    parity.require(report)
    place = target.parent / layout.GGUF
    proved = {target / name: sha256 for name, sha256 in report.get("files", {}).items()}
    made = report.get("gguf", {}).items()
    proved |= {place / gguf.file_name(kind): facts["sha256"] for kind, facts in made if "sha256" in facts}
    for path, sha256 in proved.items():
        if not path.is_file() or commit.sha256(path) != sha256:
            raise parity.Lost(
                f"{path.relative_to(target.parent)}: has changed since it was proved; remove {target}, {place} and "
                f"{target.parent / parity.FILE}, and export again"
            )


def adapter_only(adapter: Path, base: Path, base_name: str, out: Path) -> None:
    """Leave the adapter as a folder of its own, with the tokenizer and template that it was trained with.

    Its config names `base_name`, so that PEFT, vLLM and `merge` find the base.
    """
    values = deltas.config_of(adapter)
    with merge.whole(out) as folder:
        shutil.copyfile(adapter / deltas.FILE, folder / deltas.FILE)
        carried.write_json(folder / deltas.CONFIG, {**values, "base_model_name_or_path": base_name})
        carried.carry(base, adapter, folder)


def check_adapter(adapter: Path, base: Path, out: Path) -> dict[str, Any]:
    """Whether a folder that `adapter_only` left is the adapter that was trained, and every update of it is finite and
    not zero: {"ok", "problems", "tensors": [{"name", "max_delta"}]}. Nothing is added up here, so nothing else would
    see a NaN."""
    problems = parity.check_tokenizer(base, adapter, out)
    if commit.sha256(out / deltas.FILE) != commit.sha256(adapter / deltas.FILE):
        problems.append(f"{deltas.FILE}: is not the adapter that was trained")
    trained, left = deltas.config_of(adapter), deltas.config_of(out)
    for field in sorted({*trained, *left} - {"base_model_name_or_path"}):
        if trained.get(field) != left.get(field):
            problems.append(f"{deltas.CONFIG}: {field} is {left.get(field)!r}, trained with {trained.get(field)!r}")
    rows = []
    for name, change in deltas.load(base, out).changes.items():
        most, wrong = parity.size_of_update(name, change.make(), change.replaces)
        rows.append({"name": name, "max_delta": most})
        problems += wrong
    return {"ok": not problems, "problems": problems, "tensors": rows}


def require_precision(run: runs.Run, trained: runs.Run) -> None:
    """Raises ValueError where the base would be rounded otherwise than in the training: another model would be merged,
    and proved against itself."""
    here, there = (each.config.model.quantization for each in (run, trained))
    if (here == "nf4") != (there == "nf4"):
        remedy = "nf4" if there == "nf4" else "none"
        raise ValueError(
            f"model.quantization: {here!r}, and {trained.id} was trained with {there!r}; set "
            f"model.quantization={remedy}, so that what leaves is what was trained"
        )
