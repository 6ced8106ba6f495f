"""The worker processes of a grader: they start wherever the grader itself does, or say in one line why not."""

import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from nbcore.grading import pool
from nbcore.grading.grader import RustGrader

pytestmark = pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")

GRADE = """
from nbcore.grading.grader import RustGrader
sample = {"id": "a", "code": "pub fn one() -> u8 { 1 }", "tests": "#[test] fn t() { assert_eq!(one(), 1) }"}
print(RustGrader(jobs=1, lint=False).grade([sample])[0]["verdict"])
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A Python that has no packages of its own, and a folder that has those of the grader."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "venv", symlinks=True)
    packages = folder / "packages"
    packages.mkdir()
    for name in ("tree_sitter", "tree_sitter_rust"):
        (packages / name).symlink_to(Path(__import__(name).__file__).parent)
    return folder


def grade(bare, repo, *path):
    """What that Python prints when it grades one program, with these folders on PYTHONPATH."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, repo]))}
    return subprocess.run(
        [bare / "venv/bin/python", "-c", GRADE], env=env, capture_output=True, text=True, cwd=bare, timeout=600
    )


def test_packages_on_pythonpath_serve_the_workers_too(bare, repo):
    """Workers are isolated from PYTHONPATH and the user's site, so every verdict was an infra_error there."""
    done = grade(bare, repo, bare / "packages")
    assert done.stdout == "pass\n", done.stderr


def test_what_lies_on_pythonpath_takes_the_place_of_no_module_of_pythons_own(bare, repo, tmp_path):
    """A worker holds the tests and the jail: a `secrets.py` beside the packages must not be its source of secrets."""
    shutil.copytree(bare / "packages", tmp_path / "packages", symlinks=True)
    (tmp_path / "packages" / "secrets.py").write_text("raise SystemExit('taken')")
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "packages")}
    code = f"import sys; sys.path.append(sys.path.pop(1)); sys.path.insert(0, {str(repo)!r})\n" + GRADE
    done = subprocess.run([bare / "venv/bin/python", "-c", code], env=env, capture_output=True, text=True, timeout=600)
    assert done.stdout == "pass\n", done.stderr


def test_a_worker_that_cannot_import_says_so_in_one_line_with_the_remedy(bare, repo):
    """Its traceback stood once for each of eight workers, and the evaluation ended in "wilson: k=0 of n=0"."""
    done = grade(bare, repo)
    assert "Traceback (most recent call last)" not in done.stderr.partition("RuntimeError")[2]
    assert done.stderr.splitlines()[-1] == (
        "RuntimeError: a grading worker cannot start: ModuleNotFoundError: No module named 'tree_sitter_rust'; "
        "`bash colab_setup.sh` installs what is missing"
    )


def test_workers_that_can_no_longer_start_say_why(monkeypatch):
    """What went away after the first worker had started was told as "died at their start; see above"."""
    monkeypatch.setattr(pool, "_STILLBORN", 2)
    grader = RustGrader(jobs=1, lint=False)
    (grader._jail.folder / "canary").unlink()
    grader.pool.workers[0].kill()
    grader.pool.workers.clear()
    with pytest.raises(
        RuntimeError, match="2 workers in a row died at their start: RuntimeError: the jail starts nothing"
    ):
        grader.grade([{"id": "a", "code": "fn f() {}", "tests": "#[test] fn t() {}"}])
    grader.close()
