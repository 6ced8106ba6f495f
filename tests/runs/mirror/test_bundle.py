"""A run as an archive: it holds what the run held, and unpacks to nothing but files inside its own folder."""

import io
import tarfile

import pytest

from nbcore.runs.mirror import bundle
from tests.runs.helpers import opened


def archive(path, *members):
    """A tar with members of any kind: (name, content or TarInfo fields)."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            else:
                for field, value in content.items():
                    setattr(info, field, value)
                tar.addfile(info)
    return [path]


@pytest.mark.parametrize(
    "members",
    [
        [("../out", b"x")],
        [("/tmp/out", b"x")],
        [("a/../../out", b"x")],
        [("a", {"type": tarfile.SYMTYPE, "linkname": "/etc"}), ("a/passwd", b"x")],
        [("a", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})],
        [("a", {"type": tarfile.CHRTYPE})],
        [("a", {"type": tarfile.FIFOTYPE})],
        [("a", b"x"), ("a", b"y")],
        [("a", b"x" * (2 * bundle.SLACK))],
    ],
)
def test_an_archive_can_only_put_files_into_its_own_folder(tmp_path, members):
    """A shared Drive is other people's input: no links, no devices, nothing outside, no more than was announced."""
    parts = archive(tmp_path / "x.tar", *members)
    with pytest.raises(ValueError, match="archive: "):
        bundle.unpack(parts, tmp_path / "into" / "run", size=100)
    assert not (tmp_path / "out").exists() and not (tmp_path / "into" / "out").exists()


def test_a_bundle_of_a_growing_file_holds_its_beginning(tmp_path):
    """metrics.jsonl is appended to while it is copied: a longer member than its header says breaks the archive."""
    run = opened(tmp_path)
    listed = bundle.contents(run.path, None)
    run.log(step=2, loss=2.0)
    parts = []
    (tmp_path / "staging").mkdir()
    bundle.pack(run.path, listed, tmp_path / "staging", lambda part: parts.append(part.path.read_bytes()), 3000)
    (tmp_path / "all").write_bytes(b"".join(parts))
    bundle.unpack([tmp_path / "all"], tmp_path / "run", 10**6)
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1
    assert all(len(part) == 3000 for part in parts[:-1])
    assert list((tmp_path / "staging").iterdir()) == []
