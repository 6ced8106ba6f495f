"""Near-copies and evaluation items in real Rust: speed beside datasketch, memory at 1x and 10x, drops, catch rate.

    python tests/bench/data.py FOLDER... [--files 5000] [--judged 1000] [--tasks TASKS.jsonl]

FOLDER holds Rust: rust-src, or Debian's librust-*-dev packages (/usr/share/cargo/registry). Needs `pip install
datasketch` for the comparison. Prints one JSON object; tests/bench/data.md keeps what was measured.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from nbcore.data import decontaminate, dedup  # noqa: E402
from tests.data.disguises import DISGUISES  # noqa: E402


class Files:
    """The texts of files, read as they are asked for; `times` as many, where each round after the first has a word of
    its own at every space, so that they are no copies."""

    def __init__(self, paths: list[Path], times: int = 1):
        self.paths, self.times = paths, times

    def __len__(self) -> int:
        return len(self.paths) * self.times

    def __getitem__(self, index: int) -> str:
        turn, place = divmod(index, len(self.paths))
        text = self.paths[place].read_text(encoding="utf-8", errors="replace")
        return text if turn == 0 else text.replace(" ", f" t{turn} ")


def beside_datasketch(paths: list[Path]) -> dict:
    from datasketch import MinHash, MinHashLSH

    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    size = sum(len(text.encode()) for text in texts) / 1e6
    began = time.perf_counter()
    groups = dedup.near(texts)
    ours = time.perf_counter() - began
    few = texts[:: max(1, len(texts) // 500)]  # datasketch's rate, on a part that is spread over the corpus
    part_began = time.perf_counter()
    dedup.near(few)
    ours_part = time.perf_counter() - part_began
    index = MinHashLSH(threshold=dedup.THRESHOLD, num_perm=256)
    began = time.perf_counter()
    for number, text in enumerate(few):
        tokens = dedup.TOKEN.findall(text)
        sketch = MinHash(num_perm=256)
        sketch.update_batch([" ".join(tokens[at : at + 5]).encode() for at in range(max(1, len(tokens) - 4))])
        index.query(sketch)
        index.insert(str(number), sketch)
    theirs = time.perf_counter() - began
    return {
        "files": len(texts), "MB": round(size, 1), "files_per_s": round(len(texts) / ours), "MB_per_s": size / ours,
        "groups": len(groups), "datasketch_files_per_s": round(len(few) / theirs),
        "same_part_times_datasketch": round(theirs / ours_part, 1),
    }  # fmt: skip


def peak_memory(folders: list[str], files: int, times: int) -> float:
    """MB at the highest, of a process of its own."""
    command = [sys.executable, __file__, *folders, "--files", str(files), "--only-near", str(times)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def false_drops(protected: decontaminate.Protected, paths: list[Path]) -> dict:
    began = time.perf_counter()
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    hits = [
        (str(path), hit.id, hit.rule) for path, text in zip(paths, texts, strict=True) for hit in protected.hits(text)
    ]
    seconds = time.perf_counter() - began
    dropped = len({path for path, _, _ in hits})
    return {
        "files": len(paths),
        "dropped": dropped,
        "MB_per_s": sum(map(len, texts)) / 1e6 / seconds,
        "hits": hits[:20],
    }


def catch_rate(protected: decontaminate.Protected) -> dict:
    caught: dict[str, list[bool]] = {}
    for item in protected.items:
        for disguise in DISGUISES:
            caught.setdefault(item.set, []).append(bool(protected.hits(disguise(item.code))))
    return {name: {"disguised": len(found), "caught": sum(found)} for name, found in caught.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--judged", type=int, default=1000)
    parser.add_argument("--tasks", action="append", default=[])
    parser.add_argument("--only-near", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    paths = sorted(path for folder in options.folders for path in Path(folder).rglob("*.rs") if path.is_file())
    random.Random(0).shuffle(paths)
    paths = paths[: options.files]
    if options.only_near:
        dedup.near(Files(paths, options.only_near))
        # Not ru_maxrss: that of a child begins at what its parent held.
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        print(int(peak) / 1024)
        return
    protected = decontaminate.Protected.of_the_project(options.tasks)
    small = options.files // 10
    result = {
        "near": beside_datasketch(paths),
        "peak_MB": {times: round(peak_memory(options.folders, small, times)) for times in (1, 10)},
        "catch": catch_rate(protected),
        "false_drops": false_drops(protected, paths[: options.judged]),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
