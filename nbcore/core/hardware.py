"""What this machine trains with: the device and its class, memory, processors, and the largest profile that fits.

torch is imported only where a device is asked for, so this module also works where torch is missing.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from nbcore.core.suggest import did_you_mean

Tier = Literal["cpu", "t4", "l4", "a100_40", "a100_80", "h100"]


@dataclass(frozen=True)
class Device:
    """What a model trains on. `memory_gb` is the memory of the GPU in GiB, or the machine's where there is none."""

    kind: Literal["cpu", "cuda", "mps"]
    name: str
    memory_gb: float
    bf16: bool
    """Whether bfloat16 runs at full speed. A CPU computes it too, but about 100 times slower than float32."""
    tier: Tier

    def __str__(self) -> str:
        if self.kind != "cuda":
            precision = "float32"
        elif self.bf16:
            precision = "bfloat16"
        else:
            precision = "float16, no bfloat16"
        return f"{self.name}, {self.memory_gb:.0f} GiB, {precision}"


class Need(NamedTuple):
    """What a profile asks of the machine: an NVIDIA GPU with this many GiB (0: none is needed), and what it trains."""

    gpu_gb: float
    bf16: bool
    trains: str


PROFILES: dict[str, Need] = {  # the smallest first; a card of nominally 16, 24 or 80 GB reports a little less
    "tiny": Need(0, False, "the seedling in float32: every phase for real, in minutes"),
    "small": Need(14, False, "a 1.5B coder, QLoRA in NF4, float16"),
    "medium": Need(20, True, "a 7-8B coder, QLoRA, bfloat16"),
    "gpt_oss_20b": Need(70, True, "openai/gpt-oss-20b, expert LoRA, bfloat16"),
}


GPUS: dict[str, tuple[str, float, tuple[int, int]]] = {  # name, GiB that the driver reports, compute capability
    "t4": ("Tesla T4", 14.6, (7, 5)),
    "l4": ("NVIDIA L4", 22.0, (8, 9)),
    "a100-40": ("NVIDIA A100-SXM4-40GB", 39.4, (8, 0)),
    "a100-80": ("NVIDIA A100-SXM4-80GB", 79.2, (8, 0)),
    "h100": ("NVIDIA H100 80GB HBM3", 79.1, (9, 0)),
    "h200": ("NVIDIA H200", 139.8, (9, 0)),
}


PEAKS = {  # operations a second in half precision, dense, as NVIDIA's data sheets have them; the first that fits counts
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L4": 121e12,
    "T4": 65e12,
}


def peak_flops(device: Device) -> float | None:
    """Floating-point operations a second that a device can do in half precision; None where that is not known."""
    if device.kind != "cuda":
        return None
    return next((peak for name, peak in PEAKS.items() if re.search(rf"\b{name}\b", device.name)), None)


def gpu(name: str) -> Device:
    """A GPU that need not be here. Raises ValueError for a name that GPUS does not have."""
    key = name.strip().lower()
    if key not in GPUS:
        near = [known for known in GPUS if key and (known.startswith(key) or key.startswith(known))]
        hint = did_you_mean(key, GPUS) if not near else f" (did you mean {' or '.join(map(repr, near))}?)"
        raise ValueError(f"gpu: {name!r} is not known{hint}; there are {', '.join(GPUS)}")
    called, memory, capability = GPUS[key]
    return Device("cuda", called, memory, capability >= (8, 0), gpu_tier(memory, capability))


def threads() -> int:
    """CPU cores that this process may use: those of its affinity, or fewer where the container has a quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        cores = os.cpu_count() or 1
    quota = _cgroup("cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        cores = min(cores, max(1, int(quota[0]) // int(quota[1])))
    return cores


def memory_gb() -> float:
    """Main memory in GiB: the machine's, or less where the container has a limit."""
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


def capability() -> tuple[int, int] | None:
    """Compute capability of the first NVIDIA GPU, (8, 0) for Ampere, (9, 0) for Hopper; None where there is none."""
    try:
        import torch
    except ImportError:
        return None
    return torch.cuda.get_device_capability(0) if torch.cuda.is_available() else None


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
    """The largest profile for the kind of `device`, and a sentence that says why. `config = "auto"` begins there, and
    asks the plan of memory (training/plan.py)."""
    names = list(PROFILES)
    best = [name for name in names if obstacle(name, device) is None][-1]
    reason = f"{device} runs '{best}': {PROFILES[best].trains}"
    if best != names[-1]:
        larger = names[names.index(best) + 1]
        reason += f"; '{larger}' {obstacle(larger, device)}"
    return best, reason + "."


def config_path(config: str, phase: str) -> str:
    """The path of the YAML that a notebook's `config` names, of a phase that loads no model: the others ask the plan of
    memory. For "auto" it is that of the largest profile for this device, and the reason is printed."""
    if config != "auto":
        return config
    name, reason = profile(device())
    print(reason)
    return f"configs/{phase}/{name}.yaml"
