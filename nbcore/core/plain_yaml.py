"""YAML as a person reads it: the one reader and writer of configs, pipelines, overrides and knobs.

PyYAML follows YAML 1.1, which surprises: 010 is 8 there, 1:30 is 90, 1e-4 is text, 2024-01-01 is a date, and of a key
that stands twice the last value counts without a word. Here digits are decimal, 1e-4 is a number, a time or a date is
text, and a doubled key is an error. yes, no, on and off stay booleans, as in YAML 1.1.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

DIGITS = r"[0-9]+(?:_[0-9]+)*"
NUMBERS = {  # tag -> (what such a number looks like, the characters it begins with)
    "tag:yaml.org,2002:int": (rf"[-+]?(?:{DIGITS}|0x[0-9a-fA-F]+|0b[01]+)", "-+0123456789"),
    "tag:yaml.org,2002:float": (
        rf"[-+]?(?:(?:{DIGITS}\.(?:{DIGITS})?|\.{DIGITS})(?:[eE][-+]?[0-9]+)?|{DIGITS}[eE][-+]?[0-9]+"
        r"|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
}
NOT_OURS = {*NUMBERS, "tag:yaml.org,2002:timestamp"}  # PyYAML's rules for these are not used


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in NOT_OURS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line, name = key.start_mark.line + 1, (key.tag, key.value)
            if name in lines:
                raise ValueError(f"key {key.value!r} stands twice, on lines {lines[name]} and {line}; keep one of them")
            lines[name] = line
        return node


class _Dumper(yaml.SafeDumper):
    """Puts quotes around text that YAML 1.1, or this reader, would take for something else."""


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    return int(text, 0) if text.lstrip("+-")[:2] in ("0x", "0b") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
for _tag, (_pattern, _first) in NUMBERS.items():
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), list(_first))


def parse(text: str) -> Any:
    """What YAML text says. Raises ValueError, in one line, where it is no YAML or a key stands twice."""
    try:
        return _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        words = " ".join(str(error).split()).replace('in "<unicode string>", ', "on ")
        raise ValueError(f"not YAML: {words}") from None


def read(path: Path) -> Any:
    """What a YAML file says. Raises ValueError naming the file, also where it is no UTF-8 text."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{content[error.start]:02x} at {error.start}"
        raise ValueError(f"{path}: not UTF-8 ({byte}); save the file as UTF-8") from None
    if "\0" in text:
        raise ValueError(f"{path}: not UTF-8 (it has zero bytes, as UTF-16 has); save the file as UTF-8")
    try:
        return parse(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def dump(value: Any) -> str:
    """A value as YAML in block style, which `parse` reads back to an equal value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def dump_line(value: Any) -> str:
    """A value as YAML on one line, as a person would type it."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n...\n").strip()
