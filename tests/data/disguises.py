"""Ways to hide an evaluation item in training data: what a copy on the web looks like after people edited it."""

from __future__ import annotations

import json
import re

_BOUND = re.compile(
    r"\bfn\s+(\w+)|\blet\s+(?:mut\s+)?(\w+)|\bfor\s+&?(\w+)\s+in\b|[(,]\s*(?:mut\s+)?([a-z_]\w*)\s*:[^:]"
)
_FILLER = (
    "pub fn area_{0}(width: u64, height: u64) -> u64 {{\n    let margin = {0};\n    width * height + margin\n}}\n\n"
)


def renamed(code: str) -> str:
    """Functions, parameters and variables under other names."""
    names = {name for match in _BOUND.finditer(code) for name in match.groups() if name}
    for number, name in enumerate(sorted(names - {"self", "_"})):
        code = re.sub(rf"(?<![.\w]){name}\b(?!!)", f"renamed_{number}", code)
    return code


def commented(code: str) -> str:
    """Comments between the lines, and after them."""
    return "/* From my notes. */\n" + code.replace(";\n", "; // next\n").replace("{\n", "{\n    // Begin here.\n", 1)


def reformatted(code: str) -> str:
    """All on one line."""
    return " ".join(re.sub(r"//[^\n]*", "", code).split())


def logged(code: str) -> str:
    """A line that prints after each statement."""
    return re.sub(r";\n(?!\s*else|\s*\})", ';\n    println!("at {}", line!());\n', code)


def literals(code: str) -> str:
    """Whole numbers with their type."""
    return re.sub(r"(?<![\w.\"'])(\d{2,})(?![\w.\"'])", r"\1_i64", code)


def embedded(code: str) -> str:
    """In the middle of a larger file, in a module."""
    before, after = ("".join(_FILLER.format(number) for number in numbers) for numbers in (range(12), range(20, 32)))
    return f"{before}mod inner {{\n    use super::*;\n{code}\n}}\n\n{after}"


def in_tests(code: str) -> str:
    """As the helper of a test module."""
    return f"#[cfg(test)]\nmod tests {{\n{code}\n    #[test]\n    fn runs() {{\n        assert!(true);\n    }}\n}}\n"


def in_json(code: str) -> str:
    """As a field of a line of JSON, with its line ends escaped."""
    return json.dumps({"instruction": "Complete this.", "output": code})


def annotated(code: str) -> str:
    """Variables and collections with their types spelled out."""
    code = re.sub(r"\blet mut (\w+) = Vec::new\(\)", r"let mut \1: Vec<_> = Vec::new()", code)
    return code.replace(".collect()", ".collect::<Vec<_>>()")


DISGUISES = (
    lambda code: embedded(reformatted(renamed(code))),
    lambda code: in_tests(commented(renamed(code))),
    lambda code: logged(commented(renamed(code))),
    lambda code: in_json(literals(renamed(code))),
    lambda code: embedded(commented(literals(renamed(annotated(code))))),
)
