"""A folder of Exercism-style crates as Tasks: instructions and a stub in, the exercise's own tests as the hidden ones.

<folder>/…/<slug>/.docs/instructions.md  src/lib.rs  tests/<slug>.rs  .meta/example.rs  Cargo.toml
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbcore.core.conversation import BadRecord
from nbcore.core.records import Task

INSTRUCTIONS = ("introduction.md", "introduction.append.md", "instructions.md", "instructions.append.md")
_IGNORED = re.compile(r"^[ \t]*#\[ignore[^\]]*\][ \t]*\n", re.MULTILINE)
_FUNCTION = re.compile(r"^pub fn \w+.*?\{", re.MULTILINE | re.DOTALL)
_ITEM = re.compile(
    r"^\s*(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait|impl|type|mod|const|static|macro_rules!)\b", re.MULTILINE
)


def folders(source: str | Path) -> list[Path]:
    """The exercises in a folder, by path; none where it is no such folder."""
    root = Path(source).expanduser()
    if not root.is_dir():
        return []
    named = sorted({path.parent for path in root.rglob("Cargo.toml")})
    return [path for path in named if (path / "tests").is_dir() and (path / "src").is_dir()]


def files(source: str | Path) -> list[Path]:
    """Every file of those exercises that a task is made of."""
    return sorted(path for folder in folders(source) for path in _parts(folder) if path.is_file())


def records(source: str | Path) -> Iterator[tuple[Path, Task | BadRecord]]:
    """(its folder, the Task, or the BadRecord that says why there is none) of each exercise."""
    for folder in folders(source):
        try:
            yield folder, Task.parse(_task(folder))
        except BadRecord as error:
            yield folder, error
        except (UnicodeDecodeError, OSError, tomllib.TOMLDecodeError) as error:
            yield folder, BadRecord(f"cannot be read ({error})", "unreadable")


def packages(source: str | Path) -> list[Path]:
    """The folders of ordinary crates in a folder, or itself; none where it is no such folder, or one of exercises."""
    root = Path(source).expanduser()
    found: list[Path] = []
    if not root.is_dir():
        return found
    for manifest in sorted(root.rglob("Cargo.toml"), key=lambda path: len(path.parts)):
        inside = {"target", "vendor"} & {*manifest.relative_to(root).parts}
        known = any(manifest.is_relative_to(folder) for folder in found)  # a crate to test with is of the one around it
        if not inside and not known and "[package]" in manifest.read_text("utf-8", errors="replace"):
            found.append(manifest.parent)
    exercises = any((folder / ".meta" / "example.rs").is_file() for folder in found)
    return [] if exercises else sorted(found)


def sources(source: str | Path) -> list[Path]:
    """Every file of those crates that something is made of."""
    kept = ("*.rs", "Cargo.toml")
    return sorted(path for folder in packages(source) for name in kept for path in folder.rglob(name))


def _parts(folder: Path) -> list[Path]:
    meta = folder / ".meta"
    fixed = [folder / "Cargo.toml", folder / "src" / "lib.rs", meta / "example.rs", meta / "config.json"]
    return [*fixed, *(folder / ".docs" / name for name in INSTRUCTIONS), *sorted((folder / "tests").rglob("*.rs"))]


def _task(folder: Path) -> dict[str, Any]:
    manifest = tomllib.loads((folder / "Cargo.toml").read_text("utf-8"))
    package = manifest.get("package", {})
    if needed := sorted({**manifest.get("dependencies", {}), **manifest.get("dev-dependencies", {})}):
        raise BadRecord(f"it needs the crates {', '.join(needed)}, and programs are graded without any", "needs_crate")
    tests = sorted((folder / "tests").rglob("*.rs"))
    if len(tests) != 1:
        raise BadRecord(f"'tests' has {len(tests)} files; one can be graded", "several_files")
    words = [path.read_text("utf-8").strip() for name in INSTRUCTIONS if (path := folder / ".docs" / name).is_file()]
    if not words:
        raise BadRecord("'.docs/instructions.md' is missing; it is the task's prompt", "missing_content")
    stub = _text(folder / "src" / "lib.rs").strip()
    functions = [head[0] for head in _FUNCTION.finditer(stub)]
    prompt = "\n\n".join(words)
    signature = None
    if len(functions) == 1 and not _ITEM.search(stub):
        signature = functions[0]
    elif stub:
        prompt += f"\n\nWrite the whole of `src/lib.rs`, with these items:\n\n```rust\n{stub}\n```"
    name = str(package.get("name", folder.name))
    solution = _text(folder / ".meta" / "example.rs") or None
    return {
        **{"id": f"exercism/{folder.name}", "family": "exercism", "prompt": prompt, "signature": signature},
        **{"tests": _hidden(tests[0].read_text("utf-8"), name), "solution": solution},
        **{"edition": str(package.get("edition", "2021")), "meta": {"source": "Exercism-style crate", "crate": name}},
    }


def _hidden(tests: str, name: str) -> str:
    """An integration test as a module beside the answer: its crate is the module above, and no test waits."""
    inside = re.sub(rf"\b{re.escape(name.replace('-', '_'))}::", "super::", _IGNORED.sub("", tests))
    inside = re.sub(r"^use super::\*;\n", "", inside, flags=re.MULTILINE)
    return f"#[cfg(test)]\nmod tests {{\n#[allow(unused_imports)]\nuse super::*;\n{inside}}}\n"


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""
