"""`python -m nbcore push`: an export to the Hub, shown first and sent only with --yes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from nbcore.cli.runs import Judged, Store, out
from nbcore.core import environment

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


def push(
    what: Annotated[str, typer.Argument(metavar="RUN_OR_FOLDER", help="A run that exported, or what merge wrote.")],
    repository: Annotated[str, typer.Argument(metavar="REPO_ID", help="Where on the Hub: OWNER/NAME.")],
    yes: Annotated[bool, typer.Option("--yes", help="Send it; without this it is only shown.")] = False,
    public: Annotated[bool, typer.Option("--public", help="A new repository is private without this.")] = False,
    sign: Annotated[
        Path | None, typer.Option(metavar="KEY", help="Sign the sums of all files with this SSH key.")
    ] = None,
    anyway: Annotated[
        str | None, typer.Option(metavar="WHY", help="Why it may leave although licences conflict; the card says it.")
    ] = None,
    store: Store = None,
):
    """Show what would go to the Hub: files, licences, card; --yes sends it. HF_TOKEN must be in the environment.

    Refused is what is not committed, whose proof failed, or whose licences conflict.

    Example: python -m nbcore push export me/my-model --sign ~/.ssh/id_ed25519
    """
    from nbcore.report import publishing

    if not publishing.REPOSITORY.fullmatch(repository):
        raise ValueError(f"REPO_ID: {repository!r} is no name of the Hub; write it as OWNER/NAME")
    if anyway is not None and not anyway.strip():
        raise ValueError("--anyway: it is empty; say why this may leave although its licences conflict")
    leaving = publishing.of(what, environment.store(store))
    with tempfile.TemporaryDirectory() as place:
        files = publishing.staged(leaving, Path(place), sign, anyway)
        _show(leaving, files, repository, public)
        if sign:
            out.print(f"signed; verified by: {publishing.verify_command()}")
        if leaving.licences.conflicts and not anyway:
            raise Judged(
                f"licences conflict: {leaving.licences.conflicts[0]}; nothing is sent without --anyway 'why it may'"
            )
        if not yes:
            return out.print("dry run: nothing was sent; the same with --yes sends it")
        token = next((value for name in TOKENS if (value := environment.secret(name))), None)
        if token is None:
            raise ValueError("push: no HF_TOKEN in the environment; make one that may write, and export it there")
        out.print(f"sent: {publishing.send(files, repository, token, public)}")


def _show(leaving, files: dict[str, Path], repository: str, public: bool) -> None:
    sizes = {name: path.stat().st_size for name, path in files.items()}
    out.print(f"{leaving.name} -> {repository} ({'public' if public else 'private'} where it is new)")
    for name, size in sizes.items():
        out.print(f"{_size(size):>10}  {name}")
    out.print(f"{_size(sum(sizes.values())):>10}  in {len(sizes)} files")
    judged = leaving.licences
    out.print(f"licence: {judged.licence or 'not known'}")
    told = [("duty", judged.duties), ("unknown", judged.unknown), ("conflict", judged.conflicts)]
    for word, lines in told:
        for line in lines:
            out.print(f"{word}: {line}")
    from nbcore.report import publishing

    out.print(f"\n{files[publishing.CARD].read_text('utf-8')}")


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
