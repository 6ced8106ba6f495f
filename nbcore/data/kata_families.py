"""The kata families: code skeletons with one to three slots that the shared op tables fill.

Longer than one sitting because it is one table. In `body` and `says`, `$p` is the op in slot p, `$m(x)` that op
on x, `$A` a parameter (named by `params`), `$T` the integer type, `$K` a constant of the family, `$f` the function,
`$S` a type name. `says` starting in lower case is a noun phrase ("Return the ..."), otherwise an imperative.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """One skeleton. `params` and `args` are lists of kinds, which `kata_inputs` knows; the first is $A."""

    name: str
    area: str
    slots: str
    params: str
    ret: str
    body: str
    says: tuple[str, ...]
    held_out: bool = False  # the whole family is kept from training
    types: str = "i32 i64 u32 u64 usize"
    wide: bool = False  # two maps in a row need 64 bits and small inputs
    uses: str = ""
    head: str = ""  # everything given, where it is not just the signature
    tail: str = "}"  # closes what `head` opened
    call: str = ""  # how a test gets its value: "setup|expression", $0 $1 for the arguments


FAMILIES: dict[str, Family] = {}


def _add(*rows: Family) -> None:
    for row in rows:
        assert row.name not in FAMILIES, row.name
        FAMILIES[row.name] = row


F = Family

IT = "iterators"
_add(
    F(
        "iter_map_reduce",
        IT,
        "m r",
        "slice",
        "$r.ret",
        "$A.iter().map(|&x| $m(x))$r",
        ("$r of the items of $A, each $m", "$r of $A with every item $m", "$r of the $A items $m"),
    ),
    F(
        "iter_filter_reduce",
        IT,
        "p y",
        "slice",
        "$y.ret",
        "$A.iter().copied().filter(|&x| $p(x))$y",
        ("$y of the items of $A that are $p", "$y of those items of $A which are $p", "$y of all $A $p"),
    ),
    F(
        "iter_filter_map_reduce",
        IT,
        "p m r",
        "slice",
        "$r.ret",
        "$A\n    .iter()\n    .filter(|&&x| $p(x))\n    .map(|&x| $m(x))\n    $r",
        (
            "$r of the items of $A that are $p, each $m",
            "$r of the items that are $p, each then $m",
            "$r of all $A $p, every one $m",
        ),
    ),
    F(
        "iter_map_filter_reduce",
        IT,
        "m p y",
        "slice",
        "$y.ret",
        "$A\n    .iter()\n    .map(|&x| $m(x))\n    .filter(|&x| $p(x))\n    $y",
        (
            "$y of the items of $A, each $m, that are then $p",
            "$y of what is $p once each item is $m",
            "$y of $A, every item $m, keeping what is $p",
        ),
    ),
    F(
        "iter_map_map",
        IT,
        "m n",
        "slice",
        "Vec<$T>",
        "$A.iter().map(|&x| $m(x)).map(|x| $n(x)).collect()",
        (
            "the items of $A, each $m and then $n",
            "a vector of $A with each item $m, then $n",
            "every item of $A first $m, next $n",
        ),
        wide=True,
    ),
    F(
        "iter_quant",
        IT,
        "u p",
        "slice",
        "$u.ret",
        "$u($A.iter().copied(), $p(x))",
        ("$u(the items of $A, $p)", "$u(the $A, $p)", "$u(the numbers in $A, $p)"),
    ),
    F(
        "iter_map_quant",
        IT,
        "m u p",
        "slice",
        "$u.ret",
        "$u($A.iter().map(|&x| $m(x)), $p(x))",
        (
            "with each item of $A $m, $u(them, $p)",
            "once the $A are $m, $u(them, $p)",
            "for $A with all items $m, $u(those, $p)",
        ),
    ),
    F(
        "iter_take_while",
        IT,
        "p m l",
        "slice",
        "$l.ret",
        "$A\n    .iter()\n    .copied()\n    .take_while(|&x| $p(x))\n    .map(|x| $m(x))\n    $l",
        (
            "$l of the leading items of $A that are $p, each $m",
            "$l of $A up to the first item not $p, each $m",
            "$l of $A while items are $p, every one $m",
        ),
    ),
    F(
        "iter_skip_while",
        IT,
        "p m l",
        "slice",
        "$l.ret",
        "$A\n    .iter()\n    .copied()\n    .skip_while(|&x| $p(x))\n    .map(|x| $m(x))\n    $l",
        (
            "$l of $A after the leading items that are $p, each $m",
            "$l of $A from the first item not $p, each $m",
            "$l of $A skipping while items are $p, every one $m",
        ),
        held_out=True,
    ),
    F(
        "iter_zip",
        IT,
        "b r",
        "slice slice",
        "$r.ret",
        "$A.iter().zip($B).map(|(&x, &y)| $b(x, y))$r",
        (
            "$r of, pair by pair, $b(x of $A, y of $B)",
            "$r of, for x in $A and y in $B, $b(x, y)",
            "$r of, zipping x of $A with y of $B, $b(x, y)",
        ),
    ),
    F(
        "iter_windows",
        IT,
        "b r",
        "slice",
        "$r.ret",
        "$A.windows(2).map(|w| $b(w[0], w[1]))$r",
        (
            "$r of, for neighbours x, y in $A, $b(x, y)",
            "$r of, for each adjacent pair x, y of $A, $b(x, y)",
            "$r of, over windows x, y of $A, $b(x, y)",
        ),
    ),
    F(
        "iter_step_by",
        IT,
        "m r",
        "slice",
        "$r.ret",
        "$A.iter().step_by($K).map(|&x| $m(x))$r",
        (
            "$r of every item of $A at a step of $K, each $m",
            "$r of $A by steps of $K, each item $m",
            "$r of one item in $K of $A, each $m",
        ),
    ),
    F(
        "iter_enumerate",
        IT,
        "i m",
        "slice",
        "Vec<$T>",
        "$A\n    .iter()\n    .enumerate()\n    .filter(|&(i, _)| $i(i))\n    .map(|(_, &x)| $m(x))\n    .collect()",
        (
            "the items of $A whose index is $i, each $m",
            "a vector of the items at an index $i, each $m",
            "those items of $A with an index that is $i, every one $m",
        ),
    ),
    F(
        "iter_scan",
        IT,
        "m",
        "slice",
        "Vec<$T>",
        "$A\n    .iter()\n    .scan(0, |acc, &x| {\n        *acc += $m(x);\n        Some(*acc)\n    })\n    .collect()",
        (
            "the running sums of $A, each item $m",
            "the prefix sums of the items of $A $m",
            "a vector of running totals of $A with items $m",
        ),
    ),
    F(
        "iter_flat_map",
        IT,
        "m",
        "slice",
        "Vec<$T>",
        "$A.iter().flat_map(|&x| [x, $m(x)]).collect()",
        (
            "each item of $A followed by the item $m",
            "every item of $A and, after it, the item $m",
            "the items of $A, each with itself $m behind it",
        ),
    ),
    F(
        "iter_fold",
        IT,
        "b",
        "slice",
        "$T",
        "$A.iter().fold($K, |x, &y| $b(x, y))",
        (
            "the fold of $A from $K with $b(x, y)",
            "$A folded from x = $K, where x becomes $b(x, y)",
            "x after each y of $A makes it $b(x, y), from $K",
        ),
        types="i64 u64",
    ),
    F(
        "iter_range",
        IT,
        "m r",
        "count",
        "$r.ret",
        "(1..=$A).map(|x| $m(x))$r",
        (
            "$r of the numbers from 1 to $A, each $m",
            "$r of 1..=$A with every number $m",
            "$r of all of 1 to $A, each $m",
        ),
    ),
    F(
        "iter_range_filter",
        IT,
        "p m r",
        "count",
        "$r.ret",
        "(1..=$A).filter(|&x| $p(x)).map(|x| $m(x))$r",
        (
            "$r of the numbers 1 to $A that are $p, each $m",
            "$r of what is $p in 1..=$A, each $m",
            "$r of all of 1..=$A that are $p, every one $m",
        ),
    ),
    F(
        "iter_partition",
        IT,
        "m p",
        "slice",
        "(Vec<$T>, Vec<$T>)",
        "$A.iter().map(|&x| $m(x)).partition(|&x| $p(x))",
        (
            "the items of $A, each $m, split by being $p",
            "two vectors from $A $m: those $p, and the rest",
            "$A with each item $m, parted into $p and not",
        ),
    ),
    F(
        "iter_best_by",
        IT,
        "p m",
        "slice",
        "Option<$T>",
        "$A\n    .iter()\n    .copied()\n    .filter(|&x| $p(x))\n    .max_by_key(|&x| $m(x))",
        (
            "the item of $A that is $p and largest when $m",
            "the $p item of $A which is greatest once $m",
            "among $A that are $p, the item of highest value when $m",
        ),
    ),
    F(
        "iter_least_by",
        IT,
        "m",
        "slice",
        "Option<$T>",
        "$A.iter().copied().min_by_key(|&x| $m(x))",
        (
            "the item of $A that is smallest when $m",
            "the item of $A which is least once $m",
            "among $A, the item of lowest value when $m",
        ),
    ),
    F(
        "iter_unzip",
        IT,
        "m n",
        "slice",
        "(Vec<$T>, Vec<$T>)",
        "$A.iter().map(|&x| ($m(x), $n(x))).unzip()",
        (
            "two vectors of the items of $A: each $m, and each $n",
            "the items of $A $m, and the items $n, as a pair",
            "a pair from $A: every item $m, every item $n",
        ),
    ),
)

SL = "slices"
_add(
    F(
        "slice_end_map",
        SL,
        "e m o",
        "slice",
        "$o.ret",
        "$A$e.map(|&x| $m(x))$o",
        ("$e of $A, $m, $o", "$e in $A $m, $o", "of $A, $e, $m, $o"),
    ),
    F(
        "slice_match",
        SL,
        "m b",
        "slice",
        "$T",
        "match *$A {\n    [] => $K,\n    [x] => $m(x),\n    [x, .., y] => $b(x, y),\n}",
        (
            "$K for empty $A, $m(a lone item), or for ends x and y $b(x, y)",
            "by the shape of $A: $K if empty, the one item $m, or $b(x, y) for ends x, y",
            "for $A: $K, or the single item $m, or of first x and last y $b(x, y)",
        ),
    ),
    F(
        "slice_sorted_by",
        SL,
        "m",
        "slice",
        "Vec<$T>",
        "let mut out = $A.to_vec();\nout.sort_by_key(|&x| $m(x));\nout",
        (
            "the items of $A sorted by the item $m",
            "a copy of $A ordered by each item $m",
            "$A in order of its items $m",
        ),
    ),
    F(
        "slice_in_place",
        SL,
        "m",
        "mutslice",
        "",
        "for x in $A.iter_mut() {\n    let y = *x;\n    *x = $m(y);\n}",
        (
            "Replace every item of $A by the item $m",
            "Update $A in place so each item is $m",
            "Change each item of $A to itself $m",
        ),
    ),
    F(
        "slice_in_place_if",
        SL,
        "p m",
        "mutslice",
        "",
        "for x in $A.iter_mut() {\n    let y = *x;\n    if $p(y) {\n        *x = $m(y);\n    }\n}",
        (
            "Replace the items of $A that are $p by the item $m",
            "Update each item of $A that is $p to be $m",
            "Change in place what is $p in $A to itself $m",
        ),
    ),
    F(
        "slice_contains",
        SL,
        "m n",
        "slice int",
        "$T",
        "if $A.contains(&$B) {\n    $m($B)\n} else {\n    $n($B)\n}",
        (
            "$B $m if $A contains it, else $n",
            "$B $m when it is in $A, otherwise $n",
            "$m($B) if found in $A, or $n($B)",
        ),
    ),
)
