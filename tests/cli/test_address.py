"""`python -m nbcore address`: one command sets where the project lives, in everything that names it."""

import shutil

import pytest

from nbcore.cli import address, main
from nbcore.core import environment


@pytest.fixture
def copy(repo, tmp_path, monkeypatch):
    """A copy of all files that name the address, in which the command works."""
    for pattern in address.FILES:
        for path in repo.glob(pattern):
            target = tmp_path / path.relative_to(repo)
            target.parent.mkdir(exist_ok=True)
            shutil.copy(path, target)
    monkeypatch.setattr(environment, "REPO", tmp_path)
    return tmp_path


def texts(folder):
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}


def call(capsys, *words):
    return (main.main(["address", *words]), *capsys.readouterr())


def test_one_command_sets_it_everywhere_and_prints_what_changed(copy, repo, capsys):
    """A badge or a setup cell that was forgotten opens somebody else's notebook, or clones somebody else's code."""
    old = address.current(copy)
    code, out, _ = call(capsys, "some-one/rust.notebooks")
    assert code == 0 and address.current(copy) == "some-one/rust.notebooks"
    changed = texts(copy)
    assert not [name for name, text in changed.items() if f"github.com/{old}" in text or f"/github/{old}" in text]
    books = [name for name in changed if name.startswith("notebooks/")]
    assert {*books, "README.md", "pyproject.toml"} <= set(out.splitlines())
    for name in books:
        assert 'address = \\"https://github.com/some-one/rust.notebooks\\"' in changed[name]
        assert f"(https://colab.research.google.com/github/some-one/rust.notebooks/blob/main/{name})" in changed[name]
    assert "git clone https://github.com/some-one/rust.notebooks && cd rust.notebooks\n" in changed["README.md"]


def test_it_can_be_given_again_and_changed_again(copy, capsys):
    """A project that moves, or whose name is also a folder of ours, comes back to the same bytes."""
    old, before = address.current(copy), texts(copy)
    for new in ("nbcore/notebooks", "nbcore/runs", "a/b", "https://github.com/b/a.git/", old):
        assert call(capsys, new)[0] == 0
    assert texts(copy) == before
    assert "nothing to change" in call(capsys, old)[1]


def test_what_comes_from_upstream_without_an_address_gets_it_too(copy, capsys):
    """A notebook that is merged from upstream later has the placeholder, and pyproject the fork's own."""
    call(capsys, "me/mine")
    (copy / "notebooks" / "99_new.ipynb").write_text('"https://github.com/ORG/REPO"\n')
    assert "notebooks/99_new.ipynb" in call(capsys, "me/mine")[1]
    assert "github.com/me/mine" in (copy / "notebooks" / "99_new.ipynb").read_text()


@pytest.mark.parametrize(
    "bad", ["rust", "a/b/c", "-a/b", "a--b/c", "a b/c", "a/..", "/b", "a/", "http://x.org/a/b", ""]
)
def test_what_is_no_address_changes_nothing(copy, capsys, bad):
    """A typo would be written into sixteen places."""
    before = texts(copy)
    code, out, err = call(capsys, "--", bad)
    assert code == 2 and out == "" and err.startswith("error: OWNER/REPO: ") and err.count("\n") == 1, err
    assert texts(copy) == before


def test_other_projects_keep_theirs():
    """Only the address itself is replaced: not one that begins like it, and no path of the same name."""
    text = "github.com/a/b-two github.com/a/b.io `a/b` a/b/c github.com/a/b.git github.com/x/a/b github.com/a/b."
    assert address.replaced(text, "a/b", "c/d") == (
        "github.com/a/b-two github.com/a/b.io `a/b` a/b/c github.com/c/d.git github.com/x/a/b github.com/c/d."
    )
