"""The setup cell of the notebooks, executed: in a clone, on Colab, outside of both, and after what went wrong before.

git and bash are stubs on a PATH of their own: what they were asked to do is written to a file.
"""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.test_notebooks import NOTEBOOKS, cells, source

REPO = Path(__file__).resolve().parents[1]
ADDRESS = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
NAME = ADDRESS.rsplit("/", 1)[1]
SENTENCE = f"RuntimeError: no clone here: git clone {ADDRESS}, and open its notebooks"
# The clone has what the cell itself needs; its setup installs "Rust" where rustup would.
STUBS = {
    "git": """#!/bin/sh
echo "git $* prompt=$GIT_TERMINAL_PROMPT" >>"$CALLS"
if [ "$GIT" = fails ]; then echo "fatal: could not read Username" >&2; exit 128; fi
mkdir "$NAME" && cp -r "$SOURCE" "$NAME/nbcore"
""",
    "bash": """#!/bin/sh
echo "bash $* in $(basename "$(pwd)")" >>"$CALLS"
if [ "$BASH" = fails ]; then echo "could not install torch" >&2; exit 1; fi
mkdir -p "$CARGO_HOME/bin"
for tool in rustc cargo; do echo "#!/bin/sh" >"$CARGO_HOME/bin/$tool"; chmod +x "$CARGO_HOME/bin/$tool"; done
""",
}


@pytest.fixture
def kernel(tmp_path):
    """Run the setup cell in a folder of its own, again and again; returns (its output, the calls of git and bash)."""
    content, tools, calls = tmp_path / "content", tmp_path / "tools", tmp_path / "calls"
    content.mkdir()
    tools.mkdir()
    for name in ("sh", "mkdir", "cp", "chmod", "basename"):
        (tools / name).symlink_to(shutil.which(name))
    for name, script in STUBS.items():
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    # Enough of the package for the cell, without the rest: what it imports there must be light.
    package = tmp_path / "package"
    shutil.copytree(REPO / "nbcore" / "core", package / "core", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / "nbcore" / "__init__.py", package)

    def run(folder: Path = content, **env: str) -> tuple[str, list[str]]:
        code = f"""
from IPython.core.interactiveshell import InteractiveShell
import os
result = InteractiveShell.instance().run_cell({source(cells("00_start")["setup"])!r})
error = result.error_before_exec or result.error_in_exec
print(f"{{type(error).__name__}}: {{error}}" if error else f"in {{os.path.basename(os.getcwd())}}")
"""
        given = {"PATH": str(tools), "HOME": str(tmp_path), "CARGO_HOME": str(tmp_path / "cargo"), "HF_TOKEN": "none"}
        given |= {
            "NAME": NAME,
            "CALLS": str(calls),
            "SOURCE": str(package),
            "IPYTHONDIR": str(tmp_path / "ipython"),
            **env,
        }
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=given, capture_output=True, text=True)
        return done.stdout + done.stderr, calls.read_text().splitlines() if calls.is_file() else []

    run.content, run.package = content, package
    return run


COLAB = {"COLAB_RELEASE_TAG": "release"}


def test_on_colab_it_clones_and_sets_up_once(kernel):
    """git must not ask for a name and password: nobody sees the prompt, and the cell would never end."""
    output, calls = kernel(**COLAB)
    assert f"on Colab, set up\nin {NAME}" in output, output
    assert calls == [
        f"git clone --quiet --branch main {ADDRESS} prompt=0",
        f"bash colab_setup.sh in {NAME}",
    ]
    output, again = kernel(**COLAB)  # a restarted session begins beside the clone
    assert f"in {NAME}" in output and again == calls


def test_a_setup_that_failed_is_tried_again_and_the_clone_is_not(kernel):
    """The folder is there by then, and the cell took that for a setup that is done."""
    output, calls = kernel(**COLAB, BASH="fails")
    assert "could not install torch" in output
    assert "RuntimeError: not here: rustc, cargo; the setup says above what went wrong; run this cell again" in output
    output, calls = kernel(**COLAB)
    assert f"on Colab, set up\nin {NAME}" in output, output
    assert [call.split()[0] for call in calls] == ["git", "bash", "bash"]


def test_a_clone_that_fails_ends_in_a_sentence(kernel):
    """It was FileNotFoundError: 'REPO', under whatever git had said."""
    output, calls = kernel(**COLAB, GIT="fails")
    assert "fatal: could not read Username" in output and SENTENCE in output and len(calls) == 1, output
    assert f"in {NAME}" in kernel(**COLAB)[0]


def test_outside_of_a_clone_it_says_where_to_get_one(kernel):
    """A notebook downloaded alone ended in "No module named 'nbcore'"."""
    output, calls = kernel()
    assert SENTENCE in output and calls == [], output
    (kernel.content / "nbcore").mkdir()  # some folder of that name is no clone
    assert SENTENCE in kernel()[0]


@pytest.mark.parametrize("start", ["clone", "clone/notebooks"])
def test_in_a_clone_nothing_is_fetched_and_a_missing_setup_is_told(kernel, start):
    """Jupyter and VS Code start a kernel in the notebook's folder, papermill and the tests in the root."""
    folder = kernel.content / start
    shutil.copytree(kernel.package, kernel.content / "clone" / "nbcore")
    folder.mkdir(exist_ok=True)
    output, calls = kernel(folder)
    assert "RuntimeError: not here: rustc, cargo; run `bash colab_setup.sh`" in output and calls == [], output
    kernel(kernel.content, **COLAB)  # the stub of rustup, for the tools
    output, _ = kernel(folder)
    assert "on this machine, set up\nin clone" in output, output


def test_the_cell_is_short_and_the_same_everywhere():
    """Seven copies that drift apart are seven cells to mend."""
    texts = {source(cells(stem)["setup"]) for stem in NOTEBOOKS}
    assert len(texts) == 1 and len(texts.pop().splitlines()) <= 25
