"""What would leave this machine for the Hub: the proved files of an export, its card, its sums, perhaps a signature.

SHA256SUMS names every other file, so `sha256sum -c SHA256SUMS` tells what has changed since; a signature is over it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from nbcore import config as configs
from nbcore import runs
from nbcore.core import licences as stated
from nbcore.core.redact import redact
from nbcore.report import cards, licensing
from nbcore.runs import commit, layout

CARD, SUMS, SIGNATURE = "README.md", "SHA256SUMS", "SHA256SUMS.sig"
ADAPTER = "adapter_config.json"
NAMESPACE = "nbcore-export"  # ssh-keygen signs for a purpose, so that a signature for one is none for another
PROVED = ("base", "adapter", "named")  # fields of the proof that may hold a path of this machine
VOCABULARY = ("tokenizer.json", "vocab.json", "merges.txt", "added_tokens.json")  # any word may stand there
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


class Leaving(NamedTuple):
    """What would be sent, before anything is."""

    name: str
    files: dict[str, Path]
    """Name there -> file here; the proof, the card and the sums are made by `staged`."""
    proof: dict[str, Any]
    licences: licensing.Judgement
    run: runs.Run | None


def of(reference: str, store: Path) -> Leaving:
    """What a run that exported, or a folder that `merge` made, would send.

    Raises ValueError or FileNotFoundError for one that is not committed, that is damaged, or whose proof failed.
    """
    path = Path(reference).expanduser()
    if path.is_dir() and not (path / layout.OPENING).is_file():
        return _of_folder(path)
    run = runs.find(store, reference, field="RUN")
    if not configs.TABLE[run.phase].whole:
        raise ValueError(
            f"RUN: {run.id} exported nothing; run notebooks/08_export.ipynb with parent = {run.id!r} first"
        )
    proof = _proof(run.path)
    place = run.path / (layout.MODEL if (run.path / layout.MODEL).is_dir() else layout.ADAPTER)
    files = _files(place) | {f"{layout.GGUF}/{name}": file for name, file in _files(run.path / layout.GGUF).items()}
    return Leaving(run.id, files, proof, licensing.of_run(run), run)


def _of_folder(folder: Path) -> Leaving:
    if (folder.absolute().parent / layout.OPENING).is_file():  # its manifest, licences and GGUF files are the run's
        raise ValueError(f"RUN: {folder} is a part of a run; name the run, {folder.absolute().parent}")
    proof = _proof(folder)
    known, files = proof.get("files", {}), _files(folder)
    if changed := sorted(set(known) ^ set(files)) or [
        name for name in files if commit.sha256(files[name]) != known[name]
    ]:
        raise ValueError(
            f"RUN: {changed[0]} of {folder} is not what was proved; give the merge command again: it proves anew"
        )
    base = licensing.Part(licensing.shown(str(proof["named"])), *stated.Stated(**proof["licence"]))
    if proof["named"] == "seedling":
        base = licensing.of_base("seedling")
    data = [licensing.Part("what the adapter was trained on", None, "no run says")] if proof["adapter"] else []
    return Leaving(folder.name, files, proof, licensing.judged(base, data), None)


def _proof(folder: Path) -> dict[str, Any]:
    file = folder / layout.PARITY
    if not file.is_file():
        raise ValueError(f"RUN: {folder} has no {file.name}: nothing proves that it is the model that was trained")
    try:
        proof = json.loads(file.read_text("utf-8"))
        problems = proof["problems"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"RUN: {file} is damaged; export or merge again") from None
    if problems or not proof.get("ok"):
        first = problems[0] if problems else "it says so without a reason"
        raise ValueError(f"RUN: the proof of {folder.name} failed, and nothing leaves without one: {first}")
    if any(isinstance(made, dict) and made.get("problems") for made in proof.get("gguf", {}).values()):
        raise ValueError(f"RUN: a GGUF file of {folder.name} is not what the model is; {file.name} says which")
    return proof


def _files(folder: Path) -> dict[str, Path]:
    files = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise ValueError(f"RUN: {path} is a symbolic link; put the file itself there")
        if path.is_dir() or commit.is_hidden(name) or name in (CARD, layout.PARITY, SUMS, SIGNATURE):
            continue
        if path.suffix in PICKLES:
            raise ValueError(f"RUN: {path} is a pickle, which runs code where it is loaded; remove it")
        files[name] = path
    return files


def staged(leaving: Leaving, place: Path, key: Path | None = None, why: str | None = None) -> dict[str, Path]:
    """Put card, proof, sums and signature into an empty folder; returns every file that would be sent, by its name.

    Raises ValueError for a file with a secret in it, and where the key does not sign.
    """
    files = dict(leaving.files)
    made = {CARD: card(leaving, why), layout.PARITY: json.dumps(_told(leaving.proof), indent=1, default=str) + "\n"}
    if ADAPTER in files:
        made[ADAPTER] = _named_for_all(files[ADAPTER].read_text("utf-8"))
    for name, text in made.items():
        (place / name).write_text(text, "utf-8")
        files[name] = place / name
    _refuse_secrets(files)
    sums = "".join(f"{commit.sha256(path)}  {name}\n" for name, path in sorted(files.items()))
    (place / SUMS).write_text(sums, "utf-8")
    files[SUMS] = place / SUMS
    if key:
        files[SIGNATURE] = signed(files[SUMS], key)
    return dict(sorted(files.items()))


def card(leaving: Leaving, why: str | None = None) -> str:
    """The card that goes with it."""
    if leaving.run:
        return cards.card(leaving.run, why)
    apart = leaving.proof.get("logits", {}).get("adapter_reloaded")
    words = f"Logits of adapter and merged model differ by {apart['max']:.2g} at most." if apart else ""
    proof = f"{len(leaving.proof['tensors'])} tensors changed. {words}".strip()
    return cards.of_folder(leaving.name, leaving.licences.base.what, proof, leaving.licences, why)


def _told(proof: dict[str, Any]) -> dict[str, Any]:
    """A proof without the paths of this machine."""
    return proof | {name: licensing.shown(str(proof[name])) for name in PROVED if proof.get(name)}


def _named_for_all(config: str) -> str:
    """The config of an adapter, whose base may stand in it as a path of this machine."""
    values = json.loads(config)
    values["base_model_name_or_path"] = licensing.shown(str(values.get("base_model_name_or_path") or "unknown"))
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _refuse_secrets(files: dict[str, Path]) -> None:
    for name, path in files.items():
        if path.suffix in (".json", ".md", ".jinja", ".txt", "") and path.name not in VOCABULARY:
            text = path.read_text("utf-8", errors="replace")
            if redact(text) != text:
                raise ValueError(f"RUN: {name} holds what looks like a secret; take it out, and make the export again")


def signed(sums: Path, key: Path) -> Path:
    """Sign a file with an SSH key through ssh-keygen; returns the signature. Raises ValueError where it refuses."""
    key = key.expanduser()
    if not key.is_file():
        raise ValueError(f"sign: there is no key {key}; ssh-keygen -t ed25519 makes one")
    if shutil.which("ssh-keygen") is None:
        raise ValueError("sign: no ssh-keygen on this machine; it comes with OpenSSH")
    command = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(sums)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    made = sums.with_name(SIGNATURE)
    if done.returncode or not made.is_file():
        raise ValueError(f"sign: ssh-keygen refused {key}: {' '.join(done.stderr.split())[:200]}")
    return made


def verify_command() -> str:
    """How whoever has the files and the public key verifies them."""
    return (
        f"ssh-keygen -Y verify -f ALLOWED_SIGNERS -I NAME -n {NAMESPACE} -s {SIGNATURE} < {SUMS} && "
        f"sha256sum --strict -c {SUMS}"
    )


def send(files: dict[str, Path], repository: str, token: str, public: bool) -> str:
    """Make the repository where it is not there, and send all files as one commit; returns its address.

    Raises ValueError where the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=token)
    try:
        api.create_repo(repository, private=not public, exist_ok=True)
        operations = [CommitOperationAdd(name, str(path)) for name, path in files.items()]
        done = api.create_commit(repository, operations, commit_message="Export of a model, with its proof")
    except (HfHubHTTPError, OSError) as error:
        raise ValueError(f"push: the Hub refused: {redact(' '.join(str(error).split()))[:300]}") from None
    return str(done.commit_url)
