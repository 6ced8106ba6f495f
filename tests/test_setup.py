"""colab_setup.sh: its arguments, what it leaves alone on Colab, and that a half-done setup is never taken for done.

The script is sourced and its functions are called with the network stubbed out; CI runs the real thing by running it.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

FREEZE = """\
torch==2.11.0+cu128
torchvision==0.26.0+cu128
torchao==0.10.0
numpy==2.1.3
ipykernel==6.17.1
ipython==7.34.0
ipywidgets==7.7.1
jupyter_client==7.4.9
pandas==2.2.2
pandas-gbq==0.30.0
transformers==5.15.0
peft==0.20.0
rich==13.9.4
"""
# What the script would install is written to a file instead, one line per call.
STUBS = """
pip_install() { echo "$*" >>calls; cat /dev/null "${@: -1}" >>constraints 2>/dev/null; return "${FAIL:-0}"; }
frozen() { cat freeze 2>/dev/null || true; }
make_venv() { [[ -e "$venv/bin/python" ]] || "$1" -m venv --without-pip "$venv"; }
has_nvidia_gpu() { return 1; }
answers() { return 1; }
"""


def environment(**extra: str) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if key != "COLAB_RELEASE_TAG"}
    return env | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **extra}


@pytest.fixture
def setup(repo, tmp_path):
    """Run shell code with the script's functions at hand, in a copy of what the script reads."""
    for name in ("colab_setup.sh", "requirements.txt", "pyproject.toml"):
        shutil.copy(repo / name, tmp_path)

    def run(code: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", "-c", f"source ./colab_setup.sh\n{code}"],
            cwd=tmp_path,
            input=stdin,
            env=environment(TMPDIR=str(tmp_path), **env),
            capture_output=True,
            text=True,
            timeout=600,
        )

    run.folder = tmp_path
    return run


def script(repo, *arguments: str) -> subprocess.CompletedProcess:
    command = ["bash", str(repo / "colab_setup.sh"), *arguments]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600)


def requirements(repo) -> dict[str, str]:
    lines = [line.split("#")[0].strip() for line in (repo / "requirements.txt").read_text().splitlines()]
    return dict(line.split("==") for line in lines if line)


# --- the files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["colab_setup.sh", ".ci/run"])
def test_scripts_parse_and_stop_at_the_first_error(repo, name):
    subprocess.run(["bash", "-n", str(repo / name)], check=True)
    text = (repo / name).read_text()
    assert text.startswith("#!/usr/bin/env bash\n") and "\nset -euo pipefail\n" in text
    assert os.access(repo / name, os.X_OK)


def test_ci_runs_what_a_developer_is_told_to_run_in_that_order(repo):
    """What `run` leaves behind made `test` fail, and CI never ran the one before the other."""
    commands = [line for line in (repo / ".ci/run").read_text().splitlines() if line.startswith("bash ")]
    assert [command.split()[:3] for command in commands] == [
        ["bash", "colab_setup.sh", "run"],
        ["bash", "colab_setup.sh", "test"],
    ]
    assert commands[1] == "bash colab_setup.sh test", "all tests"


def test_requirements_are_exact_and_from_the_index(repo):
    pins = requirements(repo)
    assert all(re.fullmatch(r"[0-9][0-9.]*", version) for version in pins.values())
    extras = tomllib.loads((repo / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert all(requirement in {f"{k}=={v}" for k, v in pins.items()} for requirement in extras["dev"])


# --- arguments ----------------------------------------------------------------------------------------------


def test_help_teaches(repo):
    done = script(repo, "--help")
    assert done.returncode == 0
    extras = tomllib.loads((repo / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in ("run", "test", "--with", "3.11", *(set(extras) - {"dev"})):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("arguments", "names"),
    [(["tset"], "tset"), (["--fast"], "--fast"), (["--with"], "--with"), (["--with", "unslot", "run"], "unslot")],
)
def test_bad_usage_is_one_line_and_exit_code_2(repo, arguments, names):
    done = script(repo, *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and names in done.stderr


def test_arguments_after_the_command_reach_it(setup):
    # `exec` replaces the shell; a fake interpreter shows what with.
    (setup.folder / "python").write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    (setup.folder / "python").chmod(0o755)
    stubs = f"set_up_python() {{ py={setup.folder}/python; }}\nset_up_rust() {{ :; }}\n"
    assert "<-m><nbcore><run><configs/pipeline/tiny.yaml><--set><sft.name=a b>" in (
        setup(f"{stubs} main run --set 'sft.name=a b'").stdout
    )
    printed = setup(f"{stubs} main test -k place").stdout
    assert "<-m><pytest><-m><slow or not slow>" in printed and printed.endswith("<-k><place>")


# --- Python -------------------------------------------------------------------------------------------------


def test_a_python_that_only_prints_an_error_is_passed_over(setup):
    shims = setup.folder / "shims"
    shims.mkdir()
    for name in ("python3", "python3.13"):
        (shims / name).write_text("#!/bin/sh\necho 'command not found' >&2; exit 127\n")
    (shims / "python3.12").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for shim in shims.iterdir():
        shim.chmod(0o755)
    assert setup(f'PATH="{shims}:$PATH"; pick_python').stdout.strip() == f"{shims}/python3.12"


def test_no_python_in_range_is_one_line_with_the_remedy(setup):
    done = setup("pick_python() { return 1; }; set_up_python")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "apt-get install" in done.stderr


def test_a_finished_setup_is_not_repeated_and_a_changed_one_is(setup):
    calls = setup.folder / "calls"
    assert setup(f"{STUBS} set_up_python").returncode == 0
    first = calls.read_text().splitlines()
    assert first[0].startswith("torch==") and first[0].endswith("+cpu") and first[1].startswith("-r ")
    setup(f"{STUBS} set_up_python")
    assert calls.read_text().splitlines() == first
    with (setup.folder / "requirements.txt").open("a") as file:
        file.write("# moved\n")
    setup(f"{STUBS} set_up_python")
    assert len(calls.read_text().splitlines()) == 2 * len(first)


def test_a_failed_setup_leaves_no_stamp_and_the_next_call_completes_it(setup):
    stamp = setup.folder / ".venv/nbcore-setup.stamp"
    setup(f"{STUBS} set_up_python")
    assert stamp.exists()
    with (setup.folder / "requirements.txt").open("a") as file:
        file.write("# moved\n")
    failed = setup(f"{STUBS} set_up_python", FAIL="1")
    assert failed.returncode == 1 and "could not install torch" in failed.stderr
    assert not stamp.exists()
    assert setup(f"{STUBS} set_up_python").returncode == 0
    assert stamp.exists()


def test_a_package_that_was_cut_off_while_copying_is_installed_again(setup):
    setup(f"{STUBS} set_up_python")
    site = next((setup.folder / ".venv/lib").glob("python*/site-packages"))
    for name, record in {"whole": "whole.py,,\n", "cut": None, "holed": "gone.py,,\n"}.items():
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        if record:
            (info / "RECORD").write_text(record)
    (site / "whole.py").touch()
    done = setup('py="$venv/bin/python"; forget_incomplete_packages')
    assert "cut-1.0" in done.stdout and "holed-1.0" in done.stdout
    assert [path.name for path in site.glob("*.dist-info")] == ["whole-1.0.dist-info"]


@pytest.mark.slow
def test_a_venv_without_pip_is_built_again(setup):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(setup.folder / ".venv")], check=True)
    done = setup('make_venv "$(pick_python)" && "$venv/bin/python" -m pip --version')
    assert done.returncode == 0 and "building it again" in done.stdout


def test_without_a_gpu_the_default_torch_is_the_last_resort(setup):
    refuses_cpu_builds = 'pip_install() { echo "$*" >>calls; [[ "$*" != *+cpu* ]]; }\n'
    setup(f'{STUBS} {refuses_cpu_builds} py=python3; answers() {{ [[ "$1" == https://* ]]; }}; install_torch')
    calls = (setup.folder / "calls").read_text().splitlines()
    assert len(calls) == 3
    assert "--extra-index-url" not in calls[0] and "--extra-index-url" in calls[1] and "+cpu" not in calls[2]


def test_with_a_gpu_torch_is_the_default_build(setup):
    setup(f"{STUBS} has_nvidia_gpu() {{ return 0; }}; py=python3; install_torch")
    assert "+cpu" not in (setup.folder / "calls").read_text()


def test_an_extra_that_needs_a_gpu_says_so_before_anything_is_installed(setup):
    done = setup(f"{STUBS} set_up_python unsloth")
    assert done.returncode == 1 and "NVIDIA GPU" in done.stderr and not (setup.folder / "calls").exists()


def test_an_extra_is_installed_once_and_inside_the_lock_set(setup):
    for _ in range(2):
        assert setup(f"{STUBS} set_up_python harmony").returncode == 0
    calls = (setup.folder / "calls").read_text().splitlines()
    assert len(calls) == 3
    pins = (setup.folder / "constraints").read_text()
    assert "transformers==" in pins and "numpy==" not in pins


# --- Colab --------------------------------------------------------------------------------------------------


def test_colab_keeps_its_own_torch_kernel_and_widgets(setup):
    kept = setup("kept_on_colab", stdin=FREEZE).stdout.split()
    assert kept == [line for line in FREEZE.split() if line.split("==")[0] in {
        "torch", "torchvision", "numpy", "ipykernel", "ipython", "ipywidgets", "jupyter_client", "pandas",
    }]  # fmt: skip


def test_nothing_to_keep_is_no_error(setup):
    done = setup("kept_on_colab", stdin="rich==15.0.0\n")
    assert done.returncode == 0 and done.stdout == ""


def test_requirements_never_contradict_the_constraints(setup, repo):
    (setup.folder / "kept").write_text("torch==2.11.0+cu128\nnumpy==2.1.3\nHuggingface-Hub==1.0\n")
    left = setup("requirements_without kept <requirements.txt").stdout.split()
    expected = [f"{k}=={v}" for k, v in requirements(repo).items() if k not in {"torch", "numpy", "huggingface_hub"}]
    assert left == expected


def test_on_colab_the_runtime_is_installed_into_and_told_what_moved(setup):
    (setup.folder / "freeze").write_text(FREEZE)
    moves = f'{STUBS} pip_install() {{ cp "$2" asked; cp "$4" kept; sed -i \'s/peft==.*/peft==0.21.2/\' freeze; }}\n'
    done = setup(
        f'{moves} remove_old_torchao() {{ :; }}; py=python3; prefix="$PWD"; install_packages',
        COLAB_RELEASE_TAG="release",
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"peft +0\.20\.0 -> 0\.21\.2", done.stdout) and "transformers " not in done.stdout
    assert "torch==2.11.0+cu128" in (setup.folder / "kept").read_text()
    asked = (setup.folder / "asked").read_text()
    assert "torch==" not in asked and "ipywidgets==" not in asked and "trl==" in asked
    assert (setup.folder / "nbcore-setup.stamp").exists() and not (setup.folder / ".venv").exists()


# --- Rust ---------------------------------------------------------------------------------------------------


def test_a_rust_that_works_is_left_alone(setup):
    done = setup("rust_works() { return 0; }; rust_from_rustup() { echo touched; }; set_up_rust")
    assert done.returncode == 0 and "touched" not in done.stdout


def test_no_rust_in_reach_is_one_line_and_not_the_end(setup):
    done = setup(
        "rust_works() { return 1; }; rust_from_rustup() { return 1; }; apt_install() { return 1; }; set_up_rust"
    )
    assert done.returncode == 0 and "https://rustup.rs" in done.stdout
