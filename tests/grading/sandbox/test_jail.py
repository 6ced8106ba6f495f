"""What the jail promises, layer by layer, and what a grader does where a promise is lost."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nbcore.grading.grader import RustGrader, Unsafe
from nbcore.grading.rust import compiler
from nbcore.grading.sandbox import canaries, jail, supervisor

TESTS = "#[cfg(test)] mod tests { use super::*; #[test] fn one() { assert_eq!(add(1, 2), 3); } }"
SAMPLE = {"id": "s", "code": "pub fn add(a: i64, b: i64) -> i64 { a + b }", "tests": TESTS}
ROOT = Path(__file__).resolve().parents[3]
PROMISES = set(canaries.PROMISES)


def held(**options):
    grader = RustGrader(jobs=1, allow_degraded=True, **options)
    try:
        assert grader.grade([SAMPLE])[0]["verdict"] == "pass"
        return {name for name, kept in grader.capabilities()["promises"].items() if kept}
    finally:
        grader.close()


def test_every_promise_holds_here():
    """The machine this runs on is one that untrusted code may be graded on; else the other tests prove little."""
    assert held() == PROMISES


@pytest.mark.parametrize(
    ("layers", "lost"),
    [
        (("chroot", "uid", "seccomp"), {"files"}),  # the compiler can still read
        (("chroot", "uid", "landlock"), {"network", "processes"}),
        (("seccomp",), {"files", "disk", "user"}),
        (("landlock",), {"network", "processes", "user"}),
        ((), {"files", "disk", "network", "processes", "user"}),
    ],
    ids=["no landlock", "no seccomp", "seccomp only", "landlock only", "limits only"],
)
def test_what_each_lost_layer_costs(layers, lost):
    """A canary that cannot fail proves nothing: with a layer away, exactly its promises are gone."""
    if os.getuid() != 0:
        pytest.skip("the layers that only root has are told apart as root")
    assert PROMISES - held(layers=layers) == lost


def test_a_compiler_that_could_open_its_own_source_is_noticed(tmp_path):
    """The canary must see it: the hidden tests are in there."""
    chain = compiler.find()
    command = [chain.driver(False), "--crate-type=lib", "--emit=metadata", "-o", str(tmp_path / "out"), "-"]

    def compile_by(sockets):
        def compiled(source):
            text = source + b"//" * 4000  # more than a pipe is given
            env = chain.env(tmp_path, tmp_path)
            return supervisor.run(command, env=env, cpu_s=9, wall_s=9, output_kb=99, stdin=text, sockets=sockets)

        return compiled

    for path in ("/dev/stdin", "/proc/self/fd/0", "/proc/thread-self/fd/0"):
        assert not canaries._unread(compile_by(False), [path])
        assert canaries._unread(compile_by(True), [path])


def test_grading_is_refused_where_a_promise_is_lost():
    """The default must be refusal: a user who never reads a report must not run a model's code unprotected."""
    with pytest.raises(Unsafe, match=r"network: nothing can be reached.*allow_degraded: true"):
        RustGrader(jobs=1, layers=())


def test_a_degraded_grader_says_so_in_every_verdict():
    grader = RustGrader(jobs=1, layers=("seccomp",), allow_degraded=True)
    isolation = grader.grade([SAMPLE])[0]["isolation"]
    assert isolation.startswith("degraded (") and "files" in isolation and grader.isolation == isolation
    grader.close()


_OTHER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from nbcore.grading.grader import RustGrader
grader = RustGrader(jobs=1, allow_degraded=True)
verdict = grader.grade([json.loads(sys.argv[2])])[0]
print(json.dumps({**grader.capabilities(), "verdict": verdict["verdict"]}))
"""
_DOCKER = "chown,dac_override,fowner,fsetid,kill,setgid,setuid,setpcap,net_bind_service,net_raw,sys_chroot,mknod"


def elsewhere(prefix, shared=()):
    """Capabilities and verdict of a grader started through `prefix`; `shared` folders can be read by anyone."""
    if os.getuid() != 0:
        pytest.skip("only root can give privileges away")
    env = {"PATH": f"{compiler.find().sysroot}/bin:{os.environ['PATH']}", "HOME": "/"}
    binds = "".join(f"mkdir -p $D/{path}; mount --bind {path} $D/{path};" for path in shared)
    homes = {Path(path).parts[1] for path in shared}
    binds += "".join(f"chmod 755 $D/{home}; mount --rbind $D/{home} /{home};" for home in homes)
    script = f'D=$(mktemp -d); chmod 755 $D; {binds} exec "$@"'
    outer = ["unshare", "--mount", "sh", "-c", script, "sh"] if shared else []
    command = [*outer, "setpriv", *prefix, sys.executable, "-c", _OTHER, str(ROOT), json.dumps(SAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd="/")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_root_with_a_containers_capabilities_keeps_every_promise():
    """Colab and Docker give a root without namespaces."""
    found = elsewhere(["--bounding-set", "-all," + ",".join(f"+{name}" for name in _DOCKER.split(","))])
    assert found["verdict"] == "pass" and found["isolation"] == "jailed", found
    assert found["layers"] == ["chroot", "uid", "landlock", "seccomp"]


def test_an_ordinary_user_keeps_every_promise():
    """A shared server gives no root at all."""
    private = [str(path) for path in (compiler.find().sysroot, Path(sys.base_prefix)) if path.is_relative_to("/root")]
    found = elsewhere(["--reuid", "65534", "--regid", "65534", "--clear-groups"], private)
    assert found["verdict"] == "pass" and found["isolation"] == "jailed", found
    assert {"landlock", "seccomp"} <= set(found["layers"]) and not {"chroot", "uid"} & set(found["layers"])


def test_a_layer_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="layers name moat"):
        RustGrader(jobs=1, layers=("moat",))


def test_two_graders_never_share_a_user():
    """What one worker's samples may signal or fill must not be another's."""
    (first, one), (second, two) = jail.claim_uid(), jail.claim_uid()
    assert first != second
    one.close()

    def lowest():
        uid, claim = jail.claim_uid()
        claim.close()
        return uid

    # Another process that grades may have given back a lower one, or have been quicker, and keep this one for a while.
    assert any(lowest() <= first or time.sleep(0.1) for _ in range(100))
    two.close()
