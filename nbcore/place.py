"""Where am I? The device and its tier, Colab or not, the Drive, the store, secrets.

Everything here looks and nothing decides for the caller, except `profile`, which says why. torch is imported
only where a device is asked for, so this module also works where torch is missing.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

REPO = Path(__file__).resolve().parents[1]
MOUNT = Path("/content/drive")  # where Colab mounts a Drive; MyDrive appears inside

Tier = Literal["cpu", "t4", "l4", "a100_40", "a100_80", "h100"]


@dataclass(frozen=True)
class Device:
    """What trains here. `memory_gb` is the accelerator's memory in GiB, or the machine's where there is none."""

    kind: Literal["cpu", "cuda", "mps"]
    name: str
    memory_gb: float
    bf16: bool
    """In hardware, at full speed. A CPU computes bfloat16 too, but about 100 times slower than float32."""
    tier: Tier

    def __str__(self) -> str:
        number = "float32" if self.kind != "cuda" else "bfloat16" if self.bf16 else "float16, no bfloat16"
        return f"{self.name}, {self.memory_gb:.0f} GiB, {number}"


class Need(NamedTuple):
    """What a profile asks of the machine: an NVIDIA GPU with this many GiB (0: none at all)."""

    gpu_gb: float
    bf16: bool
    trains: str


PROFILES: dict[str, Need] = {  # from the smallest up; a nominal 16, 24 or 80 GB card reports a little less
    "tiny": Need(0, False, "the seedling in float32: every phase for real, in minutes"),
    "small": Need(14, False, "a 1.5B coder, QLoRA in NF4, float16"),
    "medium": Need(20, True, "a 7-8B coder, QLoRA, bfloat16"),
    "gpt_oss_20b": Need(70, True, "openai/gpt-oss-20b, expert LoRA, bfloat16"),
}


def on_colab() -> bool:
    """True on a Colab runtime, in its own kernel or in a process started from it."""
    if os.environ.get("COLAB_RELEASE_TAG"):
        return True
    # find_spec("google.colab") raises where there is no package "google" at all, so that is asked first.
    found = importlib.util.find_spec
    return Path("/content").is_dir() and bool(found("google") and found("google.colab"))


def ready() -> str:
    """Where this is, for the setup cell. Raises RuntimeError naming what the setup left out."""
    missing = [name for name in ("torch", "transformers", "trl", "peft") if importlib.util.find_spec(name) is None]
    missing += [name for name in ("rustc", "cargo") if shutil.which(name) is None]
    if missing:
        raise RuntimeError(
            f"not here: {', '.join(missing)}; run `bash colab_setup.sh` (on Colab: this cell again), "
            "then restart the kernel"
        )
    return "on Colab, set up" if on_colab() else "on this machine, set up"


def drive_root() -> Path | None:
    """`MyDrive` of a mounted Google Drive, else None. Looks only: never mounts, never creates."""
    try:
        return MOUNT / "MyDrive" if (MOUNT / "MyDrive").is_dir() else None
    except OSError:  # the mount point is there but the connection behind it has dropped
        return None


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
    ValueError for a store on the Drive.
    """
    found = Path(explicit or os.environ.get("NBCORE_STORE") or REPO / "runs").expanduser().resolve()
    if found.is_relative_to(MOUNT):
        raise ValueError(
            f"store: {found} is on the Drive, which loses what is written in place; leave store out, and the mirror "
            "copies every run to the Drive (NBCORE_MIRROR names another folder there)"
        )
    return found


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


def colab_secrets_to_env(names: Iterable[str] = ("HF_TOKEN",)) -> list[str]:
    """Copy Colab secrets to the environment; the names that are set afterwards, never their values.

    Called once from a notebook's setup cell. What the environment already has stays. A secret that does not exist,
    that this notebook may not read, or that no front end answers for is left unset.
    """
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


def threads() -> int:
    """CPU cores this process may use: its affinity, cut to the container's quota where there is one."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        cores = os.cpu_count() or 1
    quota = _cgroup("cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        cores = min(cores, max(1, int(quota[0]) // int(quota[1])))
    return cores


def memory_gb() -> float:
    """Main memory in GiB: the machine's, cut to the container's limit where there is one."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _cgroup("memory.max").strip()
    return (min(total, int(limit)) if limit.isdigit() else total) / 2**30


def _cgroup(file: str) -> str:
    try:
        return Path("/sys/fs/cgroup", file).read_text()
    except OSError:
        return ""


def device() -> Device:
    """The device that training would use here. Detected each time: Colab changes GPUs silently."""
    try:
        import torch
    except ImportError:
        return Device("cpu", _cpu_name(), memory_gb(), False, "cpu")
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        memory, capability = properties.total_memory / 2**30, (properties.major, properties.minor)
        return Device("cuda", properties.name, memory, capability >= (8, 0), gpu_tier(memory, capability))
    if torch.backends.mps.is_available():
        return Device("mps", "Apple GPU", memory_gb(), False, "cpu")
    return Device("cpu", _cpu_name(), memory_gb(), False, "cpu")


def gpu_tier(memory_gb: float, capability: tuple[int, int]) -> Tier:
    """The class of an NVIDIA GPU, by memory in GiB and compute capability: (8, 0) brings bfloat16, (9, 0) is Hopper."""
    if capability < (8, 0) or memory_gb < 20:
        return "t4"
    if memory_gb < 36:
        return "l4"
    if memory_gb < 70:
        return "a100_40"
    return "a100_80" if capability < (9, 0) else "h100"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()} x{threads()}"


def obstacle(name: str, device: Device) -> str | None:
    """Why `device` cannot run the profile `name`; None if it can."""
    need = PROFILES[name]
    if not need.gpu_gb:
        return None
    if device.kind != "cuda":
        return f"needs an NVIDIA GPU with {need.gpu_gb:.0f} GiB"
    if device.memory_gb < need.gpu_gb:
        return f"needs {need.gpu_gb:.0f} GiB of GPU memory, this GPU has {device.memory_gb:.1f}"
    if need.bf16 and not device.bf16:
        return "needs bfloat16, which this GPU (before Ampere) lacks"
    return None


def profile(device: Device) -> tuple[str, str]:
    """The largest profile `device` can hold, and the sentence why: what `config = "auto"` takes."""
    names = list(PROFILES)
    best = [name for name in names if obstacle(name, device) is None][-1]
    reason = f"{device} runs '{best}': {PROFILES[best].trains}"
    if best != names[-1]:
        larger = names[names.index(best) + 1]
        reason += f"; '{larger}' {obstacle(larger, device)}"
    return best, reason + "."
