"""The filters on real Rust: files/s and MB/s beside a plain datasets.map of the same rules, memory at 1x and 10x.

    python tests/bench/data_filters.py FOLDER... [--files 5000] [--install] [--licence "MIT OR Apache-2.0"]

FOLDER holds Rust: rust-src, or Debian's librust-*-dev packages (/usr/share/cargo/registry). --install gets these with
apt-get first, as root. Prints one JSON object; tests/bench/data.md keeps what was measured.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nbcore.config.filters import Filters  # noqa: E402
from nbcore.core.records import Document  # noqa: E402
from nbcore.data import crates, filters  # noqa: E402

PACKAGES = ["rust-src"] + [
    f"librust-{name}-dev"
    for name in (
        "regex",
        "serde",
        "rand",
        "tokio",
        "syn",
        "itertools",
        "semver",
        "smallvec",
        "hashbrown",
        "nom",
        "clap",
    )
]


def install() -> None:
    """The real Rust that is measured, from the distribution. Needs root and a network."""
    subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES]
    subprocess.run(command, check=True, stdout=sys.stderr)


def documents(folders: list[str], licence: str | None) -> Iterator[Document]:
    for folder in folders:
        yield from crates.documents(folder, licence)


def chosen(folders: list[str], files: int, licence: str | None) -> list[Document]:
    """So many documents, drawn with seed 0 from all."""
    everything = list(documents(folders, licence))
    random.Random(0).shuffle(everything)
    return everything[:files]


def speeds(sample: list[Document], rules: Filters) -> dict:
    """Both are given the same documents in memory, and leave the kept text and the reason; the best of three rounds."""
    import datasets

    datasets.disable_progress_bars()
    datasets.disable_caching()
    size = sum(len(row["text"].encode(errors="replace")) for row in sample) / 1e6
    columns = {"id": [row["id"] for row in sample], "text": [row["text"] for row in sample]}
    columns["meta"] = [{"unreadable": None, **row["meta"]} for row in sample]
    table = datasets.Dataset.from_dict(columns)

    def mapped(row: dict) -> dict:
        judged = filters.judge(row, rules)
        return {"text": judged.document["text"], "reason": judged.reason, "tags": list(judged.tags)}

    ours, theirs = [], []
    for _ in range(3):
        tally = filters.Tally()
        began = time.perf_counter()
        kept = sum(1 for _ in filters.kept(sample, rules, tally, "bench"))
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        reasons = table.map(mapped)["reason"]
        theirs.append(time.perf_counter() - began)
        assert kept == sum(reason is None for reason in reasons)
    report = tally.report()
    return {
        "files": len(sample), "MB": round(size, 1), "kept": kept, "dropped": report["dropped"], "tags": report["tags"],
        "files_per_s": round(len(sample) / min(ours)), "MB_per_s": round(size / min(ours), 2),
        "datasets_map_files_per_s": round(len(sample) / min(theirs)),
        "datasets_map_MB_per_s": round(size / min(theirs), 2),
    }  # fmt: skip


def peak_memory(folders: list[str], files: int, times: int) -> float:
    """MB at the highest, of a process of its own that reads and judges this many files, so many times."""
    command = [sys.executable, __file__, *folders, "--files", str(files), "--only-memory", str(times)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def streamed(folders: list[str], files: int, times: int, licence: str | None) -> Iterator[Document]:
    """So many files, read from the disk once for each of `times`: ten times as much work, and no larger file in it."""
    for _ in range(times):
        yield from islice(documents(folders, licence), files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--licence", help="of files for which no Cargo.toml states one")
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--only-memory", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.install:
        install()
    if options.only_memory:
        rules = Filters(licences=[])
        for _ in filters.kept(
            streamed(options.folders, options.files, options.only_memory, None), rules, filters.Tally(), "bench"
        ):
            pass
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        print(int(peak) / 1024)
        return
    sample = chosen(options.folders, options.files, options.licence)
    result = {
        "filters": speeds(sample, Filters()),
        "without_syntax_tree": speeds(sample, Filters(max_syntax_errors=1)),
        "peak_MB": {times: round(peak_memory(options.folders, options.files, times)) for times in (1, 10)},
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
