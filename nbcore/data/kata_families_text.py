"""Kata families over strings and chars. A table: `kata_family.Family` explains its templates."""

from nbcore.data.kata_family import Family as F

# fmt: off
TEXT: tuple[F, ...] = (
    F("str_two", "strings", "s t", "str", "String",
      "let s = $s($A);\n$t(s)",
      ("$A $s, and then $t", "$A first $s, next $t", "the text $A $s, then $t")),
    F("str_if", "strings", "w s t", "str", "String",
      "if $w($A) {\n    $s($A)\n} else {\n    $t($A)\n}",
      ("$A $s if it is $w, else $t", "$A $s when $w, otherwise $t", "for $A that is $w it $s, or it $t")),
    F("str_words", "strings", "s", "str", "Vec<String>",
      "$A.split_whitespace().map(|w| $s(w)).collect()",
      ("the words of $A, each $s", "a vector of every word of $A $s", "all words of $A $s")),
    F("str_words_filter", "strings", "w s", "str", "Vec<String>",
      "$A\n    .split_whitespace()\n    .filter(|w| $w(w))\n    .map(|w| $s(w))\n    .collect()",
      ("the words of $A that are $w, each $s", "a vector of the words $w in $A, each $s",
       "all words of $A $w, every one $s")),
    F("str_words_join", "strings", "s", "str", "String",
      '$A\n    .split_whitespace()\n    .map(|w| $s(w))\n    .collect::<Vec<_>>()\n    .join("-")',
      ('the words of $A, each $s, joined by "-"', 'one text of every word of $A $s with "-" between',
       'all words of $A $s, linked by "-"')),
    F("str_words_measure", "strings", "z r", "str", "$r.ret",
      "$A.split_whitespace().map(|w| $z(w))$r",
      ("$r of $z of each word of $A", "$r, over the words of $A, of $z", "$r of $z, for every word in $A"),
      types="usize"),
    F("str_comma", "strings", "w s", "str", "Vec<String>",
      "$A\n"
      "    .split(' ')\n"
      "    .map(|w| w.trim_matches(','))\n"
      "    .filter(|w| $w(w))\n"
      "    .map(|w| $s(w))\n"
      "    .collect()",
      ("the space separated parts of $A less commas, if $w, each $s",
       "parts of $A between spaces, no outer commas, those $w, $s",
       "each piece of $A, split by ' ' and free of commas, that is $w, $s"), held_out=True),
    F("str_first_word", "strings", "s", "str", "Option<String>",
      "$A.split_whitespace().next().map(|w| $s(w))",
      ("the first word of $A, $s", "the word $A starts with, $s", "the leading word in $A, if any, $s")),
    F("str_last_word", "strings", "s", "str", "Option<String>",
      "$A.split_whitespace().next_back().map(|w| $s(w))",
      ("the last word of $A, $s", "the word $A ends with, $s", "the final word in $A, if any, $s")),
    F("str_list", "strings", "w s", "words", "Vec<String>",
      "$A.iter().filter(|w| $w(w)).map(|w| $s(w)).collect()",
      ("those of $A that are $w, each $s", "a vector of the $A $w, each $s", "all $A that are $w, every one $s")),
    F("str_list_owned", "strings", "w s", "strings", "Vec<String>",
      "$A\n    .into_iter()\n    .filter(|w| $w(w))\n    .map(|w| $s(w))\n    .collect()",
      ("the owned $A that are $w, each $s", "a vector of $A, consumed, keeping those $w, each $s",
       "the vector $A where $w, every one $s")),
    F("str_list_measure", "strings", "w z r", "words", "$r.ret",
      "$A\n    .iter()\n    .filter(|w| $w(w))\n    .map(|w| $z(w))\n    $r",
      ("$r of $z, over those of $A that are $w", "$r of $z of each of $A $w", "$r, for the $A $w, of $z"),
      types="usize"),
    F("str_sort", "strings", "z", "words", "Vec<String>",
      "let mut out: Vec<String> = $A.iter().map(|w| w.to_string()).collect();\n"
      "out.sort_by_key(|w| $z(w));\n"
      "out",
      ("$A sorted by $z", "the $A as Strings in order of $z", "a vector of $A ordered by $z")),
    F("str_option", "strings", "w s", "optstr", "Option<String>",
      "$A.filter(|w| $w(w)).map(|w| $s(w))",
      ("what $A holds if $w, $s", "the text in $A, when it is $w, $s", "the content of $A, kept if $w, $s")),
    F("str_chars", "strings", "c d", "str", "String",
      "$A\n    .chars()\n    .filter(|&x| $c(x))\n    .map(|x| $d(x))\n    .collect()",
      ("the chars of $A that are $c, each $d", "a String of the chars in $A that are $c, $d",
       "what is $c in $A, every char $d")),
    F("str_char_quant", "strings", "U c", "str", "$U.ret",
      "$U($A.chars(), $c(x))",
      ("$U(the chars of $A, $c)", "$U(chars in $A, $c)", "$U(the characters of $A, $c)")),
    F("str_push_loop", "strings", "c d", "str", "String",
      "let mut out = String::new();\n"
      "for x in $A.chars() {\n"
      "    if $c(x) {\n"
      "        continue;\n"
      "    }\n"
      "    out.push($d(x));\n"
      "}\n"
      "out",
      ("a loop over the chars of $A, skipping what is $c, each $d",
       "in a loop, the chars of $A that are not $c, each $d", "the String pushed from the chars of $A, except $c, $d")),
    F("str_measure", "strings", "z m", "str", "usize",
      "let x = $z($A);\n$m(x)",
      ("$z of $A, $m", "for $A, $z, $m", "what $z of $A is, $m"), types="usize"),
    F("str_measure_test", "strings", "z k", "str", "bool",
      "let x = $z($A);\n$k(x)",
      ("whether $z of $A is $k", "true if $z of $A is $k", "if, for $A, $z is $k"), types="usize"),
    F("str_digits", "strings", "m r", "str", "$r.ret",
      "$A\n    .chars()\n    .filter_map(|c| c.to_digit(10))\n    .map(|x| $m(x))\n    $r",
      ("$r of the digits in $A, each $m", "$r of what is a digit in $A, each $m",
       "$r of all digits of $A, every one $m"), types="u32"),
    F("str_format", "strings", "s t", "str str", "String",
      'let a = $s($A);\nlet b = $t($B);\nformat!("{a}-{b}")',
      ('$A $s, a "-", and $B $t', 'the text $A $s joined by "-" to $B $t', '$A $s and $B $t with "-" between')),
    F("char_if", "strings", "c d", "char", "char",
      "if $c($A) {\n    $d($A)\n} else {\n    '_'\n}",
      ("$A $d if it is among $c, else '_'", "$A $d when $c, otherwise '_'", "'_' unless $A is $c, then it $d")),
    F("str_take_chars", "strings", "c", "str", "String",
      "$A.chars().take_while(|&x| $c(x)).collect()",
      ("the leading chars of $A that are $c", "$A up to the first char not $c",
       "the start of $A as far as chars are $c")),
    F("str_split_on", "strings", "c s", "str", "Vec<String>",
      "$A.split(|x: char| $c(x)).map(|w| $s(w)).collect()",
      ("the parts of $A between chars that are $c, each $s", "$A split at each of $c, every part $s",
       "parts of $A, split where chars are $c, $s")),
)
