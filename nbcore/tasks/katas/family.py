"""What a kata family is: a code skeleton, its wordings, and one to three slots for shared ops.

In `body` and `says`, `$p` is the op in slot p and `$m(x)` that op on x; `$A`, `$B`, `$C` are the parameters, `$T`
the integer type, `$K` a constant of the family, `$f` the function, `$S` a type and `$Q` a trait, `$D` and `$E` fields,
`$G` and `$H` enum variants. Slot letters are in `kata_ops.TABLES`. A wording in lower case is a noun phrase ("Return
the ..."), one with a capital an imperative.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """One skeleton. `slots` and `params` are lists of table letters and of parameter kinds."""

    name: str
    area: str
    slots: str
    params: str
    ret: str
    body: str
    says: tuple[str, ...]
    held_out: bool = False  # the whole family is kept from training
    types: str = "i32 i64 u32 u64 usize"
    wide: bool = False  # two maps in a row need 64 bits
    uses: str = ""
    head: str = ""  # everything given, where it is more than the signature
    tail: str = "}"  # closes what `head` opened
    call: str = ""  # how a test gets its value: "expression" or "setup ## expression", with $0 $1 for the arguments
