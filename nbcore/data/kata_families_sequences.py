"""Kata families over sequences: iterators, slices, vectors in and out, loops and maps.

Longer than one sitting because it is one table; `kata_family.Family` explains the templates.
"""

from nbcore.data.kata_family import Family as F

SEQUENCES: tuple[F, ...] = ()

IT = "iterators"
SEQUENCES += (
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
        "$A.iter().step_by(2).map(|&x| $m(x))$r",
        (
            "$r of every second item of $A, each $m",
            "$r of $A by steps of 2, each item $m",
            "$r of one item in two of $A, each $m",
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
SEQUENCES += (
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

OW = "ownership"
SEQUENCES += (
    F("vec_retain", OW, "p", "mutvec", "", "$A.retain(|&x| $p(x));", (
        "Keep in $A only the items that are $p", "Drop from $A all but the items $p", "Retain what is $p in $A")),
    F("vec_retain_map", OW, "p m", "mutvec", "",
      "$A.retain(|&x| $p(x));\nfor x in $A.iter_mut() {\n    let y = *x;\n    *x = $m(y);\n}", (
        "Keep in $A only the items that are $p, then make each $m", "Drop from $A all but the items $p, leaving each $m",
        "Retain in $A what is $p, with each item then $m")),
    F("vec_removed", OW, "p", "mutvec", "usize",
      "let before = $A.len();\n$A.retain(|&x| $p(x));\nbefore - $A.len()", (
        "Keep in $A only the items that are $p and return how many left",
        "Drop from $A all but the items $p and return the number dropped",
        "Retain what is $p in $A, returning the count of removed items")),
    F("vec_into_map", OW, "p m r", "vec", "$r.ret",
      "$A\n    .into_iter()\n    .filter(|&x| $p(x))\n    .map(|x| $m(x))\n    $r", (
        "$r of the owned $A that are $p, each $m", "$r of $A, consumed, keeping what is $p, each $m",
        "$r of the vector $A where $p, every one $m")),
    F("vec_push", OW, "m", "mutvec int", "", "$A.push($m($B));", (
        "Push $m($B) onto $A", "Append $B to $A, $m", "Add $m($B) at the end of $A")),
    F("vec_insert_front", OW, "m", "mutvec int", "", "$A.insert(0, $m($B));", (
        "Insert $m($B) at the front of $A", "Put $m($B) first in $A", "Place $m($B) before the items of $A")),
    F("vec_extend", OW, "p m", "mutvec slice", "",
      "for &x in $B {\n    if $p(x) {\n        $A.push($m(x));\n    }\n}", (
        "Push onto $A the items of $B that are $p, each $m", "Append to $A what is $p in $B, each $m",
        "Extend $A with those of $B which are $p, every one $m")),
    F("vec_pop", OW, "m o", "mutvec", "$o.ret", "$A.pop().map(|x| $m(x))$o", (
        "Pop the last of $A and return it $m, $o", "Remove the final item of $A, returning it $m, $o",
        "Take the last item from $A and give it back $m, $o")),
    F("vec_mutate", OW, "v m", "mutvec", "", "$A$v;\nfor x in $A.iter_mut() {\n    let y = *x;\n    *x = $m(y);\n}", (
        "$v $A and make each item $m", "$v $A, then turn every item into itself $m", "$v $A with each item then $m")),
    F("vec_mutate_owned", OW, "j x", "vec", "$x.ret", "let mut out = $A;\nout$j;\nout.into_iter()$x", (
        "$j $A and return $x of the items", "$j the owned $A, returning $x of them", "$j $A, then give $x of what is left")),
    F("vec_drain", OW, "m", "mutvec", "Vec<$T>",
      "let end = $A.len().min(2);\n$A.drain(..end).map(|x| $m(x)).collect()", (
        "Drain the first 2 items of $A and return them, each $m", "Take up to 2 leading items out of $A, returned $m",
        "Remove at most 2 items from the front of $A and return each $m")),
    F("int_replace", OW, "m", "mutint", "$T", "let old = *$A;\n*$A = $m(old);\nold", (
        "Make $A itself $m and return the old value", "Update $A to be $m, returning what it was",
        "Set $A to itself $m and give back the value before")),
    F("int_update_if", OW, "p m n", "mutint", "",
      "let x = *$A;\n*$A = if $p(x) { $m(x) } else { $n(x) };", (
        "Make $A itself $m if it is $p, else $n", "Set $A to itself $m when it is $p, otherwise $n",
        "Change $A to be $m if $p, or else $n")),
    F("string_push", OW, "s", "mutstr str", "", "let s = $s($B);\n$A.push_str(&s);", (
        "Append $B to $A, $s", "Push $B $s onto $A", "Add to the end of $A the text $B $s")),
    F("string_retain", OW, "c", "mutstr", "", "$A.retain(|x| $c(x));", (
        "Keep in $A only chars that are $c", "Drop from $A all chars but $c", "Retain in $A what is $c")),
    F("str_longer", OW, "z", "str str", "&'a str", "if $z($A) >= $z($B) {\n    $A\n} else {\n    $B\n}", (
        "$A or $B, by $z, the larger winning and $A on a tie", "the one of $A and $B that is larger by $z ($A if equal)",
        "whichever of $A, $B leads by $z, preferring $A"),
      head="pub fn $f<'a>($A: &'a str, $B: &'a str) -> &'a str {"),
    F("vec_split_owned", OW, "p m", "vec", "(Vec<$T>, Vec<$T>)",
      "let (a, b): (Vec<$T>, Vec<$T>) = $A.into_iter().partition(|&x| $p(x));\n"
      "(a.into_iter().map(|x| $m(x)).collect(), b)", (
        "the $A that are $p, each $m, and the others as they are", "a pair: what is $p in $A, $m, and the rest",
        "two vectors from $A: those $p, each $m, and those not")),
)

LO = "loops"
SEQUENCES += (
    F("loop_fold", LO, "m g", "slice", "$g.ret", "let mut acc = $g.init;\nfor &x in $A {\n    $g.step($m(x))\n}\nacc", (
        "$g of the items of $A, each $m, by a loop", "in a loop, $g of $A with every item $m",
        "using a for loop, $g of the $A items $m")),
    F("loop_filter_fold", LO, "p m g", "slice", "$g.ret",
      "let mut acc = $g.init;\nfor &x in $A {\n    if $p(x) {\n        $g.step($m(x))\n    }\n}\nacc", (
        "$g of the items of $A that are $p, each $m, by a loop", "in a loop, $g of all $A $p, every one $m",
        "using a for loop, $g of what is $p in $A, each $m")),
    F("loop_break", LO, "p m g", "slice", "$g.ret",
      "let mut acc = $g.init;\nfor &x in $A {\n    if $p(x) {\n        break;\n    }\n    $g.step($m(x))\n}\nacc", (
        "$g of the items of $A before the first that is $p, each $m", "in a loop that stops at what is $p, $g of $A, each $m",
        "$g of the $A, every one $m, until an item is $p"), held_out=True),
    F("loop_continue", LO, "p m g", "slice", "$g.ret",
      "let mut acc = $g.init;\nfor &x in $A {\n    if $p(x) {\n        continue;\n    }\n    $g.step($m(x))\n}\nacc", (
        "$g of the items of $A, skipping those that are $p, each $m", "in a loop that passes over what is $p, $g of $A, each $m",
        "$g of the $A, every one $m, except items that are $p")),
    F("loop_range", LO, "p g", "count", "$g.ret",
      "let mut acc = $g.init;\nfor x in 1..=$A {\n    if $p(x) {\n        $g.step(x)\n    }\n}\nacc", (
        "$g of the numbers up to $A that are $p, by a loop", "in a loop over 1..=$A, $g of what is $p",
        "using a for loop, $g of all of 1 to $A that are $p")),
    F("loop_find", LO, "p m", "slice", "Option<$T>",
      "for &x in $A {\n    if $p(x) {\n        return Some($m(x));\n    }\n}\nNone", (
        "the first item of $A that is $p, $m, or None", "in a loop, the first $p item of $A, $m",
        "None, or the earliest of $A to be $p, $m")),
    F("loop_halve", LO, "m g", "count", "$g.ret",
      "let mut acc = $g.init;\nlet mut x = $A;\nwhile x > 0 {\n    $g.step($m(x))\n    x /= 2;\n}\nacc", (
        "$g of $A and its repeated halves above zero, each $m", "while halving $A down to zero, $g of the values, each $m",
        "$g of the values of $A, halved until zero, each $m")),
    F("loop_digits", LO, "p g", "big", "$g.ret",
      "let mut acc = $g.init;\nlet mut x = $A;\nwhile x > 0 {\n    let y = x % 10;\n    if $p(y) {\n        $g.step(y)\n"
      "    }\n    x /= 10;\n}\nacc", (
        "$g of the decimal digits of $A that are $p, last digit first", "from the last digit of $A, $g of the digits that are $p",
        "$g of what is $p among the digits of $A, from the right")),
    F("loop_pairs", LO, "b g", "slice slice", "$g.ret",
      "let mut acc = $g.init;\nfor &x in $A {\n    for &y in $B {\n        $g.step($b(x, y))\n    }\n}\nacc", (
        "$g of, for every x of $A and every y of $B, $b(x, y)", "in nested loops over x in $A and y in $B, $g of $b(x, y)",
        "$g of all $b(x, y) with x from $A and y from $B"), types="i32 u32"),
    F("loop_countdown", LO, "m", "count", "Vec<$T>",
      "let mut out = Vec::new();\nlet mut x = $A;\nwhile x > 0 {\n    out.push($m(x));\n    x -= 1;\n}\nout", (
        "the numbers from $A down to 1, each $m", "a vector counting down from $A to 1, each number $m",
        "a countdown from $A to 1 with every number $m")),
    F("loop_limit", LO, "m p", "slice", "Vec<$T>",
      "let mut out = Vec::new();\nfor &x in $A {\n    let y = $m(x);\n    if $p(y) {\n        out.push(y);\n    }\n}\nout", (
        "the items of $A made $m, if then $p, by a loop", "in a loop, the items of $A, each $m, keeping what is then $p",
        "a vector pushed from $A: each item $m when that is $p")),
    F("loop_longest_run", LO, "p", "slice", "usize",
      "let mut best = 0;\nlet mut run = 0;\nfor &x in $A {\n    run = if $p(x) { run + 1 } else { 0 };\n"
      "    best = run.max(best);\n}\nbest", (
        "the length of the longest run in $A of items that are $p", "how many neighbours in $A at most are $p in a row",
        "the longest streak of $A in which items are $p")),
)

MA = "maps"
BT = "std::collections::BTreeMap"
SEQUENCES += (
    F("map_count_by", MA, "m", "slice", "BTreeMap<$T, usize>",
      "let mut out = BTreeMap::new();\nfor &x in $A {\n    *out.entry($m(x)).or_insert(0) += 1;\n}\nout", (
        "how many items of $A there are by the item $m", "the counts of the items of $A, keyed by the item $m",
        "a map from each item $m to its count in $A"), uses=BT),
    F("map_group_by", MA, "m n", "slice", "BTreeMap<$T, Vec<$T>>",
      "let mut out: BTreeMap<$T, Vec<$T>> = BTreeMap::new();\nfor &x in $A {\n    out.entry($m(x)).or_default().push($n(x));\n}\nout", (
        "the items of $A $n, grouped by the item $m", "a map from each item $m to the items $n of $A",
        "groups of $A under the item $m, holding it $n"), uses=BT, held_out=True),
    F("map_from_items", MA, "p m", "slice", "BTreeMap<$T, $T>",
      "$A\n    .iter()\n    .filter(|&&x| $p(x))\n    .map(|&x| (x, $m(x)))\n    .collect()", (
        "a map from each item of $A that is $p to it $m", "the $A that are $p as keys, each with itself $m",
        "a map of what is $p in $A to the same $m"), uses=BT),
    F("map_index", MA, "m", "slice", "HashMap<$T, usize>",
      "$A.iter().enumerate().map(|(i, &x)| ($m(x), i)).collect()", (
        "a map from each item of $A $m to its last index", "the last index of each item $m of $A, as a map",
        "a lookup of where the item $m last is in $A"), uses="std::collections::HashMap"),
    F("map_values", MA, "p m r", "btree", "$r.ret",
      "$A\n    .values()\n    .filter(|&&x| $p(x))\n    .map(|&x| $m(x))\n    $r", (
        "$r of the values of $A that are $p, each $m", "$r of what is $p in the map $A, each value $m",
        "$r of all $p values in $A, every one $m"), uses=BT),
    F("map_keys", MA, "p", "btree", "Vec<String>",
      "$A\n    .iter()\n    .filter(|&(_, &x)| $p(x))\n    .map(|(s, _)| s.clone())\n    .collect()", (
        "the keys of $A whose value is $p", "a vector of the keys in $A with a value $p", "which keys of $A hold what is $p"),
      uses=BT),
    F("map_get", MA, "m o", "map key", "$o.ret", "$A.get($B).map(|&x| $m(x))$o", (
        "the value of $B in $A, $m, $o", "what $A holds for $B, $m, $o", "the entry of key $B in $A, $m, $o"),
      uses="std::collections::HashMap"),
    F("map_update", MA, "p m", "mutmap", "",
      "for x in $A.values_mut() {\n    let y = *x;\n    if $p(y) {\n        *x = $m(y);\n    }\n}", (
        "Replace the values of $A that are $p by the value $m", "Update each value of $A that is $p to be $m",
        "Change in the map $A what is $p to itself $m"), uses=BT),
    F("map_retain", MA, "p", "mutmap", "", "$A.retain(|_, x| {\n    let y = *x;\n    $p(y)\n});", (
        "Keep in $A only entries with a value $p", "Drop from $A the entries whose value is not $p",
        "Retain the values of $A that are $p"), uses=BT),
    F("map_insert", MA, "m", "mutmap key int", "Option<$T>", "$A.insert($B.to_string(), $m($C))", (
        "Insert $m($C) in $A under $B and return the old value", "Store $C, $m, in $A at key $B, returning what was there",
        "Set key $B of $A to $m($C) and give back the old value"), uses=BT),
    F("map_add", MA, "b", "mutmap key int", "", "let x = $A.get($B).copied().unwrap_or(0);\nlet y = $C;\n"
      "$A.insert($B.to_string(), $b(x, y));", (
        "Set key $B of $A to $b(x, y), for x its value or 0 and y $C", "Make entry $B of $A, x or 0, into $b(x, y) with y = $C",
        "Update x at $B in $A (0 if none) to $b(x, y), y being $C"), uses=BT),
    F("set_distinct", MA, "p m", "slice", "BTreeSet<$T>",
      "$A\n    .iter()\n    .map(|&x| $m(x))\n    .filter(|&x| $p(x))\n    .collect::<BTreeSet<$T>>()", (
        "the set of the items of $A, each $m, that are then $p", "the distinct values of $A $m that are $p",
        "a set of what is $p once each item of $A is $m"), uses="std::collections::BTreeSet"),
    F("map_char_count", MA, "c", "str", "BTreeMap<char, usize>",
      "let mut out = BTreeMap::new();\nfor x in $A.chars().filter(|&x| $c(x)) {\n    *out.entry(x).or_insert(0) += 1;\n}\nout", (
        "how often each of the chars of $A that are $c occurs", "the counts of the chars in $A that are $c, by char",
        "a map from each char of $A among $c to its count"), uses=BT),
    F("map_words", MA, "s z", "str", "BTreeMap<String, usize>",
      "$A\n    .split_whitespace()\n    .map(|w| ($s(w), $z(w)))\n    .collect()", (
        "a map from each word of $A, $s, to $z", "the words of $A $s as keys, each with $z of the word",
        "for words of $A, a map from the word $s to $z"), uses=BT),
)
