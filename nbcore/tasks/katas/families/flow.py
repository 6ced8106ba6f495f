"""Kata families over loops, match, enums and tuples. A table: `kata_family.Family` explains its templates."""

from nbcore.tasks.katas.family import Family as F

# fmt: off
FLOW: tuple[F, ...] = (
    F("loop_fold", "loops", "m g", "slice", "$g.ret",
      "let mut acc = $g.init;\nfor &x in $A {\n    $g.step($m(x))\n}\nacc",
      ("$g of the items of $A, each $m, by a loop", "in a loop, $g of $A with every item $m",
       "using a for loop, $g of the $A items $m")),
    F("loop_filter_fold", "loops", "p m g", "slice", "$g.ret",
      "let mut acc = $g.init;\n"
      "for &x in $A {\n"
      "    if $p(x) {\n"
      "        $g.step($m(x))\n"
      "    }\n"
      "}\n"
      "acc",
      ("$g of the items of $A that are $p, each $m, by a loop", "in a loop, $g of all $A $p, every one $m",
       "using a for loop, $g of what is $p in $A, each $m")),
    F("loop_break", "loops", "p m g", "slice", "$g.ret",
      "let mut acc = $g.init;\n"
      "for &x in $A {\n"
      "    if $p(x) {\n"
      "        break;\n"
      "    }\n"
      "    $g.step($m(x))\n"
      "}\n"
      "acc",
      ("$g of the items of $A before the first that is $p, each $m",
       "in a loop that stops at what is $p, $g of $A, each $m", "$g of the $A, every one $m, until an item is $p"),
      held_out=True),
    F("loop_range", "loops", "p g", "count", "$g.ret",
      "let mut acc = $g.init;\n"
      "for x in 1..=$A {\n"
      "    if $p(x) {\n"
      "        $g.step(x)\n"
      "    }\n"
      "}\n"
      "acc",
      ("$g of the numbers up to $A that are $p, by a loop", "in a loop over 1..=$A, $g of what is $p",
       "using a for loop, $g of all of 1 to $A that are $p")),
    F("loop_find", "loops", "p m", "slice", "Option<$T>",
      "for &x in $A {\n    if $p(x) {\n        return Some($m(x));\n    }\n}\nNone",
      ("the first item of $A that is $p, $m, or None", "in a loop, the first $p item of $A, $m",
       "None, or the earliest of $A to be $p, $m")),
    F("loop_halve", "loops", "m g", "count", "$g.ret",
      "let mut acc = $g.init;\n"
      "let mut x = $A;\n"
      "while x > 0 {\n"
      "    $g.step($m(x))\n"
      "    x /= 2;\n"
      "}\n"
      "acc",
      ("$g of $A and its repeated halves above zero, each $m",
       "while halving $A down to zero, $g of the values, each $m",
       "$g of the values of $A, halved until zero, each $m")),
    F("loop_countdown", "loops", "m", "count", "Vec<$T>",
      "let mut out = Vec::new();\n"
      "let mut x = $A;\n"
      "while x > 0 {\n"
      "    out.push($m(x));\n"
      "    x -= 1;\n"
      "}\n"
      "out",
      ("the numbers from $A down to 1, each $m", "a vector counting down from $A to 1, each number $m",
       "a countdown from $A to 1 with every number $m")),
    F("match_guards", "match", "p m n", "int", "$T",
      "match $A {\n    0 => $K,\n    x if $p(x) => $m(x),\n    x => $n(x),\n}",
      ("$K for $A of 0, $A $m if it is $p, else $n", "by match: 0 gives $K, what is $p gives $A $m, the rest $n",
       "for $A: $K at 0, it $m when $p, otherwise $n")),
    F("match_range", "match", "m n", "int", "$T",
      "match $A {\n    0 => 1,\n    1..=$K => $m($A),\n    _ => $n($A),\n}",
      ("1 for $A of 0, $A $m for 1..=$K, else $n", "by match: 0 gives 1, 1..=$K give $A $m, the rest $n",
       "for $A: 1 at 0, it $m up to $K, otherwise $n")),
    F("match_bools", "match", "p q m", "int int", "$T",
      "match ($p($A), $q($B)) {\n"
      "    (true, true) => $m($A),\n"
      "    (true, false) => $A,\n"
      "    (false, _) => $B,\n"
      "}",
      ("$A $m if it is $p and $B is $q, $A if only it is, else $B",
       "$B unless $A is $p, then $A, made $m when $B is $q",
       "by match on $A being $p and $B being $q: $A $m, $A, or $B")),
    F("enum_count", "match", "p", "slice", "usize",
      "$A\n    .iter()\n    .filter(|&s| matches!(*s, $S::$G(x) if $p(x)))\n    .count()",
      ("how many of $A are $G with a value $p", "the number of $G in $A holding what is $p",
       "the count of $A that are $G and $p"),
      head="pub enum $S {\n    $G($T),\n    $H,\n}\n\npub fn $f($A: &[$S]) -> usize {",
      call="let v1: &[$T] = $0;\n"
           "let v0: Vec<$S> = v1.iter().map(|&x| if x == $K { $S::$H } else { $S::$G(x) }).collect(); ## $f(&v0)"),
    F("enum_make", "match", "p m", "int", "$S",
      "if $p($A) {\n    $S::$G($m($A))\n} else {\n    $S::$H\n}",
      ("$G of $A $m if $A is $p, else $H", "a $S: $G with $A $m when it is $p, otherwise $H",
       "$H unless $A is $p, then $G of it $m"),
      head="#[derive(Debug, PartialEq)]\n"
           "pub enum $S {\n"
           "    $G($T),\n"
           "    $H,\n"
           "}\n"
           "\n"
           "pub fn $f($A: $T) -> $S {",
      call="match $f($0) { $S::$G(x) => Some(x), $S::$H => None }"),
    F("tuple_swap", "tuples", "m n", "pair", "($T, $T)",
      "let (x, y) = $A;\n($m(y), $n(x))",
      ("$A swapped: the second $m, the first $n", "a pair of the second of $A $m and the first $n",
       "the second part of $A $m, then the first $n")),
    F("tuple_bin", "tuples", "b p", "pair", "(bool, $T)",
      "let (x, y) = $A;\n($p(x), $b(x, y))",
      ("for x, y in $A, whether x is $p, and $b(x, y)", "with (x, y) = $A, a pair: if x is $p, and $b(x, y)",
       "a flag for x of $A being $p, and for its y too $b(x, y)")),
    F("tuple_split", "tuples", "m n", "int", "($T, $T)",
      "($m($A), $n($A))",
      ("$A $m and $A $n, as a pair", "the pair of $A $m and $A $n", "a tuple: $A $m, and $A $n")),
    F("tuple_flag", "tuples", "p m", "int", "($T, bool)",
      "let x = $m($A);\n(x, $p(x))",
      ("$A $m, and whether that is $p", "a pair of $A $m and if it is then $p", "$A $m with a flag for being $p"),
      held_out=True),
)
