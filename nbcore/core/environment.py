"""Where this process runs: on Colab or not, and with which Drive, store, mirror and secrets."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import nbcore
from nbcore.core.redact import SECRETS

REPO = Path(__file__).resolve().parents[2]
PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "bitsandbytes", "tokenizers")
MOUNT = Path("/content/drive")  # where Colab mounts a Drive; MyDrive appears inside


def notebook(phase: str) -> Path:
    """The notebook of a phase. Raises FileNotFoundError where there is none."""
    path = next((REPO / "notebooks").glob(f"[0-9][0-9]_{phase}.ipynb"), None)
    if path is None:
        raise FileNotFoundError(f"phase: {phase} has no notebook; it belongs in notebooks/, as NN_{phase}.ipynb")
    return path


def shipped_config(phase: str, name: str) -> Path:
    """Where the config of a phase that ships under this name would be; there is no file for a name of one's own."""
    return REPO / "configs" / phase / f"{name}.yaml"


def on_colab() -> bool:
    """True on a Colab runtime, in its own kernel or in a process started from it."""
    if os.environ.get("COLAB_RELEASE_TAG"):
        return True
    # find_spec("google.colab") raises where there is no package "google" at all, so that is asked first.
    spec_of = importlib.util.find_spec
    return Path("/content").is_dir() and bool(spec_of("google") and spec_of("google.colab"))


def missing() -> list[str]:
    """The Python packages and Rust tools that are not installed, looked for anew at each call: the setup may have run
    since the last one."""
    importlib.invalidate_caches()
    nbcore.find_rustup()
    absent = [
        name for name in ("torch", "transformers", "trl", "peft", "papermill") if importlib.util.find_spec(name) is None
    ]
    return absent + [name for name in ("rustc", "cargo") if shutil.which(name) is None]


def ready() -> str:
    """What the setup cell prints if all is installed. Raises RuntimeError naming what is not, and the remedy."""
    if absent := missing():
        remedy = "run `bash colab_setup.sh`, then restart the kernel"
        if on_colab():
            remedy = "the setup says above what went wrong; run this cell again, it goes on from there"
        raise RuntimeError(f"not here: {', '.join(absent)}; {remedy}")
    return "on Colab, set up" if on_colab() else "on this machine, set up"


def drive_root() -> Path | None:
    """`MyDrive` of a mounted Google Drive, else None. Looks only: never mounts, never creates."""
    try:
        return MOUNT / "MyDrive" if (MOUNT / "MyDrive").is_dir() else None
    except OSError:  # the mount point is there but the connection behind it has dropped
        return None


def watched_notebook() -> bool:
    """Whether this is a notebook that a person watches: a kernel whose front end could answer a question.

    papermill and nbmake run a kernel as well, but allow it no standard input. Only a private attribute of ipykernel
    tells that: Kernel._allow_stdin, read in version 7.4 and tried by tests/view/test_viewers.py with a real kernel.
    """
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and kernel._allow_stdin


def mount_drive() -> Path | None:
    """Mount the Drive if this is Colab and it is not mounted yet; its root, or None elsewhere.

    Only for the notebook cell tagged `skip-execution`: it asks the person in the browser and waits for the answer.
    The mount point must be empty, so nothing is ever created below it first.
    """
    if on_colab() and drive_root() is None:
        from google.colab import drive

        drive.mount(str(MOUNT))
    return drive_root()


def store(explicit: str | Path | None = None) -> Path:
    """Where run directories live: `explicit`, else $NBCORE_STORE, else `runs/` at the repository root.

    Local on Colab too: the mirror copies runs to the Drive, which loses files that are written in place. Raises
    ValueError for a store on the Drive, and for a link that leads nowhere: the disk behind it is not mounted.
    """
    named = Path(explicit or os.environ.get("NBCORE_STORE") or REPO / "runs").expanduser()
    if named.is_symlink() and not named.exists():
        raise ValueError(
            f"store: {named} is a link to {named.readlink()}, which is not there; mount that disk, or remove the link"
        )
    folder = named.resolve()
    if folder.is_relative_to(MOUNT):
        raise ValueError(
            f"store: {folder} is on the Drive, which loses what is written in place; leave store out, and the mirror "
            "copies every run to the Drive (NBCORE_MIRROR names another folder there)"
        )
    return folder


def models() -> Path:
    """Where fetched base models live: $NBCORE_MODELS, else `models/` at the repository root."""
    return Path(os.environ.get("NBCORE_MODELS") or REPO / "models").expanduser()


def mirror() -> str | None:
    """Where runs are copied to: $NBCORE_MIRROR (a folder, or hf://buckets/OWNER/NAME), else the mounted Drive's folder
    `nbcore`, else None. "off" turns it off."""
    named = os.environ.get("NBCORE_MIRROR", "").strip()
    if named:
        return None if named == "off" else named
    drive = drive_root()
    return str(drive / "nbcore") if drive else None


def secret(name: str) -> str | None:
    """A secret from the environment, None if it is not set or empty. Nothing in nbcore asks for one or prints one."""
    return os.environ.get(name, "").strip() or None


def read_env_file(path: Path | None = None) -> list[str]:
    """Set the secrets that a file `.env` (default: in the repository) has as NAME=VALUE, one a line; returns the names.

    Only the names of `redact.SECRETS` are taken, because what those hold is taken out of everything that is shown. What
    the environment already has stays, and a remark may follow a value. Raises ValueError naming the line, and not what
    it holds.
    """
    path = path or REPO / ".env"
    try:
        text = path.read_text("utf-8-sig") if path.is_file() else ""  # Windows' editor writes a mark in front
    except UnicodeDecodeError:
        raise ValueError(f"{path.name}: not in UTF-8, as PowerShell's > leaves it; save it as UTF-8") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = re.sub(r"^export\s+", "", line.strip())
        if not line or line.startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        closed, rest, letters = True, "", "[!-~]*"
        if value[:1] in ("'", '"'):
            value, closed, rest = value[1:].partition(value[0])
            letters = "[ -~]*"
        else:
            value = re.sub(r"(^|\s)#.*", "", value).strip()
        if not equals or not name.isidentifier() or not closed or rest.strip()[:1] not in ("", "#"):
            raise ValueError(f"{path.name}:{number}: no NAME=VALUE; write it as HF_TOKEN=hf_…, or # for a remark")
        if name in SECRETS and not re.fullmatch(letters, value):
            # Sent to the Hub, it would end in an error about headers that quotes it, or be called a wrong token.
            raise ValueError(
                f"{path.name}:{number}: what {name} holds is no token: there is a blank, a curly quote or an invisible "
                "character in it; paste the token anew, alone"
            )
        if value and name in SECRETS:
            found[name] = value  # of a name that stands twice the last one counts, as in a shell
    taken = [name for name in found if secret(name) is None]
    os.environ.update((name, found[name]) for name in taken)
    return taken


def colab_secrets_to_env(names: Iterable[str] = ("HF_TOKEN",)) -> list[str]:
    """Copy Colab's secrets, and those of `.env`, to the environment; the names that are set afterwards, never their
    values.

    Called once from a notebook's setup cell. What the environment already has stays. A secret that does not exist,
    that this notebook may not read, or that no front end answers for is left unset.
    """
    read_env_file()
    names = list(names)
    wanted = [name for name in names if secret(name) is None]
    if wanted and on_colab():
        from google.colab import userdata

        for name in wanted:
            try:
                os.environ[name] = userdata.get(name)
            except (userdata.SecretNotFoundError, userdata.NotebookAccessError, userdata.TimeoutException):
                continue
    return [name for name in names if secret(name) is not None]


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a training result, as far as they are installed."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):  # runs can be looked at without the training packages
            installed[package] = metadata.version(package)
    return installed
