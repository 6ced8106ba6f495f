"""Take one check, one fsync or one marker out of the store: some test of it turns red.

A suite that stays green without the thing it is there for tests nothing. Each mutation is made in a copy of the
repository, and the quick tests of the store run there until the first failure.
"""

import os
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

COMMIT = "nbcore/runs/commit.py"
MIRROR, BACKENDS, BUNDLE = (f"nbcore/runs/mirror/{name}.py" for name in ("mirror", "backends", "bundle"))
CHECKPOINTS, RETAIN, LEASE = (f"nbcore/runs/{name}.py" for name in ("checkpoints", "retention", "lease"))
MUTATIONS = {
    "no fsync of files": (COMMIT, "        sync(path)\n        if path.is_file():", "        if path.is_file():"),
    "no fsync of what is replaced": (COMMIT, "        file.flush()\n        os.fsync(file.fileno())\n", ""),
    "no fsync of the folder": (
        COMMIT,
        "    os.replace(temporary, path)\n    sync(path.parent)",
        "    os.replace(temporary, path)",
    ),
    "no rename": (COMMIT, '    temporary = path.with_name(f".{path.name}.new")', "    temporary = path"),
    "no hash of content": (
        COMMIT,
        'return None if sha256(path) == expected["sha256"] else',
        "return None if True else",
    ),
    "unreadable is fatal": (
        COMMIT,
        "        except OSError as error:\n            found.append",
        "        except KeyError as error:\n            found.append",
    ),
    "half-written files are vouched for": (COMMIT, " or is_hidden(name):", ":"),
    "no seal": (COMMIT, 'or facts.pop("seal", None) != _seal(facts)', 'or facts.pop("seal", None) is None'),
    "no hash of the manifest": (COMMIT, 'hashlib.sha256(manifest).hexdigest() != facts.get("manifest")', "False"),
    "marker first": (
        COMMIT,
        '    write_durably(directory / MANIFEST, json.dumps({"files": files}, indent=1) + "\\n")\n',
        '    write_sealed(directory / marker, {**facts, "manifest": "later"})\n'
        '    write_durably(directory / MANIFEST, json.dumps({"files": files}, indent=1) + "\\n")\n',
    ),
    "names may lead outside": (COMMIT, "        if not is_confined(name):", "        if False:"),
    "links are followed": (
        COMMIT,
        "    if path.is_symlink() or not path.is_file():",
        "    if not path.is_file():",
    ),
    "any step under any name": (CHECKPOINTS, 'if not found and self.facts.get("step") != self.step:', "if False:"),
    "torn weights are committed": (
        CHECKPOINTS,
        "        if why := _unreadable(file):",
        "        if False and (why := ''):",
    ),
    "no verification of the newest": (
        CHECKPOINTS,
        "        if not (found := checkpoint.problems()):",
        "        if not (found := []):",
    ),
    "weights of a trained run unchecked": (
        CHECKPOINTS,
        'return found["result"] if sound else {}',
        'return found["result"]',
    ),
    "marker dropped last": (
        CHECKPOINTS,
        "    (checkpoint.path / MARKER).unlink(missing_ok=True)\n    commit.sync(checkpoint.path)\n",
        "",
    ),
    "parts not read back": (MIRROR, "        if not self.backend.acknowledges:", "        if False:"),
    "parts not hashed": (MIRROR, 'and commit.sha256(files[-1]) == part["sha256"]:', "and True:"),
    "record before its parts": (
        MIRROR,
        "                self._put(name, part.path, part.sha256, staging)",
        "                (staging / 'early').write_text('{}')\n"
        "                parts[1:] or self.backend.put(f'{stem}.commit.json', staging / 'early')\n"
        "                self._put(name, part.path, part.sha256, staging)",
    ),
    "what came back is not verified": (MIRROR, "        if problems:\n", "        if False:\n"),
    "another run's records": (MIRROR, "                    if record.run == run:", "                    if True:"),
    "unconfirmed counts as confirmed": (
        MIRROR,
        "confirmed=self.confirmed(record) in ((True, None) if unconfirmed else (True,)),",
        "confirmed=True,",
    ),
    "no fsync on the mirror": (BACKENDS, "            write.flush()\n            os.fsync(write.fileno())\n", ""),
    "the mirror is overwritten": (BACKENDS, 'target.open("xb") as write', 'target.open("wb") as write'),
    "not emptied before it goes": (BACKENDS, "            os.truncate(path, 0)\n", ""),
    "provisional ids count": (BACKENDS, "not found.startswith(PROVISIONAL)", "True"),
    "archives may hold links": (BUNDLE, "if not member.isreg() or not", "if not"),
    "archives of any size": (BUNDLE, "or left < 0:", "or False:"),
    "the last good one may go": (RETAIN, "and item.step < safe)", ")"),
    "damaged ones count": (
        RETAIN,
        "(item for item in items if item.verified), key=_age",
        "(item for item in items), key=_age",
    ),
    "blessed ones go": (RETAIN, "    kept |= {item for item in items if item.blessed}\n", ""),
    "two hold one lease": (LEASE, "        if holder(run):\n            return False\n", ""),
    "the dead hold leases": (
        LEASE,
        'return found if _started(found["pid"]) == found["started"] else None',
        "return found",
    ),
}


@pytest.fixture(scope="module")
def copy(repo, tmp_path_factory):
    """A copy of what the store's tests need."""
    folder = tmp_path_factory.mktemp("mutated")
    for name in ("nbcore", "tests", "configs", "notebooks"):
        shutil.copytree(repo / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repo / "pyproject.toml", folder)
    return folder


SUITES = {  # what tests each file, the likeliest to notice first
    COMMIT: ("power_cut", "commit", "found_by_a_reader"),
    CHECKPOINTS: ("power_cut", "commit"),
    MIRROR: ("mirror", "found_by_a_reader", "power_cut"),
    BACKENDS: ("power_cut", "mirror"),
    BUNDLE: ("mirror",),
    RETAIN: ("retain", "mirror"),
    LEASE: ("lease",),
}


def suite(copy, names):
    """Run quick tests of the store to the first failure; the exit code and the end of what they print."""
    tests = [f"tests/runs/test_{name}.py" for name in names]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout[-1500:]


def test_the_suite_is_green_as_it_is(copy):
    """Else every mutation below would seem to be noticed."""
    code, output = suite(copy, dict.fromkeys(name for names in SUITES.values() for name in names))
    assert code == 0, output


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_missing_check_is_noticed(copy, name):
    file, old, new = MUTATIONS[name]
    path = copy / file
    text = path.read_text()
    assert text.count(old) == 1, f"{file} no longer holds {old!r}: mutate what is there now"
    path.write_text(text.replace(old, new))
    try:
        code, output = suite(copy, SUITES[file])
    finally:
        path.write_text(text)
    assert code == 1, f"nothing notices: {name}\n{output}"
