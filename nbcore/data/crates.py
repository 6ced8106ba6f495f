"""Rust source: folders of crates, .crate archives, the standard library, Debian's packages, code sets of the Hub.

Each file becomes one document, read as it is asked for. A file that cannot be used is a document too, with the reason
in `meta["unreadable"]`, so that the filters count it like every other: nothing is lost in silence.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from nbcore.core.output import shown
from nbcore.core.records import Document
from nbcore.data import crate_archive, hub_code, manifest, rust_source
from nbcore.data.std_crate import REGISTRY

STANDARD_LIBRARY = "rust-src"
DEBIAN = "debian"
MOST_BYTES = 8 << 20  # of a file; of a longer one only the beginning is read
_REMEMBERED = 256  # folders whose manifests are kept
_BEGINNING = 200  # bytes of a file that is not to be used, for the report
_DEBIAN_PACKAGE = re.compile(r"librust-(?P<name>[a-z0-9][a-z0-9.+-]*?)(?P<version>-\d[\d.]*)?(?:\+[a-z0-9.+-]+)?-dev")


def documents(source: str | Path, licence: str | None = None) -> Iterator[Document]:
    """Documents {"id", "text", "source", "meta": {"repo", "path", "revision", "licence"}} in a stable order.

    `source`: a folder with crates or .crate archives at any depth; one .crate archive; "rust-src" (the standard
    library); "debian" (all that librust-*-dev packages installed) or the name of one of these packages; or
    "hub:OWNER/NAME@COMMIT". `licence` is that of files for which no Cargo.toml states one. Links are not followed.
    Raises ValueError or FileNotFoundError with the remedy, at once.
    """
    name = str(source)
    if name.startswith(hub_code.PREFIX):
        return hub_code.documents(name, licence)
    if name == STANDARD_LIBRARY:
        return _of_folder(rust_source.library(), name, licence or rust_source.LICENCE)
    if name == DEBIAN or _DEBIAN_PACKAGE.fullmatch(name):
        return _of_folders(_installed(name), name, licence)
    path = Path(source)
    if path.is_dir():
        return _of_folder(path, name, licence)
    if path.is_file() and path.suffix == ".crate":
        return _of_one_archive(path, name, licence)
    if path.exists():
        raise ValueError(f"source: {shown(name)} is neither a folder nor a .crate archive; name one of these")
    raise FileNotFoundError(
        f"source: nothing at {shown(name)}; give a folder, a .crate archive, '{STANDARD_LIBRARY}', '{DEBIAN}', the "
        f"name of a librust-*-dev package, or {hub_code.PREFIX}OWNER/NAME@COMMIT"
    )


def _installed(name: str) -> list[Path]:
    """The folders of crates that a Debian package, or all of them, put into the registry."""
    folders = sorted(path for path in REGISTRY.glob("*-[0-9]*") if path.is_dir())
    if name != DEBIAN:
        wanted = _DEBIAN_PACKAGE.fullmatch(name)
        assert wanted is not None
        folders = [path for path in folders if _is_of(path.name, wanted["name"], (wanted["version"] or "-")[1:])]
    if not folders:
        package = "librust-regex-dev" if name == DEBIAN else name
        raise FileNotFoundError(
            f"source: no crate of {name!r} in {REGISTRY}; on Debian or Ubuntu `apt-get install {package}` puts it there"
        )
    return folders


def _is_of(folder: str, name: str, version: str) -> bool:
    crate, _, installed = folder.rpartition("-")
    return crate.lower().replace("_", "-") == name and (installed + ".").startswith(version + "." if version else "")


def _of_folders(folders: list[Path], source: str, licence: str | None) -> Iterator[Document]:
    for folder in folders:
        yield from _of_folder(folder, source, licence, folder.name + "/")


def _of_folder(root: Path, source: str, licence: str | None, prefix: str = "") -> Iterator[Document]:
    """`prefix` is put before each path in ids: the folder's own name, where there are several."""
    packages, some = _Packages(root), False
    for path in _files(root):
        some = True
        inside = path.relative_to(root).as_posix().encode(errors="replace").decode()
        if path.suffix == ".crate" and not path.is_symlink():
            yield from _of_archive(path, prefix + inside, source, licence)
            continue
        package = packages.of(path.parent)
        content, reason = _read(path)
        yield _document(prefix + inside, content, reason, source, _meta(package, inside, licence))
    if not some:
        raise ValueError(f"source: {root} holds no .rs file and no .crate archive; name a folder that does")


def _of_archive(path: Path, name: str, source: str, licence: str | None) -> Iterator[Document]:
    """Its files; where it cannot be read, or not to its end, the archive itself is one more document that says so."""
    package = crate_archive.package(path)
    try:
        for number, member in enumerate(crate_archive.rust_files(path, MOST_BYTES, _BEGINNING)):
            inside = member.path.partition("/")[2] or member.path
            again = f" (member {number})" if member.reason == "duplicate_path" else ""
            meta = _meta(package, inside, licence)
            yield _document(f"{name}/{inside}{again}", member.content, member.reason, source, meta)
    except crate_archive.BadArchive as error:
        meta = _meta(package, "", licence) | {"unreadable": "bad_archive"}
        yield {"id": name, "text": str(error), "source": source, "meta": meta}


def _of_one_archive(path: Path, source: str, licence: str | None) -> Iterator[Document]:
    """The files of an archive that somebody named by itself: it must have some, and be readable."""
    try:
        if not any(True for _ in crate_archive.rust_files(path, 0, 0)):
            raise crate_archive.BadArchive("it holds no .rs file")
    except crate_archive.BadArchive as error:
        raise ValueError(f"source: {path}: {error}; give another .crate archive, as crates.io has them") from None
    return _of_archive(path, path.name, source, licence)


def _files(root: Path) -> Iterator[Path]:
    """The .rs files and .crate archives below, sorted within each folder; links to folders are not entered."""

    def failed(error: OSError) -> None:
        raise ValueError(f"source: cannot list {error.filename} ({error.strerror}); make it readable") from None

    for folder, folders, names in os.walk(root, onerror=failed):
        folders.sort()
        for name in sorted(names):
            if name.endswith((".rs", ".crate")):
                yield Path(folder, name)


def _read(path: Path) -> tuple[bytes, str | None]:
    """The content, and why it is not to be used. Only a regular file is opened: a pipe would never end."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return b"", "link"
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError:
        return b"", "unreadable"
    return (content, None) if len(content) <= MOST_BYTES else (content[:_BEGINNING], "too_large")


def _document(identity: str, content: bytes, reason: str | None, source: str, meta: dict[str, str]) -> Document:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("utf-8", errors="replace")
        reason = reason or "not_utf8"
    if reason:
        meta = meta | {"unreadable": reason}
        text = text[:_BEGINNING]
    # A byte order mark is no content, and Rust reads \r\n as \n, in strings too.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    return {"id": identity, "text": text, "source": source, "meta": meta}


def _meta(package: manifest.Package, path: str, licence: str | None) -> dict[str, str]:
    stated = package.licence or licence or ""
    return {"repo": package.repo, "path": path, "revision": package.revision, "licence": stated}


class _Packages:
    """The package that each folder below a root belongs to: that of the nearest Cargo.toml that has one."""

    def __init__(self, root: Path):
        self.root = root
        self._of: dict[Path, manifest.Package] = {}
        self._manifests: dict[Path, dict] = {}

    def of(self, folder: Path) -> manifest.Package:
        if folder not in self._of:
            own = self._manifest(folder)
            workspace = self._workspace(folder, own) if manifest.inherits(own) else {}
            package = manifest.package(own, workspace, _small(folder / ".cargo_vcs_info.json"))
            if package is None:
                package = manifest.Package() if folder == self.root else self.of(folder.parent)
            _remember(self._of, folder, package)
        return self._of[folder]

    def _workspace(self, folder: Path, own: dict) -> dict:
        """The manifest of the folder that the package names, or else of the nearest folder, itself first, that is a
        workspace. It may lie above the root: a person may name one crate of a workspace."""
        if named := manifest.workspace_path(own):
            return self._manifest(folder / named)
        for above in (folder, *folder.resolve().parents):
            found = own if above == folder else self._manifest(above)
            if "workspace" in found:
                return found
        return {}

    def _manifest(self, folder: Path) -> dict:
        if folder not in self._manifests:
            _remember(self._manifests, folder, manifest.table(_small(folder / "Cargo.toml")))
        return self._manifests[folder]


def _remember(known: dict, folder: Path, value: object) -> None:
    """Files come folder by folder, so few are asked for again: all is forgotten from time to time."""
    if len(known) >= _REMEMBERED:
        known.clear()
    known[folder] = value


def _small(path: Path) -> bytes:
    """The content of a small file; nothing where there is none, or one that is too large or no file."""
    try:
        if not path.is_file() or path.stat().st_size > manifest.MOST_BYTES:
            return b""
        return path.read_bytes()
    except OSError:
        return b""
