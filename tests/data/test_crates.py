"""Rust out of folders, archives, the standard library, Debian's packages and code sets, nothing of it trusted."""

import gzip
import io
import os
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbcore.config.filters import Filters
from nbcore.data import crate_archive, crates, filters, hub_code, manifest

LIB = "pub fn one() -> u8 {\n    1\n}\n"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def member(name, content=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def archive(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


def toml(name="a", more='license = "MIT"\n'):
    return f'[package]\nname = "{name}"\nversion = "1.2.3"\n{more}'


def crate(path, *more, **kinds):
    usual = [member("a-1.2.3/Cargo.toml", toml().encode()), member("a-1.2.3/src/lib.rs", LIB.encode())]
    return archive(path, [*usual, *more], **kinds)


def read(source, **options):
    return list(crates.documents(source, **options))


def unreadable(documents):
    return {row["id"]: row["meta"]["unreadable"] for row in documents if "unreadable" in row["meta"]}


# --- folders --------------------------------------------------------------------------------------------------


def test_a_crate_says_whose_each_file_is(tmp_path):
    more = 'license = "MIT/Apache-2.0"\nrepository = "https://example.com/a"\n'
    vcs = f'{{"git": {{"sha1": "{COMMIT}"}}}}'
    write(tmp_path, {"Cargo.toml": toml("a", more), "src/lib.rs": LIB, ".cargo_vcs_info.json": vcs, "README.md": "x"})
    assert read(tmp_path) == [
        {
            "id": "src/lib.rs",
            "text": LIB,
            "source": str(tmp_path),
            "meta": {
                "repo": "https://example.com/a",
                "path": "src/lib.rs",
                "revision": COMMIT,
                "licence": "MIT/Apache-2.0",
            },
        }
    ]


def test_a_workspace_hands_down_what_its_crates_ask_for(tmp_path):
    shared = '[workspace]\nmembers = ["x", "y"]\n[workspace.package]\nlicense = "ISC"\nversion = "9.0.0"\n'
    inherits = '[package]\nname = "x"\nversion.workspace = true\nlicense = { workspace = true }\n'
    files = {"Cargo.toml": shared, "x/Cargo.toml": inherits, "x/src/lib.rs": LIB, "y/Cargo.toml": toml("y")}
    write(tmp_path, files | {"y/src/lib.rs": LIB, "z.rs": LIB})
    said = {row["id"]: (row["meta"]["licence"], row["meta"]["revision"]) for row in read(tmp_path)}
    assert said == {"x/src/lib.rs": ("ISC", "9.0.0"), "y/src/lib.rs": ("MIT", "1.2.3"), "z.rs": ("", "")}
    assert read(tmp_path / "x")[0]["meta"]["licence"] == "ISC"  # one crate of it, named by itself
    elsewhere = inherits.replace('name = "x"', 'name = "x"\nworkspace = "../w"')
    write(tmp_path / "other", {"x/Cargo.toml": elsewhere, "x/a.rs": LIB, "w/Cargo.toml": shared})
    assert read(tmp_path / "other" / "x")[0]["meta"]["licence"] == "ISC"


@pytest.mark.parametrize(
    "content",
    ["", "[package", "[package]\nlicense = 3\n", "package = 1\n", b"\xff\xfe[package]", "a = " + "[" * 20_000,
     '[package]\nname = "x"\nlicense.workspace = true\n', '[package]\nlicense = {workspace = "yes"}\n',
     '[package]\nworkspace = "/\\u0000"\nlicense.workspace = true\n'],
)  # fmt: skip
def test_a_manifest_that_says_nothing_leaves_the_licence_unknown(tmp_path, content):
    write(tmp_path, {"Cargo.toml": content, "a.rs": LIB})
    (row,) = read(tmp_path)
    assert row["meta"]["licence"] == "" and row["text"] == LIB
    assert read(tmp_path, licence="MIT")[0]["meta"]["licence"] == "MIT"


def test_a_stated_licence_wins_over_the_one_given(tmp_path):
    write(tmp_path, {"Cargo.toml": toml(more='license = "GPL-3.0"\n'), "a.rs": LIB})
    assert read(tmp_path, licence="MIT")[0]["meta"]["licence"] == "GPL-3.0"


def test_a_file_that_cannot_be_used_is_counted_all_the_same(tmp_path):
    files = {
        "Cargo.toml": toml(),
        "latin.rs": b"// \xe9\n" + LIB.encode(),
        "utf16.rs": LIB.encode("utf-16"),
        "empty.rs": b"",
    }
    write(tmp_path, files | {"large.rs": b"/" * (crates.MOST_BYTES + 1), "ok.rs": b"\xef\xbb\xbffn a() {}\r\n"})
    os.symlink("/etc/passwd", tmp_path / "link.rs")
    os.symlink("/", tmp_path / "everything")
    os.symlink(tmp_path, tmp_path / "again")
    os.symlink("nowhere", tmp_path / "gone.crate")
    os.mkfifo(tmp_path / "pipe.rs")
    (tmp_path / "folder.rs").mkdir()
    documents = read(tmp_path)
    assert unreadable(documents) == {
        "latin.rs": "not_utf8", "utf16.rs": "not_utf8", "large.rs": "too_large", "link.rs": "link", "pipe.rs": "link",
        "gone.crate": "link",
    }  # fmt: skip
    texts = {row["id"]: row["text"] for row in documents}
    assert texts["ok.rs"] == "fn a() {}\n" and texts["empty.rs"] == "" and len(texts["large.rs"]) == 200
    tally = filters.Tally()
    assert not list(filters.kept(documents, Filters(), tally, "x"))
    report = tally.report()
    assert report["read"] == len(documents) == 8 == sum(report["dropped"].values())
    assert report["dropped"]["not_utf8"] == 2 and set(report["dropped"]) <= set(filters.REASONS)


@pytest.mark.parametrize("name", ["empty", "missing", "file.txt", "bad.crate"])
def test_a_source_without_rust_is_one_clear_error(tmp_path, name):
    (tmp_path / "empty").mkdir()
    write(tmp_path, {"file.txt": "x", "bad.crate": "no archive"})
    with pytest.raises((ValueError, FileNotFoundError), match=r"^source: ") as error:
        read(tmp_path / name)
    assert "\n" not in str(error.value)


# --- archives -------------------------------------------------------------------------------------------------


def test_an_archive_reads_as_the_folder_it_holds(tmp_path):
    path = crate(tmp_path / "a-1.2.3.crate")
    (row,) = read(path)
    assert row["id"] == "a-1.2.3.crate/src/lib.rs" and row["text"] == LIB
    assert row["meta"] == {"repo": "a", "path": "src/lib.rs", "revision": "1.2.3", "licence": "MIT"}
    assert [row["id"] for row in read(tmp_path)] == ["a-1.2.3.crate/src/lib.rs"]


def test_the_manifest_may_come_last(tmp_path):
    late = [member("a-1.2.3/src/lib.rs", LIB.encode()), member("a-1.2.3/Cargo.toml", toml().encode())]
    assert read(archive(tmp_path / "a.crate", late))[0]["meta"]["licence"] == "MIT"


def test_nothing_in_an_archive_leads_out_of_it(tmp_path):
    hostile = [
        member("../../outside.rs", b"fn a() {}"),
        member("/etc/absolute.rs", b"fn a() {}"),
        member("a-1.2.3/src/../../../up.rs", b"fn a() {}"),
        member("..\\..\\windows.rs", b"fn a() {}"),
        member("a-1.2.3/link.rs", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("a-1.2.3/hard.rs", type=tarfile.LNKTYPE, linkname="a-1.2.3/src/lib.rs"),
        member("a-1.2.3/device.rs", type=tarfile.CHRTYPE),
        member("a-1.2.3/pipe.rs", type=tarfile.FIFOTYPE),
        member("a-1.2.3/src/lib.rs", b"fn another() {}"),
        member("a-1.2.3/folder.rs", type=tarfile.DIRTYPE),
    ]
    documents = read(crate(tmp_path / "a.crate", *hostile))
    assert sorted(unreadable(documents).values()) == ["duplicate_path"] + ["link"] * 4 + ["unsafe_path"] * 4
    assert len({row["id"] for row in documents}) == len(documents) == 10
    assert [row["text"] for row in documents if row["text"]] == [LIB]
    assert [path.name for path in tmp_path.iterdir()] == ["a.crate"]


def test_a_bomb_is_set_aside_and_the_rest_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(crate_archive, "MOST_UNPACKED", 1 << 20)
    with gzip.open(tmp_path / "bomb.crate", "wb", 9) as file:
        file.write(member("a-1/a.rs", b"fn a() {}")[0].tobuf() + b"fn a() {}".ljust(512, b"\0"))
        file.write(tarfile.TarInfo("a-1/zeros").tobuf()[:124] + b"77777777777\0" + b"0" * 376)
        file.write(b"\0" * (64 << 20))
    assert (tmp_path / "bomb.crate").stat().st_size < 100_000
    crate(tmp_path / "good.crate")
    documents = read(tmp_path)
    assert list(unreadable(documents).values()) == ["bad_archive"] and documents[-1]["text"] == LIB


def test_sizes_are_limited(tmp_path, monkeypatch):
    large = member("a-1.2.3/large.rs", b"/" * (crates.MOST_BYTES + 1))
    documents = read(crate(tmp_path / "a.crate", large))
    assert unreadable(documents) == {"a.crate/large.rs": "too_large"} and len(documents[-1]["text"]) == 200
    monkeypatch.setattr(crate_archive, "MOST_MEMBERS", 50)
    many = [member(f"a-1.2.3/{n}.rs", b"fn a() {}") for n in range(100)]
    folder = write(tmp_path / "folder", {"x.rs": LIB})
    crate(folder / "many.crate", *many)
    documents = read(folder)
    assert "many.crate" in unreadable(documents) and len(documents) == 51  # 49 before the limit, the archive, x.rs


def test_headers_that_would_fill_memory_are_refused(tmp_path):
    """tarfile reads a long name or extended headers whole, whatever size they claim."""
    for number, kind in enumerate((tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)):
        info = tarfile.TarInfo("x")
        info.type, info.size = kind, 1 << 20
        with gzip.open(tmp_path / f"{number}.crate", "wb") as file:
            file.write(info.tobuf() + b"1" * (1 << 20) + b"\0" * 1024)
    assert set(unreadable(read(tmp_path)).values()) == {"bad_archive"} and len(read(tmp_path)) == 3
    long_name = "a-1.2.3/" + "d" * 200 + "/x.rs"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "long.crate", "w:gz", format=form) as tar:
            tar.addfile(member(long_name, b"fn a() {}")[0], io.BytesIO(b"fn a() {}"))
        assert read(tmp_path / "long.crate")[0]["meta"]["path"] == "d" * 200 + "/x.rs"


def test_a_damaged_header_is_no_end(tmp_path):
    """tarfile takes it for the end of the archive, and the files behind it would be gone without a word."""
    plain = crate(tmp_path / "a.tar", member("a-1.2.3/b.rs", b"fn b() {}"), mode="w")
    raw = bytearray(plain.read_bytes())
    at = raw.index(b"a-1.2.3/b.rs")
    raw[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "a.crate").write_bytes(gzip.compress(bytes(raw)))
    plain.unlink()
    documents = read(tmp_path)
    assert documents[0]["text"] == LIB and unreadable(documents) == {"a.crate": "bad_archive"}


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 400), flips=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3))
def test_whatever_happened_to_an_archive_it_is_read_or_set_aside(tmp_path_factory, cut, flips):
    folder = tmp_path_factory.mktemp("broken")
    raw = bytearray(crate(folder / "a.crate").read_bytes())
    for at, value in flips:
        raw[at % len(raw)] = value
    (folder / "a.crate").write_bytes(raw[: cut or None])
    for row in read(folder):
        assert set(row) == {"id", "text", "source", "meta"}
        assert row["meta"].get("unreadable", "bad_archive") in filters.REASONS


# --- what the machine has -------------------------------------------------------------------------------------


def test_debian_packages_by_their_names(tmp_path, monkeypatch):
    monkeypatch.setattr(crates, "REGISTRY", tmp_path)
    for folder in ("serde-1.0.152", "serde_json-1.0.91", "hashbrown-0.12.3", "hashbrown-0.13.1", "regex-1.7.1"):
        name = folder.rpartition("-")[0]
        write(tmp_path / folder, {"Cargo.toml": toml(name), "src/lib.rs": LIB})

    def names(source):
        return [row["id"].partition("/")[0] for row in read(source)]

    assert len(names("debian")) == 5 and names("librust-serde-dev") == ["serde-1.0.152"]
    assert names("librust-serde-json-dev") == ["serde_json-1.0.91"]
    assert names("librust-hashbrown-0.12-dev") == ["hashbrown-0.12.3"]
    assert names("librust-hashbrown-dev") == ["hashbrown-0.12.3", "hashbrown-0.13.1"]
    assert names("librust-regex+unicode-dev") == ["regex-1.7.1"]
    with pytest.raises(FileNotFoundError, match="apt-get install librust-nom-dev"):
        read("librust-nom-dev")


def test_the_standard_library_has_its_licence(tmp_path, monkeypatch):
    write(tmp_path, {"core/src/lib.rs": LIB, "core/Cargo.toml": toml("core", "")})
    monkeypatch.setattr(crates.rust_source, "library", lambda: tmp_path)
    (row,) = read("rust-src")
    assert row["source"] == "rust-src" and row["meta"]["licence"] == "MIT OR Apache-2.0"


# --- the Hub --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["hub:a/b", "hub:a/b@main", "hub:a/b@abc123", "hub:a@" + COMMIT, "hub:../x/y@" + COMMIT]
)
def test_a_code_set_is_read_at_a_commit_or_not_at_all(name):
    with pytest.raises(ValueError, match="40 hex digits"):
        crates.documents(name)


def test_rows_of_the_known_code_sets():
    stack = {
        "content": LIB, "lang": "Rust", "max_stars_repo_path": "src/a.rs", "max_stars_repo_name": "o/r",
        "max_stars_repo_head_hexsha": "f" * 40, "max_stars_repo_licenses": ["MIT", "GPL-3.0"],
    }  # fmt: skip
    plain = {"code": LIB.replace("\n", "\r\n"), "license": "mit"}
    other = {"content": "x", "lang": "Python"}
    documents = list(
        hub_code.rows([stack, plain, other, {"content": LIB, "path": "a.toml"}], f"hub:a/b@{COMMIT}", "ISC")
    )
    assert [row["text"] for row in documents] == [LIB, LIB]
    first, second = (row["meta"] for row in documents)
    assert first == {"repo": "o/r", "path": "src/a.rs", "revision": "f" * 40, "licence": "(MIT) AND (GPL-3.0)"}
    assert second["revision"] == COMMIT and second["licence"] == "mit"
    assert filters.judge(documents[0], Filters()).reason == "licence_not_permitted"
    with pytest.raises(ValueError, match="no text under"):
        list(hub_code.rows([{"blob_id": "1"}], "hub:x"))


def test_a_code_set_is_streamed(tmp_path, monkeypatch):
    """The library's own reader, on a local file: rows are asked for one after the other."""
    import datasets

    path = tmp_path / "data.jsonl"
    path.write_text('{"content": "fn a() {}", "path": "a.rs", "license": "MIT"}\n' * 3)
    asked = {}

    def load(name, **options):
        asked.update(options, name=name)
        return real("json", data_files=str(path), split="train", streaming=True)

    real = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(read(f"hub:bigcode/the-stack-dedup@{COMMIT}#data/rust")) == 3
    assert asked == {
        "name": "bigcode/the-stack-dedup", "revision": COMMIT, "data_dir": "data/rust", "split": "train",
        "streaming": True,
    }  # fmt: skip


@given(st.binary(max_size=80))
def test_any_commit_file_is_read_or_says_nothing(content):
    assert isinstance(manifest.commit(content), str)
