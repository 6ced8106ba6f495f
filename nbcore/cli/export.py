"""`python -m nbcore merge`: an adapter that a person brings, merged into its base and proved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from nbcore.cli.runs import Judged, err, out


def merge(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="A folder that PEFT's save_pretrained wrote.")],
    target: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the merged model goes.")],
    base: Annotated[
        str | None,
        typer.Option(help="The base model: a folder, a Hub id, or seedling; default: the one the adapter names."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, float16 or bfloat16.")] = "float32",
    shard_gb: Annotated[float, typer.Option("--shard-gb", help="Gigabytes of one file at most.")] = 4.0,
    prompts: Annotated[int, typer.Option(help="Texts whose logits are compared; 0: tensors alone.")] = 8,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
):
    """Merge a PEFT adapter into its base, and prove that nothing was lost; the proof is parity.json in the folder.

    Where the folder is there already, it is not written again but compared with base and adapter once more.

    Example: python -m nbcore merge my_adapter --base Qwen/Qwen2.5-Coder-1.5B-Instruct --out merged --dtype bfloat16
    """
    from nbcore.training.export import folder, parity

    settings = {"dtype": dtype, "shard_gb": shard_gb, "prompts": prompts, "device": device}
    with progress() as doing:
        report = folder.merged(adapter, base, target, doing=doing, **settings)
    if shown := report.get("logits", {}).get("adapter_reloaded"):
        out.print(f"logits, adapter against what was written: max {shown['max']:.2g}, mean {shown['mean']:.2g}")
    if report["problems"]:
        raise Judged(f"{target}: {parity.told(report)}")
    out.print(f"{target}: {len(report['tensors'])} tensors changed, nothing lost; the proof is {target / parity.FILE}")


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A moving line on the terminal for work that says what it does, how far it is, and of how much."""
    from rich import progress as bars

    kinds = (bars.BarColumn, bars.MofNCompleteColumn, bars.TimeElapsedColumn, bars.TimeRemainingColumn)
    columns = (bars.TextColumn("{task.description}"), *(kind() for kind in kinds))
    with bars.Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as shown:
        task = shown.add_task("looking at base and adapter", total=None)
        yield lambda words, done=0, total=0: shown.update(task, description=words, completed=done, total=total or None)
