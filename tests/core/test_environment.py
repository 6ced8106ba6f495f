"""place: tiers and profiles, Colab and its secrets, where things live."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from nbcore.core import environment, hardware
from nbcore.core.redact import redact


def gpu(memory_gb: float, capability: tuple[int, int]) -> hardware.Device:
    tier = hardware.gpu_tier(memory_gb, capability)
    return hardware.Device("cuda", "Some GPU", memory_gb, capability >= (8, 0), tier)


CPU = hardware.Device("cpu", "Some CPU x2", 24.0, False, "cpu")


class SecretNotFoundError(Exception): ...


class NotebookAccessError(Exception): ...


class TimeoutException(Exception): ...


@pytest.fixture
def colab(monkeypatch, tmp_path):
    """A Colab runtime as far as `place` can tell: its environment variable, its package, an unmounted Drive."""
    mounts = []

    def get(name):
        secrets = {"HF_TOKEN": "hf_fake"}
        if name == "LOCKED":
            raise NotebookAccessError(name)
        if name == "SLOW":
            raise TimeoutException(name)
        if name not in secrets:
            raise SecretNotFoundError(name)
        return secrets[name]

    def mount(path):
        mounts.append(path)
        (Path(path) / "MyDrive").mkdir(parents=True)

    package = ModuleType("google.colab")
    package.drive = SimpleNamespace(mount=mount)
    package.userdata = SimpleNamespace(
        get=get,
        SecretNotFoundError=SecretNotFoundError,
        NotebookAccessError=NotebookAccessError,
        TimeoutException=TimeoutException,
    )
    google = ModuleType("google")
    google.colab = package
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab-20260819")
    monkeypatch.setattr(environment, "MOUNT", tmp_path / "drive")
    return SimpleNamespace(mounts=mounts)


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    monkeypatch.setattr(environment, "MOUNT", tmp_path / "drive")


@pytest.mark.parametrize(
    ("card", "memory", "capability", "tier", "profile"),
    [
        ("T4", 14.7, (7, 5), "t4", "small"),
        ("V100 32 GB", 31.7, (7, 0), "t4", "small"),
        ("RTX 3060", 11.8, (8, 6), "t4", "tiny"),
        ("L4", 22.2, (8, 9), "l4", "medium"),
        ("A100 40 GB", 39.4, (8, 0), "a100_40", "medium"),
        ("A100 80 GB", 79.1, (8, 0), "a100_80", "gpt_oss_20b"),
        ("H100 80 GB", 79.2, (9, 0), "h100", "gpt_oss_20b"),
        ("G4 96 GB", 94.9, (12, 0), "h100", "gpt_oss_20b"),
    ],
)
def test_every_gpu_has_a_tier_and_the_largest_profile_it_can_hold(card, memory, capability, tier, profile):
    device = gpu(memory, capability)
    assert device.tier == tier
    assert hardware.profile(device)[0] == profile


def test_a_cpu_is_tiny_however_much_memory_it_has():
    assert hardware.profile(dataclasses.replace(CPU, memory_gb=512.0))[0] == "tiny"


def test_the_reason_names_the_device_and_what_the_next_profile_lacks():
    _, why = hardware.profile(gpu(14.7, (7, 5)))
    assert "Some GPU" in why and "'medium' needs 20 GiB of GPU memory, this GPU has 14.7" in why
    assert "before Ampere" in hardware.profile(gpu(31.7, (7, 0)))[1]
    assert "seedling" in hardware.profile(CPU)[1]


def test_this_machine_has_a_device():
    device = hardware.device()
    assert device.memory_gb > 0 and device.name
    assert hardware.profile(device)[0] in hardware.PROFILES
    with pytest.raises(dataclasses.FrozenInstanceError):
        device.kind = "cuda"


def test_without_torch_the_device_is_the_cpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert hardware.device().kind == "cpu"


def test_threads_and_memory_are_positive():
    assert hardware.threads() >= 1 and hardware.memory_gb() > 0.1


def test_a_container_quota_limits_threads_and_memory(monkeypatch):
    files = {"cpu.max": "100000 100000\n", "memory.max": str(2**30)}
    monkeypatch.setattr(hardware, "_cgroup", files.__getitem__)
    assert hardware.threads() == 1 and hardware.memory_gb() == 1.0


def test_store_explicit_then_environment_then_repository(monkeypatch, tmp_path, repo):
    assert environment.store() == repo / "runs"
    monkeypatch.setenv("NBCORE_STORE", str(tmp_path / "env"))
    assert environment.store() == tmp_path / "env"
    assert environment.store(tmp_path / "explicit") == tmp_path / "explicit"


def test_an_empty_secret_is_no_secret(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "  ")
    assert environment.secret("HF_TOKEN") is None
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert environment.secret("HF_TOKEN") == "hf_x"


def test_colab_secrets_reach_the_environment_and_no_failure_stops_the_notebook(colab, monkeypatch):
    for name in ("HF_TOKEN", "LOCKED", "SLOW", "ABSENT"):
        monkeypatch.setenv(name, "")  # so that monkeypatch restores whatever is set below
    assert environment.colab_secrets_to_env(["HF_TOKEN", "LOCKED", "SLOW", "ABSENT"]) == ["HF_TOKEN"]
    assert environment.secret("HF_TOKEN") == "hf_fake"


def test_a_secret_that_is_already_set_is_not_asked_for(colab, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    environment.colab_secrets_to_env(["HF_TOKEN"])
    assert environment.secret("HF_TOKEN") == "hf_mine"


def test_elsewhere_there_is_no_drive_and_mounting_does_nothing(elsewhere, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert not environment.on_colab()
    assert environment.mount_drive() is None
    assert not environment.MOUNT.exists()
    assert environment.colab_secrets_to_env(["HF_TOKEN"]) == []


def test_on_colab_the_drive_is_mounted_once(colab):
    assert environment.on_colab() and environment.drive_root() is None
    assert environment.mount_drive() == environment.MOUNT / "MyDrive"
    environment.mount_drive()
    assert colab.mounts == [str(environment.MOUNT)]


def test_a_dropped_mount_counts_as_no_drive(monkeypatch):
    def dropped(self):
        raise OSError(107, "Transport endpoint is not connected")

    monkeypatch.setattr(Path, "is_dir", dropped)
    assert environment.drive_root() is None


def test_a_half_done_setup_is_told_at_once_and_not_by_a_later_cell(elsewhere, monkeypatch):
    """The setup cell used to say that all was well where the install had failed."""
    assert environment.ready() == "on this machine, set up"
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match=r"not here: rustc, cargo; run `bash colab_setup.sh`"):
        environment.ready()


def test_rustup_s_tools_are_found_from_a_kernel_that_was_no_login_shell(tmp_path, repo):
    """On Colab rustup installs into ~/.cargo/bin, which is on no kernel's PATH: grading stopped at its first sample."""
    tools = tmp_path / "cargo" / "bin"
    tools.mkdir(parents=True)
    (tools / "rustc").write_text("#!/bin/sh\necho found\n")
    (tools / "rustc").chmod(0o755)
    code = "import nbcore, shutil; print(shutil.which('rustc'))"
    environment = {"PATH": "/usr/nowhere", "CARGO_HOME": str(tmp_path / "cargo"), "PYTHONPATH": str(repo)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == str(tools / "rustc"), done.stderr


def test_a_mirror_is_named_or_the_mounted_drive_or_none(colab, monkeypatch, tmp_path):
    """Mounting is all that a person on Colab has to do; an engineer names a folder; "off" is off."""
    monkeypatch.delenv("NBCORE_MIRROR", raising=False)
    assert environment.mirror() is None
    environment.mount_drive()
    assert environment.mirror() == str(environment.MOUNT / "MyDrive" / "nbcore")
    monkeypatch.setenv("NBCORE_MIRROR", "hf://buckets/me/runs")
    assert environment.mirror() == "hf://buckets/me/runs"
    monkeypatch.setenv("NBCORE_MIRROR", "off")
    assert environment.mirror() is None


def test_a_store_on_the_drive_is_refused(colab, monkeypatch):
    """Files written there in place are lost; the mirror is the way there."""
    with pytest.raises(ValueError, match=r"store: .* is on the Drive, .* leave store out"):
        environment.store(environment.MOUNT / "MyDrive" / "runs")


def test_a_file_of_secrets_is_read_and_never_shown(tmp_path, monkeypatch, capsys):
    """A token in .env reached nobody, and one that a message quotes must not be readable there."""
    for name in ("HF_TOKEN", "GITHUB_TOKEN", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "mine-and-it-stays")
    file = tmp_path / ".env"
    file.write_text(
        "# mine\n\nexport HF_TOKEN = 'my=own secret'\nWANDB_API_KEY=0123456789abc\n"
        'OPENAI_API_KEY="other"\nPATH=/nowhere\nGITHUB_TOKEN=\n'
    )
    path = os.environ["PATH"]
    assert environment.read_env_file(file) == ["HF_TOKEN", "WANDB_API_KEY"]
    assert environment.secret("HF_TOKEN") == "my=own secret" and environment.secret("GITHUB_TOKEN") is None
    assert environment.secret("OPENAI_API_KEY") == "mine-and-it-stays" and os.environ["PATH"] == path
    assert redact("the Hub said: my=own secret 0123456789abc") == "the Hub said: [redacted] [redacted]"
    assert environment.read_env_file(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"\xef\xbb\xbfHF_TOKEN=hf_mine\r\n", "hf_mine"),
        (b"HF_TOKEN=hf_mine # from the Hub's page", "hf_mine"),
        (b"HF_TOKEN='hf_mine'  # from the Hub's page", "hf_mine"),
        (b"HF_TOKEN=hf_mi#ne", "hf_mi#ne"),
        (b"HF_TOKEN=   # paste it here", None),
        (b"export\tHF_TOKEN=hf_mine", "hf_mine"),
        (b'HF_TOKEN=""', None),
        (b"HF_TOKEN=hf_old\nHF_TOKEN=hf_mine\nHF_TOKEN=\n", "hf_mine"),
    ],
)
def test_a_secret_is_the_value_alone(tmp_path, monkeypatch, text, value):
    """A remark became part of the token, and the Hub then called the model gated; a byte order mark was "no NAME"."""
    monkeypatch.setenv("HF_TOKEN", "")  # and is as it was after the test
    file = tmp_path / ".env"
    file.write_bytes(text)
    assert environment.read_env_file(file) == (["HF_TOKEN"] if value else [])
    assert environment.secret("HF_TOKEN") == value


@pytest.mark.parametrize(
    "value",
    [
        "“hf_aVeryReal”",
        "hf_aVery\u200bReal",
        "hf_aVery Real",
        "hf_aVeryReal ; mine",
        "'hf_aVéryReal'",
        "hf_aVery\0Real",
    ],
)
def test_what_can_be_no_token_is_told_by_its_line_before_it_is_sent(tmp_path, monkeypatch, value):
    """Curly quotes and invisible characters come with a copy from a document: the request ended in a traceback that
    held the token, and a NUL in "embedded null byte", of no file and no line."""
    monkeypatch.setenv("HF_TOKEN", "")
    file = tmp_path / ".env"
    file.write_text(f"# mine\nHF_TOKEN={value}\n", "utf-8")
    with pytest.raises(ValueError, match=r"^\.env:2: what HF_TOKEN holds is no token") as error:
        environment.read_env_file(file)
    assert "hf_a" not in str(error.value) and not os.environ["HF_TOKEN"]


def test_a_file_of_secrets_in_another_encoding_is_told_by_its_name(tmp_path):
    file = tmp_path / ".env"
    file.write_bytes("HF_TOKEN=hf_aVeryRealToken".encode("utf-16"))
    with pytest.raises(ValueError, match=r"^\.env: not in UTF-8") as error:
        environment.read_env_file(file)
    assert "VeryReal" not in str(error.value)


def test_half_a_name_of_a_gpu_is_told_the_whole_ones():
    """ "a100" was answered with "did you mean 'h100'", another card."""
    for name, told in (("a100", "'a100-40' or 'a100-80'"), ("H100 80GB", "'h100'"), ("l-4", "'l4'")):
        with pytest.raises(ValueError, match=rf"did you mean {told}\?"):
            hardware.gpu(name)


@pytest.mark.parametrize(
    "line",
    [
        "hf_aVeryRealToken",
        "HF TOKEN=hf_aVeryRealToken",
        "HF_TOKEN='hf_aVeryRealToken",
        "HF_TOKEN='hf_aVery'RealToken",
    ],
)
def test_a_line_of_it_that_cannot_be_read_is_named_and_not_quoted(tmp_path, line):
    file = tmp_path / ".env"
    file.write_text(f"# mine\n{line}\n")
    with pytest.raises(ValueError, match=r"^\.env:2: no NAME=VALUE") as error:
        environment.read_env_file(file)
    assert "VeryReal" not in str(error.value)
