"""One grading process: jobs come in as lines of JSON on stdin, verdicts go out as lines on stdout.

It has a network, a user and a build folder of its own, so that what a sample does touches no other sample; a crash
costs the job in hand, which its grader gives to another worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nbcore.grading import verdicts
from nbcore.grading.patience import load, patience
from nbcore.grading.python import judge
from nbcore.grading.rust import compiler, crate, harness, hidden, signatures, structure, syntax
from nbcore.grading.rust.answer import extract
from nbcore.grading.rust.forbidden import HONEST, screen
from nbcore.grading.sandbox import canaries, forkserver, jail, supervisor

_BUILT_MB = 64
_CHATTER, _MB = 16, 1 << 20  # times more may be printed to stdout, which nobody reads, than to stderr
_LONG = 64 << 10  # characters of a program
_LONGEST = 4  # times a program's length that an answer may have; a longer one is refused unread, on any machine


class Worker:
    """Judges one job after another; nothing of one is left for the next."""

    def __init__(self, cell: jail.Jail, chain: compiler.Toolchain, limits: supervisor.Limits, tier: str, lint: bool):
        self.jail, self.chain, self.limits, self.tier, self.lint = cell, chain, limits, tier, lint
        supervisor.become_reaper()
        listeners = canaries.Listeners()
        self.uid, self._claim = jail.claim_uid() if "uid" in cell.layers else (None, None)
        self.layers = [name for name in cell.layers if name != "namespaces" or jail.enter_namespaces()]
        self._folder = tempfile.TemporaryDirectory(prefix="worker-", dir=cell.folder)
        self.build, self.here = Path(self._folder.name, "build"), Path(self._folder.name, "run")
        self.build.mkdir()
        self.here.mkdir()
        self._env = chain.env(self.build, cell.folder)
        self.server = self._server()
        self.promises = canaries.prove(cell, self.uid, listeners, lambda source: self._compile(source, "2021", "check"))
        listeners.close()
        self._clear()

    def _server(self) -> forkserver.Server | None:
        """The compiler's fork server, where one works; else each call starts the compiler anew, 10 ms slower."""
        server = self.server = forkserver.Server(self.chain.driver(self.lint), self.jail.folder / "jail.so", self._env)
        try:
            if self._compile(b"fn main() {}", "2021", "check").code == 0:
                return server
        except OSError:
            pass
        server.close()
        return None

    def _restart_server(self) -> None:
        if self.server:
            self.server.close()
        with contextlib.suppress(OSError):  # what is wrong then, the next job will say
            self.server = self._server()

    def _compile(self, source: bytes, edition: str, tier: str, warn: tuple[str, ...] = ()) -> supervisor.Outcome:
        limits = self.limits
        arguments = self.chain.arguments(edition, self.build / "candidate", tier, self.lint, warn)
        command = arguments if self.server else [self.chain.driver(self.lint), *arguments]
        options = {"cpu": limits.compile_cpu_s, "as": limits.compile_mem_mb * _MB, "fsize": _BUILT_MB * _MB}
        call = self.jail.compiler(command, options, self.build)
        return supervisor.run(
            call if self.server else [str(self.jail.folder / "jail"), *call],
            env=self._env,
            cpu_s=limits.compile_cpu_s,
            wall_s=limits.compile_wall_s * load(),
            output_kb=limits.output_kb,
            stdin=source,
            server=self.server,
            sockets=True,
        )

    def judge(self, job: dict[str, Any]) -> dict[str, Any]:
        """The verdict without its id, and `keep`, whether it may be remembered.

        An infrastructure error is tried once more, and so is a program that the clock stopped while it was waiting.
        """
        for _ in range(2):
            started = time.monotonic()
            verdict = verdicts.unknown(_cases(job) if self.tier == "test" else 0) | {"keep": True}
            try:
                self._attempt(job, verdict)
            except Exception as error:  # ours: a full disk, no more processes, a toolchain that went away, a bug
                verdict |= {
                    "verdict": "infra_error",
                    "errors": [verdicts.note("infra", f"{type(error).__name__}: {error}")],
                }
                self._restart_server()
            finally:
                self._clear()
            verdict["passed"] = verdict["verdict"] == "pass"
            verdict["wall_ms"] = (time.monotonic() - started) * 1e3
            if verdict["verdict"] != "infra_error":
                break
            words = "the machine gave it no time to run, or could not start it"
            verdict["errors"] = verdict["errors"] or [verdicts.note("infra", words)]
        verdict["keep"] &= verdict["verdict"] != "infra_error"
        return verdict

    def _attempt(self, job: dict[str, Any], verdict: dict[str, Any]) -> None:
        if job["language"] == "python":
            judge.judge(self.jail, self.limits, self.here, job, verdict)
            return
        if job["language"] == crate.LANGUAGE:
            crate.judge(self.jail, self.chain, self.limits, (self.build, self.here), self.uid, job, verdict)
            return
        code = job["text"]
        try:
            with patience():
                whole = job["plain"] or len(job["text"]) > _LONGEST * self.limits.source_kb << 10
                code = job["text"] if whole else extract(job["text"], job["signature"], job["tests"])
                if code is None or not code.strip():
                    verdict["verdict"] = "no_code"
                    return
                flags, refusals = screen(code, self.limits.source_kb, job["edition"])
                if "too_long" not in flags:  # that was not read, and would fill memory and files
                    verdict["code"] = code
                # HumanEval-X has a task without tests. It can pass, emptily: reward.py pays for no tests.
                verdict["flags"] = flags + ["no_tests"] * (verdict["tests_total"] == 0)
                refused = [verdicts.note(flag, "refused before compiling") for flag in refusals]
                if not refused and len(code) > _LONG and self._is_no_rust(code, job["edition"], verdict):
                    return
                if not refused:
                    verdict["flags"] += structure.noted(code, job["signature"])
                    source = harness.build(code, job["tests"], job["signature"], job["edition"])
        except signatures.Mismatch as mismatch:
            verdict["flags"].append(mismatch.flag)
            refused = [verdicts.note(mismatch.flag, str(mismatch))]
        except Exception:
            # Our reader has a fault; what is no Rust must not be able to bring an infra_error about by it.
            if not self._is_no_rust(code or "", job["edition"], verdict):
                raise
            return
        if refused:
            honest = refused[0]["code"] in HONEST
            verdict |= {"verdict": "compile_error" if honest else "rejected", "errors": refused}
        elif self._built(source, job["edition"], verdict):
            self._run(source, verdict)

    def _is_no_rust(self, code: str, edition: str, verdict: dict[str, Any]) -> bool:
        """Whether the compiler's grammar refuses a candidate by itself. For a long one that is asked first: reading
        what is no Rust takes us time by the square of its length, and whether it ends would depend on the machine."""
        built = self._compile(code.encode(errors="surrogatepass"), edition, "check")
        verdict["cpu_ms"] += built.cpu_ms
        if errors := compiler.grammar(built) if built.code == 1 else []:
            verdict |= {"verdict": "compile_error", "errors": errors}
        return bool(errors)

    def _built(self, source: harness.Source, edition: str, verdict: dict[str, Any]) -> bool:
        """Whether there is a program to run."""
        text = source.text.encode(errors="surrogatepass")  # a lone surrogate is the compiler's to refuse
        warn: tuple[str, ...] = ()
        while True:
            built = self._compile(text, edition, self.tier, warn)
            report = compiler.read_report(built.stderr, source.ours, source.module)
            verdict["cpu_ms"] += built.cpu_ms
            verdict |= {"clippy_warnings": sum(report.lints.values()), "lints": report.lints}
            # A lint of clippy's that the sample denies itself is not a compile error, and one on our lines not its own.
            if not set(report.denied) - set(warn):
                break
            warn += report.denied
        verdict["flags"] = sorted({*verdict["flags"], *report.flags, *["diagnostics_truncated"] * built.over})
        if wrong := compiler.failure(built, report, built.code != 0 and self._disk_full()):
            errors = report.errors or [verdicts.note(None, f"the compiler ended with {built.code or built.signal}")]
            verdict |= {"verdict": wrong, "errors": errors, "keep": built.timeout != "wall"}
            return False
        if resolved := [flag for flag in report.flags if flag in ("file_macro", "env_macro")]:
            verdict |= {"verdict": "rejected", "errors": [verdicts.note(resolved[0], "refused as it was compiled")]}
            return False
        verdict |= {"compiles": True, "verdict": "pass"}
        verdict["flags"] += source.flags if self.tier == "test" else ()
        return self.tier == "test"

    def _run(self, source: harness.Source, verdict: dict[str, Any]) -> None:
        limits, nonce = self.limits, secrets.token_hex(16)
        binary = self.build / "candidate"
        binary.chmod(0o111)  # to be run, not to be read
        options = {"cpu": limits.run_cpu_s, self.jail.memory: limits.run_mem_mb * _MB, "fsize": _MB}
        ran = supervisor.run(
            self.jail.candidate(binary, (), options | {"cwd": str(self.here)}, self.uid),
            env={},
            cpu_s=limits.run_cpu_s,
            wall_s=limits.run_wall_s * load(),
            output_kb=limits.output_kb,
            stdin=nonce.encode(),
            stdout_kb=limits.output_kb * _CHATTER,
            kill_over=True,
        )
        verdict["cpu_ms"] += ran.cpu_ms
        read = hidden.read(ran.stderr, source.secret, nonce, source.expects)
        kind = verdicts.judgement(ran, read.passed, read.complete, len(source.expects))
        if ran.code == 125 and not hidden.begun(ran.stderr, source.secret, nonce):
            kind = "infra_error"  # the jail's own word: the program was not started
        verdict |= {"verdict": kind, "tests_passed": read.passed, "keep": ran.timeout != "wall"}
        verdict["flags"] += ["forged_report"] * read.forged

    def _disk_full(self) -> bool:
        """Whether a program could not be written, though nothing of this one were there."""
        own = sum(path.lstat().st_size for path in self.build.rglob("*"))
        return shutil.disk_usage(self.build).free + own < _BUILT_MB * _MB

    def _clear(self) -> None:
        for left in (*self.build.iterdir(), *self.here.iterdir()):
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()

    def close(self) -> None:
        """End the fork server and remove the folder."""
        if self.server:
            self.server.close()
        self._folder.cleanup()


def _cases(job: dict[str, Any]) -> int:
    return 1 if job["language"] == "python" else hidden.count(job["tests"])


def main() -> None:
    """Read the set-up, say what was proved, then judge until stdin ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints must not be taken for a verdict

    def say(message: dict[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    setup = json.loads(sys.stdin.readline())
    cell = jail.Jail(Path(setup["folder"]), tuple(setup["layers"]), tuple(setup["system"]), setup["memory"])
    chain = compiler.Toolchain(Path(setup["sysroot"]), setup["version"], tuple(setup["link"]))
    try:
        syntax.parse("")  # a parser that cannot be imported is told now, and not by every job
        worker = Worker(cell, chain, supervisor.Limits(**setup["limits"]), setup["tier"], setup["lint"])
    except Exception as error:  # whatever it is, it would stand in the way of every job: the grader tells the person
        say({"obstacle": verdicts.obstacle(error)})
        return
    say({"layers": worker.layers, "promises": worker.promises, "fork_server": worker.server is not None})
    try:
        for line in sys.stdin:
            job = json.loads(line)
            say({"job": job["job"], **worker.judge(job)})
    finally:
        worker.close()


if __name__ == "__main__":
    main()
