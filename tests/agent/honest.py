"""Crates as people have them, each with the same fault: odd, and to be repaired all the same."""

MANIFEST = '[package]\nname = "sums"\nversion = "0.1.0"\nedition = "2021"\n'
WRONG = "pub fn double(value: i64) -> i64 {\n    value * 3\n}\n"
UNIT = (
    "#[cfg(test)]\nmod tests {\n    #[test]\n    fn doubles() {\n        assert_eq!(super::double(2), 4);\n    }\n}\n"
)
BESIDE = "#[test]\nfn beside() {\n    assert_eq!(sums::double(3), 6);\n}\n"
MEMBER = '[package]\nname = "sums"\nversion.workspace = true\nedition.workspace = true\n'
WORKSPACE = '[workspace]\nmembers = ["crate"]\n[workspace.package]\nedition = "2021"\nversion = "0.2.0"\n'
ASKS = 'pub const VERSION: &str = env!("CARGO_PKG_VERSION");\n'


def plain(code: str = WRONG + UNIT, **more: str | bytes) -> dict[str, str | bytes]:
    return {"Cargo.toml": MANIFEST, "src/lib.rs": code, **more}


CRATES = {  # name -> files by path; a crate beside or around it stands in "../"
    "endings of Windows": {"Cargo.toml": MANIFEST, "src/lib.rs": (WRONG + UNIT).replace("\n", "\r\n")},
    "endings of both kinds": plain(WRONG + 'pub const X: &str = "a\r\nb";\n' + UNIT),
    "byte order marks": {"Cargo.toml": "\ufeff" + MANIFEST, "src/lib.rs": "\ufeff" + WRONG + UNIT},
    "a text that is no UTF-8": plain(**{"tests/ui/latin.rs": b"// \xff\xfe", "data.bin": b"\xff"}),
    "an included text": plain(
        f'#![doc = include_str!("../README.md")]\n{WRONG}{UNIT}', **{"README.md": "# Sums\n", "LONG.md": "x" * 10_000}
    ),
    "a text that tests include": {
        **plain(WRONG),
        "tests/a.rs": 'const D: &str = include_str!("three.txt");\n#[test]\nfn t() '
        "{ assert_eq!(sums::double(D.trim().parse().unwrap()), 6); }\n",
        "tests/three.txt": "3\n",
    },
    "modules in modules": {
        **plain(f"pub mod a;\npub use a::b::double;\n{UNIT}"),
        **{"src/a/mod.rs": "pub mod b;\n", "src/a/b.rs": WRONG},
    },
    "tests in a file of their own": {
        **plain(f"{WRONG}#[cfg(test)]\nmod tests;\n"),
        "src/tests.rs": "#[test]\nfn t() { assert_eq!(super::double(2), 4); }\n",
    },
    "tests in a folder": {**plain(WRONG), "tests/it/main.rs": "mod more;\n", "tests/it/more.rs": BESIDE},
    "tests under a condition": plain(WRONG + UNIT.replace("cfg(test)", "cfg(all(test, not(miri)))")),
    "a library of another name": {
        "Cargo.toml": f'{MANIFEST}[lib]\nname = "other"\npath = "src/other.rs"\n',
        **{"src/other.rs": WRONG, "tests/b.rs": BESIDE.replace("sums::", "other::")},
    },
    "a version with a dash": {
        **{"Cargo.toml": MANIFEST.replace("0.1.0", "0.1.0-rc.1"), "src/lib.rs": WRONG + ASKS},
        "tests/b.rs": f'{BESIDE}#[test]\nfn v() {{ assert_eq!(sums::VERSION, "0.1.0-rc.1"); }}\n',
    },
    "a program": {"Cargo.toml": MANIFEST, "src/main.rs": f"{WRONG}fn main() {{}}\n{UNIT}"},
    "a member of a workspace": {"../Cargo.toml": WORKSPACE, "Cargo.toml": MEMBER, "src/lib.rs": WRONG + UNIT},
    "a crate beside it": {
        **{"Cargo.toml": f'{MANIFEST}[dependencies]\nhelp = {{ path = "../help" }}\n', "src/lib.rs": WRONG + UNIT},
        **{"../help/Cargo.toml": MANIFEST.replace("sums", "help"), "../help/src/lib.rs": ASKS},
    },
    "odd names and a long table": plain(
        f'#[path = "some table.rs"]\nmod table;\n{WRONG}{UNIT}',
        **{"src/some table.rs": f'pub const T: &str = "{"x" * 300_000}";\n', "src/\u00fc.rs": "//"},
    ),
    "no end of the last line": plain((WRONG + UNIT).rstrip()),
    "empty lines at the end": plain(f"{WRONG}{UNIT}\n\n\n"),
}
