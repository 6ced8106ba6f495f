"""Answers of varied form, each with the program that a reader would take out of it: templates × programs.

A template says how a model wraps its answer; a program is what is wrapped, in parts where some of it may stand in a
block of its own. Every template meets every program that it is for.
"""

import html
import json
from typing import NamedTuple


class Program(NamedTuple):
    """A right program for a task."""

    name: str
    signature: str
    tests: str
    answer: str
    """What defines the function, in one block."""
    needed: str = ""
    """What it cannot do without, where that stands in a block of its own."""
    needed_after: bool = False
    """The block of what is needed stands behind the answer."""

    @property
    def stub(self) -> str:
        return self.signature + "\n    todo!()\n}\n"

    @property
    def draft(self) -> str:
        """A first attempt, which a reader would not take."""
        return self.signature + '\n    // does not work yet\n    panic!("draft")\n}\n'


DOCS = "/// Adds.\n///\n/// ```\n/// assert_eq!(1 + 1, 2);\n/// ```\n"
BLOCK_DOCS = "/**\nAdds.\n\n```\nassert_eq!(1 + 1, 2);\n```\n*/\n"
ADD = "pub fn add(a: i64, b: i64) -> i64 {"
ADD_TESTS = "#[test]\nfn t() { assert_eq!(add(1, 2), 3); }\n"
COUNT = "pub fn counts(words: &[&str]) -> Vec<(String, usize)> {"
COUNT_TESTS = (
    '#[test]\nfn t() { assert_eq!(counts(&["a", "b", "a"]), vec![("a".to_string(), 2), ("b".to_string(), 1)]); }\n'
)
COUNT_BODY = """    let mut found = BTreeMap::new();
    for word in words {
        *found.entry(word.to_string()).or_insert(0) += 1;
    }
    found.into_iter().collect()
}
"""
FENCED = "pub fn fenced(code: &str) -> String {"

PROGRAMS = [
    Program("plain", ADD, ADD_TESTS, f"{ADD}\n    a + b\n}}\n"),
    Program("documented", ADD, ADD_TESTS, f"{DOCS}{ADD}\n    a + b\n}}\n"),
    Program("block documented", ADD, ADD_TESTS, f"{BLOCK_DOCS}{ADD}\n    a + b\n}}\n"),
    Program("inner attribute", ADD, ADD_TESTS, f"#![allow(dead_code)]\n\n{ADD}\n\n    a + b // the sum\n}}\n"),
    Program(
        "helper", ADD, ADD_TESTS, f"{ADD}\n    plus(a, b)\n}}\n", "fn plus(a: i64, b: i64) -> i64 {\n    a + b\n}\n"
    ),
    Program("import", COUNT, COUNT_TESTS, f"{COUNT}\n{COUNT_BODY}", "use std::collections::BTreeMap;\n"),
    Program(
        "types behind",
        "pub fn area(side: u32) -> u32 {",
        "#[test]\nfn t() { assert_eq!(area(3), 9); }\n",
        "pub fn area(side: u32) -> u32 {\n    Square { side }.area()\n}\n",
        "struct Square {\n    side: u32,\n}\n\nimpl Square {\n    fn area(&self) -> u32 {\n"
        "        self.side * self.side\n    }\n}\n",
        needed_after=True,
    ),
    Program(
        "macro",
        ADD,
        ADD_TESTS,
        f"{ADD}\n    sum!(a, b)\n}}\n",
        "macro_rules! sum {\n    ($a:expr, $b:expr) => {\n        $a + $b\n    };\n}\n",
    ),
    Program(
        "literals",
        FENCED,
        '#[test]\nfn t() { assert_eq!(fenced("x"), "```x```\\n~~~"); }\n',
        f"{FENCED}\n    let tick = '`';\n    let quote = '\"';\n    let _ = (tick, quote, r#\"\n```\n\"#);\n"
        '    format!("```{code}```\\n~~~")\n}\n',
    ),
    Program(
        "generic",
        "pub fn longest<'a, T: AsRef<str>>(all: &'a [T]) -> Option<&'a str> {",
        '#[test]\nfn t() { assert_eq!(longest(&["a", "bb"]), Some("bb")); }\n',
        "pub fn longest<'a, T: AsRef<str>>(all: &'a [T]) -> Option<&'a str> {\n"
        "    all.iter().map(AsRef::as_ref).max_by_key(|text| text.len())\n}\n",
    ),
]


def fence(code, tag="rust", mark="```"):
    return f"{mark}{tag}\n{code}{mark}\n"


def indented(text, by):
    return "".join(f"{by}{line}".rstrip() + "\n" for line in text.removesuffix("\n").split("\n"))


def pre(code):
    return f'<pre><code class="language-rust">{html.escape(code)}</code></pre>'


def parts(program, wrap=fence):
    """The program's blocks, each wrapped, with a word between."""
    blocks = [wrap(program.answer)]
    if program.needed:
        blocks.insert(len(blocks) if program.needed_after else 0, wrap(program.needed))
    return "\nand\n\n".join(blocks)


def whole(program):
    """The program in one text; inner attributes stay in front."""
    ordered = (program.answer, program.needed) if program.needed_after else (program.needed, program.answer)
    return "\n".join(part for part in ordered if part)


USAGE = fence('fn main() {\n    println!("{}", 1 + 1);\n}\n')
OUTPUT = fence('it prints "2\n', "text")
BARE_OUTPUT = fence("it's \"2\n", "")
OPEN_STRING = 'const A: &str = "x;\n'
PYTHON = fence('def add(a, b):\n    return "it\'s"\n', "python")
CARGO = fence('[package]\nname = "answer"\n', "toml")
SHELL = fence("cargo test -- 'it works' src/*\n", "sh")
DRAFT_FIRST = "Let me think it over. A first attempt:\n\n{draft}\nThat panics. The answer:\n\n{answer}"
THOUGHT = "I write `fn` and its body.\n```rust\npub fn add(a: i64, b: i64) -> i64 { 0 }\n```\nThat is wrong."

# Each takes a program and gives an answer out of which the program must be read.
WHOLE = {
    "fence": lambda p: fence(whole(p)),
    "prose around": lambda p: f'Sure! Here it is:\n\n{fence(whole(p))}\nIt\'s "simple": no `unsafe`, as you asked.',
    "no tag": lambda p: f"Here:\n{fence(whole(p), '')}",
    "rs": lambda p: fence(whole(p), "rs"),
    "attributes in the tag": lambda p: fence(whole(p), "rust,ignore"),
    "attributes in braces": lambda p: fence(whole(p), "{.rust .numberLines}"),
    "title in the tag": lambda p: fence(whole(p), 'rust title="src/lib.rs"'),
    "tildes": lambda p: f"Here:\n{fence(whole(p), 'rust', '~~~')}",
    "long fence": lambda p: fence(whole(p), "rust", "`````"),
    "long tildes": lambda p: fence(whole(p), "", "~~~~~"),
    "invisible in front": lambda p: "\ufeff" + fence(whole(p)) + "\u200b",
    "a space that is none in front": lambda p: "Here:\n\xa0" + fence(whole(p)),
    "answer's marks on the fence's lines": lambda p: "<answer>" + fence(whole(p)).rstrip("\n") + "</answer>",
    "answer's marks on the code's lines": lambda p: "<answer>" + whole(p).rstrip("\n") + "</answer>",
    "a colon at the fence": lambda p: "Answer:" + fence(whole(p)),
    "a prompt's end in front": lambda p: "[/INST]\n" + whole(p),
    "marks of one's own": lambda p: "[RUST]\n" + whole(p) + "[/RUST]\n",
    "between rules": lambda p: "---\n" + whole(p) + "---\n",
    "a heading behind": lambda p: whole(p) + "\n## Explanation\n\nIt does what `fn` does.\n",
    "unclosed, a sentence behind": lambda p: "```rust\n" + whole(p) + "\nThis function does what you asked.",
    "a turn of its own behind": lambda p: fence(whole(p)) + f"\nUser: and now?\nAssistant:\n{fence(p.draft)}",
    "an instruction of its own behind": lambda p: whole(p) + f"\n### Instruction:\nMore.\n### Response:\n{p.draft}",
    "again, and cut": lambda p: fence(whole(p)) + "With tests:\n```rust\n" + whole(p) + "mod tests {\n    #[test]",
    "again, and cut in the function": lambda p: fence(whole(p)) + "Again:\n```rust\n" + whole(p).rstrip()[:-1],
    "unclosed": lambda p: "Here:\n```rust\n" + whole(p),
    "closed without a newline": lambda p: "```rust\n" + whole(p).rstrip("\n") + "```",
    "closed at the line, prose behind": lambda p: "```rust\n" + whole(p).rstrip("\n") + "``` That is all.",
    "prose behind the closing fence": lambda p: "```rust\n" + whole(p) + "``` That's it.\nAsk for more.",
    "im_end": lambda p: "```rust\n" + whole(p) + "```<|im_end|>",
    "im_end without a fence's end": lambda p: (
        "```rust\n" + whole(p).rstrip("\n") + "<|im_end|>\n<|im_start|>user\nThanks"
    ),
    "s ends": lambda p: fence(whole(p)) + "</s>",
    "s ends at the code": lambda p: "```rust\n" + whole(p).rstrip("\n") + "</s>",
    "eot": lambda p: f"Here:\n{fence(whole(p))}<|eot_id|>\n<|start_header_id|>user<|end_header_id|>\n{USAGE}",
    "end_of_turn": lambda p: fence(whole(p)).rstrip("\n") + "<end_of_turn>\n<eos>",
    "header in front": lambda p: "<|im_start|>assistant\n" + fence(whole(p)) + "<|im_end|>\n",
    "fullwidth bars": lambda p: fence(whole(p)).rstrip("\n") + "<｜end▁of▁sentence｜>",
    "opened by the prompt": lambda p: whole(p) + "```\n",
    "opened by the prompt, prose behind": lambda p: whole(p) + '```\n\nIt doesn\'t allocate: a "plain" sum.\n',
    "opened by the prompt, a usage behind": lambda p: whole(p) + "```\n\nUse it so:\n\n" + USAGE,
    "opened by the prompt, token": lambda p: whole(p).rstrip("\n") + "\n```<|im_end|>",
    "no fence": lambda p: whole(p),
    "no fence, token": lambda p: whole(p).rstrip("\n") + "<|endoftext|>",
    "no fence, prose before": lambda p: "Here is the function that you asked for:\n\n" + whole(p),
    "no fence, prose behind": lambda p: whole(p) + "\nThis function is simple and needs no allocation at all.\n",
    "in a list": lambda p: "1. Step one:\n\n" + indented(fence(whole(p)), "   ") + "\n2. Done.\n",
    "deep in a list": lambda p: "- a\n  - b\n\n" + indented(fence(whole(p)), "        "),
    "at the marker of a list": lambda p: "1. " + indented(fence(whole(p)), "   ").lstrip(),
    "tab": lambda p: "Step:\n" + indented(fence(whole(p)), "\t"),
    "quote": lambda p: "The answer:\n\n" + indented(fence(whole(p)), "> "),
    "quote in a list": lambda p: "* so:\n\n" + indented(fence(whole(p)), "  > "),
    "tight quote": lambda p: indented(fence(whole(p)), ">"),
    "crlf": lambda p: f"Here:\n\n{fence(whole(p))}\nDone.\n".replace("\n", "\r\n"),
    "stub first": lambda p: f"You gave:\n\n{fence(p.stub)}\nHere it is, written:\n\n{fence(whole(p))}",
    "stub behind": lambda p: f"{fence(whole(p))}\nThat fills in your stub:\n\n{fence(p.stub)}",
    "declaration behind": lambda p: f"{fence(whole(p))}\nIts type:\n\n{fence(p.signature.rstrip('{ ') + ';')}",
    "draft first": lambda p: DRAFT_FIRST.format(draft=fence(p.draft), answer=fence(whole(p))),
    "two drafts": lambda p: fence(p.draft) + "\nOr:\n" + fence(p.draft, "") + "\nNo. Finally:\n" + fence(whole(p)),
    "draft with an open string": lambda p: fence(p.draft + OPEN_STRING) + "\nMended:\n\n" + fence(whole(p)),
    "draft that is not closed": lambda p: f"```rust\n{p.draft}\nNo, this one:\n```rust\n{whole(p)}```\n",
    "thought": lambda p: f"<think>\n{THOUGHT}\n</think>\n\n{fence(whole(p))}",
    "thought, opened by the prompt": lambda p: f"{THOUGHT}\n</think>\n\n{fence(whole(p))}",
    "thought that names its own end": lambda p: (
        f"<think>I close with </think> later.\n{THOUGHT}\n</think>\n{fence(whole(p))}"
    ),
    "thought, no fence": lambda p: f"<think>\n{THOUGHT}\n</think>\n{whole(p)}",
    "two thoughts": lambda p: f"<think>a</think>\nFirst:\n{fence(p.draft)}\n<think>b</think>\n{fence(whole(p))}",
    "thought behind": lambda p: f"{fence(whole(p))}\n<reflection>\n{THOUGHT}\n</reflection>\n",
    "other marks of thought": lambda p: f"[THINK]{THOUGHT}[/THINK]{fence(whole(p))}",
    "harmony": lambda p: (
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>"
        f"{fence(whole(p))}<|return|>"
    ),
    "usage behind": lambda p: f"{fence(whole(p))}\nUsage:\n\n{USAGE}",
    "usage in front": lambda p: f"It is used so:\n\n{USAGE}\nand written so:\n\n{fence(whole(p))}",
    "usage and output behind": lambda p: f"{fence(whole(p))}\nUsage:\n{USAGE}\nOutput:\n{OUTPUT}",
    "output without a tag": lambda p: f"{fence(whole(p))}\nOutput:\n{BARE_OUTPUT}",
    "output without a tag in front": lambda p: f"It shall print:\n{BARE_OUTPUT}\nso:\n{fence(whole(p))}",
    "other languages": lambda p: f"Cargo.toml:\n{CARGO}\nsrc/lib.rs:\n{fence(whole(p))}\nthen\n{SHELL}",
    "python in front": lambda p: f"{PYTHON}\nIn Rust:\n{fence(whole(p))}",
    "in markdown": lambda p: "````markdown\nThe answer:\n\n" + fence(whole(p)) + "````\n",
    "in markdown of the same fence": lambda p: "```markdown\nThe answer:\n\n" + fence(whole(p)) + "```\n",
    "tag twice": lambda p: "```rust\n" + fence(whole(p)),
    "empty block first": lambda p: "```rust\n```\n\n" + fence(whole(p)),
}
# The forms that a chat model is asked for, or writes where it takes itself to be on a page.
WHOLE |= {
    "HTML": lambda p: f"<p>Here it is:</p>\n{pre(whole(p))}\n<p>The <code>fn</code> does what you asked.</p>",
    "HTML with quotes as they are": lambda p: f"<pre>{html.escape(whole(p), quote=False)}</pre>",
    "HTML that is not escaped": lambda p: f'So:\n<pre lang="rust"><code>\n{whole(p)}</code></pre>\nDone.',
    "HTML, a draft first": lambda p: f"<p>First:</p>{pre(p.draft)}<p>That panics, so:</p>{pre(whole(p))}",
    "HTML, its output behind": lambda p: f"{pre(whole(p))}\n<p>It prints:</p>\n<pre>3</pre>",
    "HTML in front of the answer": lambda p: f"<pre>the answer</pre> is\n\n{fence(whole(p))}",
    "LaTeX": lambda p: f"The answer is\n\\begin{{verbatim}}\n{whole(p)}\\end{{verbatim}}\nas $a + b$ says.",
    "LaTeX, minted": lambda p: f"\\begin{{minted}}[linenos]{{rust}}\n{whole(p)}\\end{{minted}}\n",
    "LaTeX, listings": lambda p: f"\\begin{{lstlisting}}[language=Rust]\n{whole(p)}\\end{{lstlisting}}\nDone.",
    "JSON": lambda p: json.dumps({"why": "fn adds", "code": whole(p)}),
    "JSON in a block": lambda p: f"So:\n\n```json\n{json.dumps({'code': whole(p)}, indent=2)}\n```\nDone.",
    "JSON, a fence inside": lambda p: json.dumps({"answer": f"Here:\n{fence(whole(p))}"}),
    "JSON, a file": lambda p: json.dumps([{"path": "Cargo.toml", "text": "[a]"}, {"path": "l.rs", "text": whole(p)}]),
    "JSON, a draft first": lambda p: json.dumps({"draft": p.draft, "final": whole(p)}),
    "JSON behind a thought": lambda p: f"<think>{THOUGHT}</think>\n{json.dumps({'code': whole(p)})}",
}
# These keep what is needed in a block of its own.
IN_PARTS = {
    "blocks": lambda p: parts(p),
    "blocks without tags": lambda p: parts(p, lambda code: fence(code, "")),
    "blocks in a list": lambda p: indented(parts(p), "   "),
    "blocks after a draft": lambda p: fence(p.draft) + "\nBetter:\n\n" + parts(p),
    "blocks after a thought": lambda p: f"<think>{THOUGHT}</think>\n{parts(p)}",
    "blocks after a whole draft": lambda p: (
        fence(p.needed + p.draft) + "\nThe function itself must be:\n\n" + fence(p.answer)
    ),
    "blocks of HTML": lambda p: parts(p, pre),
    "blocks and usage": lambda p: parts(p) + "\nUsage:\n\n" + USAGE,
}


def one_line(program):
    """The program on one line, where that is the same program."""
    return " ".join(line.strip() for line in whole(program).strip().split("\n"))


# For programs whose text has no fence of its own.
PLAIN = {
    "one line": lambda p: f"```rust {one_line(p)} ```",
    "one line without a tag": lambda p: f"Here: \n```{one_line(p)}```\nDone.",
    "code at the opening fence": lambda p: f"```rust {whole(p)}```\n",
    "one line, tildes": lambda p: f"~~~rs {one_line(p)} ~~~",
    "a page of HTML": lambda p: f"```html\n<html><body>\n<h1>fn</h1>{pre(whole(p))}</body></html>\n```\n",
    "LaTeX in a block": lambda p: f"```latex\n\\begin{{verbatim}}\n{whole(p)}\\end{{verbatim}}\n```\n",
    "one line in a list": lambda p: f"- ```rust {one_line(p)}```",
}


def answers():
    """(name, program, answer, what a reader would take) of every template with every program that it is for."""
    for program in PROGRAMS:
        for name, template in WHOLE.items():
            yield f"{program.name}: {name}", program, template(program), whole(program)
        if program.needed:
            for name, template in IN_PARTS.items():
                yield f"{program.name}: {name}", program, template(program), whole(program)
        if program.name in ("plain", "helper", "macro", "generic"):
            for name, template in PLAIN.items():
                yield f"{program.name}: {name}", program, template(program), one_line(program)
