"""What this machine can run, and what is missing: the checks behind `python -m nbcore doctor`.

Each check says what it found and, where something is wrong, the one thing to do about it. "missing" means that even the
tiny profile cannot run; anything less serious is "warn". Nothing is downloaded and the network is not tried.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nbcore.core import environment, hardware
from nbcore.runs.mirror import backends

SETUP = "bash colab_setup.sh"
FROM_COLAB = {"torch", "numpy", "ipykernel", "ipywidgets"}  # colab_setup.sh leaves these as Colab brings them
EDITION_2024 = (1, 85)  # the first version of rustc that knows this edition
DISK_GB = {"missing": 1, "warn": 10}  # the tiny pipeline leaves some 100 MB; one 7B base model alone takes 15 GB


@dataclass(frozen=True)
class Check:
    name: str
    state: Literal["ok", "warn", "missing"]
    found: str
    remedy: str = ""


def report(store: str | Path | None = None) -> list[Check]:
    """All checks in the order they are shown. `store` is taken as `environment.store` takes it."""
    device = hardware.device()
    machine = [_python(), _machine(), _disk(environment.store(store)), _mirror(), _device(device)]
    return [*machine, *_packages(), *_rust(), *_sandbox(), *_grading(), *_access()]


def profiles(device: hardware.Device) -> list[tuple[str, bool, str]]:
    """(name, whether `device` can run it, what it trains or else why it cannot run) of each profile."""
    rows = []
    for name, need in hardware.PROFILES.items():
        obstacle = hardware.obstacle(name, device)
        rows.append((name, obstacle is None, obstacle or need.trains))
    return rows


def render(checks: list[Check], device: hardware.Device) -> None:
    """Print the checks and the profiles as two tables, and what to do next."""
    from rich.console import Console
    from rich.table import Table

    mark = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "missing": "[red]missing[/]"}
    console = Console()
    table = Table("", "check", "found", "what to do", box=None, pad_edge=False)
    for check in checks:
        table.add_row(mark[check.state], check.name, check.found, check.remedy)
    console.print(table)
    table = Table("", "profile", "", box=None, pad_edge=False)
    for name, can_run, explanation in profiles(device):
        table.add_row("[green]yes[/]" if can_run else "[dim]no[/]", name, explanation)
    console.print("\nWhat this machine can train:", table, sep="\n")
    missing = [check.name for check in checks if check.state == "missing"]
    if missing:
        console.print(f"\nNot ready, even for the tiny profile: {', '.join(missing)}.")
    else:
        console.print(f"\nReady. config = 'auto' takes '{hardware.profile(device)[0]}'. Try: {SETUP} run")


def main(store: str | Path | None = None) -> int:
    """Print the report. 0 if the tiny profile can run here, else 1."""
    checks = report(store)
    render(checks, hardware.device())
    return int(any(check.state == "missing" for check in checks))


def _python() -> Check:
    version = platform.python_version()
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Check("Python", "ok", version)
    return Check("Python", "missing", version, "use Python 3.11 to 3.13")


def _machine() -> Check:
    memory = hardware.memory_gb()
    where = "Colab" if environment.on_colab() else f"{platform.system()} {platform.machine()}"
    description = f"{where}, {hardware.threads()} cores, {memory:.0f} GiB"
    if memory < 4:
        return Check("machine", "warn", description, "close other programs: the tiny pipeline wants about 4 GiB")
    return Check("machine", "ok", description)


def _disk(store: Path) -> Check:
    existing = next(path for path in (store, *store.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    description = f"{free:.0f} GB free at {store}"
    for state, least in DISK_GB.items():
        if free < least:
            return Check("disk", state, description, "free some space, or set NBCORE_STORE to a larger disk")
    return Check("disk", "ok", description)


def _mirror() -> Check:
    try:
        address = environment.mirror()
        backend = backends.at(address) if address else None
    except ValueError as error:
        return Check("mirror", "warn", str(error), "correct NBCORE_MIRROR, or unset it")
    if backend:
        return Check("mirror", "ok", f"{backend}: every run is copied there")
    remedy = (
        "mount the Drive (second cell)"
        if environment.on_colab()
        else "NBCORE_MIRROR=/another/disk copies every run there"
    )
    return Check("mirror", "warn" if environment.on_colab() else "ok", "none: runs stay on this disk alone", remedy)


def _device(device: hardware.Device) -> Check:
    if device.kind == "cpu" and _first_line("nvidia-smi", "-L"):
        remedy = f"torch does not see the NVIDIA GPU: remove .venv, then {SETUP}"
        return Check("device", "warn", str(device), remedy)
    return Check("device", "ok", f"{device} (tier {device.tier})")


def _packages() -> list[Check]:
    """The packages of requirements.txt. torch and bitsandbytes have a line each, because the right build of them
    depends on the device; all others share one."""
    pins, installed = _pins(), {}
    for name in pins:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed[name] = None
    checks = [_package(name, pins[name], installed[name]) for name in ("torch", "bitsandbytes")]
    rest = [name for name in pins if name not in ("torch", "bitsandbytes")]
    absent = [name for name in rest if installed[name] is None]
    other = [name for name in rest if installed[name] and _is_other_version(name, pins[name], installed[name])]
    if absent:
        checks.append(Check("packages", "missing", f"not installed: {', '.join(absent)}", SETUP))
    elif other:
        moved = ", ".join(f"{name} {installed[name]} (lock {pins[name]})" for name in other)
        checks.append(Check("packages", "warn", moved, SETUP))
    else:
        checks.append(Check("packages", "ok", f"{len(rest)} of {len(rest)} as in requirements.txt"))
    return checks


def _package(name: str, pin: str, version: str | None) -> Check:
    if version is None:
        return Check(name, "missing", "not installed", SETUP)
    if _is_other_version(name, pin, version):
        return Check(name, "warn", f"{version} (lock {pin})", SETUP)
    return Check(name, "ok", version)


def _is_other_version(name: str, pin: str, version: str) -> bool:
    """Whether the setup would install another version: "2.13.0+cpu" is a build of 2.13.0, and Colab keeps its own."""
    return version.split("+")[0] != pin and not (name in FROM_COLAB and environment.on_colab())


def _pins() -> dict[str, str]:
    lines = (environment.REPO / "requirements.txt").read_text().splitlines()
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s#]+)", "\n".join(lines), flags=re.MULTILINE))


def _rust() -> list[Check]:
    checks = []
    for tool in ("rustc", "cargo", "clippy-driver", "rustfmt"):
        version = _first_line(tool, "--version")
        if version is None:
            checks.append(Check(tool, "missing", "not found", f"{SETUP}, or https://rustup.rs"))
            continue
        version = version.split(" (")[0]  # what follows is the commit and its date
        number = re.search(r"(\d+)\.(\d+)", version)
        if tool == "rustc" and number and tuple(map(int, number.groups())) < EDITION_2024:
            checks.append(Check(tool, "warn", version, "edition 2024 needs rustc 1.85: https://rustup.rs"))
        else:
            checks.append(Check(tool, "ok", version))
    if shutil.which("cc") is None:
        checks.append(Check("linker", "missing", "no cc", "apt-get install gcc libc6-dev"))
    return checks


def _sandbox() -> list[Check]:
    from nbcore.grading.grader import RustGrader

    try:
        grader = RustGrader(jobs=1, allow_degraded=True)
    except RuntimeError as error:  # no toolchain, no linker, or a worker that cannot start
        why, _, remedy = str(error).rpartition("; ")
        return [Check("sandbox", "missing", why or "cannot be built", remedy)]
    capabilities = grader.capabilities()
    grader.close()
    layers = ", ".join(capabilities["layers"])
    if grader.lost:
        remedy = "grade elsewhere, or sandbox.allow_degraded if you trust the model's code"
        return [Check("sandbox", "warn", f"{capabilities['isolation']}; layers: {layers or 'limits alone'}", remedy)]
    return [Check("sandbox", "ok", f"all {len(capabilities['promises'])} promises hold: {layers}")]


def _grading() -> list[Check]:
    """One program that must pass and one that must fail, graded for real; nothing where no grader can be built."""
    from nbcore.grading.grader import RustGrader

    try:
        grader = RustGrader(jobs=1, allow_degraded=True)
    except RuntimeError:  # the check of the sandbox has said why
        return []
    tests = "#[test]\nfn one_and_one() { assert_eq!(add(1, 1), 2); }"
    programs = {"pass": "a + b", "tests_failed": "a - b"}
    samples = [
        {"id": expected, "code": f"pub fn add(a: i64, b: i64) -> i64 {{ {body} }}", "tests": tests}
        for expected, body in programs.items()
    ]
    verdicts = grader.grade(samples)
    grader.close()
    for verdict in verdicts:
        if verdict["verdict"] != verdict["id"]:
            words = "; ".join(" ".join(error["message"].split()) for error in verdict["errors"])
            outcome = f"{verdict['verdict']} for a program that must end in {verdict['id']}"
            words = f"{outcome}: {words or 'no reason given'}"
            return [Check("grader", "missing", words, f"{SETUP}; else free some disk and memory, and try again")]
    return [Check("grader", "ok", "a right program passes, a wrong one fails")]


def _access() -> list[Check]:
    token = environment.secret("HF_TOKEN")
    if environment.drive_root():
        drive = "mounted"
    elif environment.on_colab():
        drive = "not mounted"
    else:
        drive = "not on Colab"
    return [
        Check("HF_TOKEN", "ok", "set" if token else "not set: only gated models and publishing need it"),
        Check("Drive", "ok", drive),
    ]


def _first_line(*command: str) -> str | None:
    """The first line that a command prints; None where it cannot be run, fails, or prints nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else None
