"""The lines of benchmarks as Tasks: MultiPL-E, HumanEval-X and HumanEval as they are published, and verified mutants.

    multipl_e      {"name", "language": "rs", "prompt", "tests", "stop_tokens"}
    humaneval_x    {"task_id": "Rust/0", "prompt", "declaration", "canonical_solution", "test"}
    humaneval      {"task_id", "prompt", "entry_point", "canonical_solution", "test"}: Python
    mutant         {"id", "fault", "prompt", "tests", "code", "working"} of `data mutants`: a fault to repair

`meta.raw` is the text that a base model goes on from, `meta.stop` what ends its answer, `meta.language` the language
where it is not Rust.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nbcore.core.conversation import BadRecord, shortened
from nbcore.core.records import python_function

PYTHON_STOP = ["\nclass ", "\ndef ", "\n#", "\nif ", "\nprint", "\n@", "\nassert "]
RUST_STOP = ["\n}"]
OWN_CRATES = ("std", "core", "alloc", "crate", "self", "super")
REPAIR = """{asked}

This program was written for that, and it has one fault. Repair it, and answer with the whole program.

{code}"""
_USE = re.compile(r"^use\s+(?:::)?(\w+)(?:::[^;]*)?;[ \t]*\n?", re.MULTILINE)


def benchmark(record: Mapping[str, Any]) -> str | None:
    """The benchmark whose lines have these fields; None for a Task of our own or anything else."""
    if "name" in record and "prompt" in record and "tests" in record and "stop_tokens" in record:
        return "multipl_e"
    if {"fault", "prompt", "tests", "code", "working"} <= record.keys():
        return "mutant"
    if "task_id" in record and "prompt" in record and "test" in record:
        return "humaneval" if "entry_point" in record else "humaneval_x"
    return None


def task(record: Mapping[str, Any]) -> dict[str, Any]:
    """The Task that a benchmark's line stands for. Raises BadRecord, a ValueError, for one that cannot be graded."""
    name = benchmark(record)
    needed = {"multipl_e": ("name", "prompt", "tests"), "mutant": ("id", "fault", "prompt", "tests", "code", "working")}
    needed |= {"humaneval": ("task_id", "prompt", "test", "entry_point")}
    for field in needed.get(name, ("task_id", "prompt", "test")):
        if not isinstance(record[field], str) or not record[field].strip():
            raise BadRecord(f"{field!r} is {shortened(record[field])}; it must be text", "content_not_text")
    if name == "multipl_e":
        return _multipl_e(record)
    if name == "mutant":
        return _mutant(record)
    return _humaneval(record) if name == "humaneval" else _humaneval_x(record)


def _multipl_e(record: Mapping[str, Any]) -> dict[str, Any]:
    language = record.get("language", "rs")
    if language not in ("rs", "rust"):
        raise BadRecord(f"'language' is {shortened(language)}; only Rust (rs) is graded", "other_language")
    stop = record["stop_tokens"]
    if not isinstance(stop, list) or not all(isinstance(token, str) and token for token in stop):
        raise BadRecord(f"'stop_tokens' is {shortened(stop)}; it must be a list of texts", "content_not_text")
    words, signature = _parted(record["prompt"])
    tests = record["tests"]
    closing = ""
    if tests.lstrip().startswith("}"):  # it closes the function that the completion leaves open
        closing, tests = "\n}\n", tests.lstrip()[1:].lstrip("\n")
    meta = {"raw": record["prompt"], "stop": stop, "closing": closing, "source": "MultiPL-E"}
    return _task(record["name"], "multipl_e", words, signature, tests, None, meta)


def _mutant(record: Mapping[str, Any]) -> dict[str, Any]:
    """Its family is the kind of its fault, so that every table of families is one of faults."""
    asked = REPAIR.format(asked=record["prompt"].strip(), code=record["code"].strip())
    signature, meta = record.get("signature"), {"source": "mutants", "of": record.get("source")}
    made = _task(record["id"], record["fault"], asked, signature, record["tests"], record["working"], meta)
    return made | {"edition": record.get("edition") or "2021"}


def _humaneval_x(record: Mapping[str, Any]) -> dict[str, Any]:
    language = record["task_id"].partition("/")[0]
    if language.lower() != "rust":
        raise BadRecord(
            f"'task_id' is {shortened(record['task_id'])}; of HumanEval-X only Rust/… is graded", "other_language"
        )
    solution, tests, prompt = str(record.get("canonical_solution") or ""), record["test"], record["prompt"]
    for use in _USE.finditer(prompt):
        names = set(re.findall(r"\w+", use[0])) - {"use"}
        if use[1] not in OWN_CRATES and any(re.search(rf"\b{name}\b", solution + tests) for name in names):
            raise BadRecord(f"it needs the crate {use[1]}, and programs are graded without any", "needs_crate")
    prompt, declaration = _without_crates(prompt), _without_crates(str(record.get("declaration") or ""))
    words, signature = _parted(prompt)
    if declaration.strip() and prompt.rstrip().endswith(declaration.strip()):
        words, signature = prompt.rstrip().removesuffix(declaration.strip()), declaration
    meta = {"raw": prompt, "stop": RUST_STOP, "closing": "\n}\n", "source": "HumanEval-X"}
    return _task(record["task_id"], "humaneval_x", words, signature, tests, solution or None, meta)


def _humaneval(record: Mapping[str, Any]) -> dict[str, Any]:
    prompt = record["prompt"]
    try:
        name = python_function(prompt)
    except ValueError as error:
        raise BadRecord(f"'prompt': {error}", "unknown_shape") from None
    if name != record["entry_point"]:
        raise BadRecord(
            f"'entry_point' is {shortened(record['entry_point'])}, and the prompt's last function is {name}",
            "unknown_shape",
        )
    solution = record.get("canonical_solution")
    meta = {"raw": prompt, "stop": PYTHON_STOP, "closing": "", "language": "python", "source": "HumanEval"}
    return _task(record["task_id"], "humaneval", prompt, prompt, record["test"], solution, meta)


def _task(id_: str, family: str, prompt: str, signature: str, tests: str, solution: Any, meta: dict) -> dict[str, Any]:
    return {
        **{"id": id_, "family": family, "prompt": prompt, "signature": signature, "tests": tests},
        **{"solution": solution, "edition": "2021", "meta": meta},
    }


def _without_crates(text: str) -> str:
    return _USE.sub(lambda use: use[0] if use[1] in OWN_CRATES else "", text)


def _parted(prompt: str) -> tuple[str, str]:
    """(the words, the code behind them) of a prompt that ends in the head of a function."""
    lines = prompt.split("\n")
    comments = [
        at for at, line in enumerate(lines) if line.lstrip().startswith(("//", "/*")) or line.rstrip().endswith("*/")
    ]
    behind = comments[-1] + 1 if comments else 0
    return "\n".join(lines[:behind]) or prompt, "\n".join(lines[behind:]).lstrip("\n")
