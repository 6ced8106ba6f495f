"""The op tables that all kata families share: small Rust expressions with the words for them.

Longer than one sitting because it is tables. `{x}`, `{y}`, `{z}` stand for the arguments and `{K}` for the
constant, in code and in words. No two ops of one table may be equal once constants become K: a held-out
composition would then be in training under another name. So constants start at 3, and 0, 1 and 2 are literals.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Op:
    """One entry: `says` are interchangeable wordings; `named` says the same as a noun around `{x}`."""

    name: str
    shown: bool
    code: str
    says: tuple[str, ...]
    named: str = ""
    signed: bool = False  # needs a signed integer type
    wide: bool = False  # needs 64 bits
    safe: bool = False  # cannot overflow, whatever the argument
    ret: str = ""  # a reducer's result type
    init: str = ""  # a reducer as a loop: the start value and one step
    step: str = ""
    tags: str = ""


def _ops(*rows: Op) -> dict[str, Op]:
    assert len({row.name for row in rows}) == len(rows), "op names repeat"
    return {row.name: row for row in rows}


# fmt: off
Y, N = True, False  # shown in demonstrations, or met only in prompts with tests

MAPS = _ops(
    Op("double", Y, "{x} * 2", ("doubled", "times two", "multiplied by 2"), named="twice {x}"),
    Op("square", Y, "{x} * {x}", ("squared", "times itself", "raised to the power 2"), named="the square of {x}"),
    Op("negate", Y, "-{x}", ("negated", "with its sign flipped", "made opposite"), named="the negative of {x}",
       signed=True),
    Op("add_k", Y, "{x} + {K}", ("plus {K}", "increased by {K}", "with {K} added"), named="the sum of {x} and {K}"),
    Op("sub_k", Y, "{x} - {K}", ("minus {K}", "decreased by {K}", "with {K} subtracted"), named="{x} less {K}",
       signed=True),
    Op("mul_k", Y, "{x} * {K}", ("times {K}", "multiplied by {K}", "scaled by {K}"), named="{K} times {x}"),
    Op("abs", Y, "{x}.abs()", ("in absolute value", "without its sign", "made absolute"),
       named="the absolute value of {x}", signed=True),
    Op("halve", Y, "{x} / 2", ("halved", "divided by two", "cut in half"), named="half of {x}", safe=True),
    Op("rem_k", Y, "{x} % {K}", ("modulo {K}", "reduced modulo {K}", "mod {K}"), named="the remainder of {x} by {K}",
       safe=True),
    Op("at_least_k", Y, "{x}.max({K})", ("raised to at least {K}", "floored at {K}", "limited below by {K}"),
       named="the larger of {x} and {K}", safe=True),
    Op("inc", Y, "{x} + 1", ("incremented", "plus one", "increased by one"), named="the successor of {x}"),
    Op("dec", Y, "{x} - 1", ("decremented", "minus one", "decreased by one"), named="the predecessor of {x}",
       signed=True),
    Op("cube", Y, "{x} * {x} * {x}", ("cubed", "raised to the power 3", "to the third power"),
       named="the cube of {x}"),
    Op("double_inc", Y, "{x} * 2 + 1", ("doubled plus one", "times two plus one", "doubled then incremented"),
       named="one more than twice {x}"),
    Op("square_add_k", Y, "{x} * {x} + {K}", ("squared plus {K}", "squared and increased by {K}",
       "squared with {K} added"), named="{K} more than the square of {x}"),
    Op("div_k", N, "{x} / {K}", ("divided by {K}", "over {K}", "in units of {K}"),
       named="the quotient of {x} by {K}", safe=True),
    Op("at_most_k", N, "{x}.min({K})", ("capped at {K}", "lowered to at most {K}", "limited above by {K}"),
       named="the smaller of {x} and {K}", safe=True),
    Op("clamp", N, "{x}.clamp(1, {K})", ("clamped to 1..={K}", "kept between 1 and {K}", "limited to 1..={K}"),
       named="{x} in the range 1..={K}", safe=True),
    Op("k_minus", N, "{K} - {x}", ("subtracted from {K}", "taken from {K}", "taken away from {K}"),
       named="{K} less {x}", signed=True),
    Op("dist_k", N, "({x} - {K}).abs()", ("as a distance from {K}", "as the distance to {K}", "as a gap to {K}"),
       named="the distance of {x} from {K}", signed=True),
    Op("signum", N, "{x}.signum()", ("reduced to its sign", "as a sign", "replaced by its sign"),
       named="the sign of {x}", signed=True, safe=True),
    Op("sat_sub_k", N, "{x}.saturating_sub({K})", ("less {K}, saturating", "minus {K}, saturating",
       "saturating minus {K}"), named="{x} less {K}, saturating", safe=True),
    Op("xor_k", N, "{x} ^ {K}", ("xored with {K}", "xor {K}", "with {K} xored in"), named="the xor of {x} and {K}",
       safe=True),
    Op("round_k", N, "{x} - {x} % {K}", ("less its remainder by {K}", "truncated to a multiple of {K}",
       "cut to a multiple of {K}"), named="the multiple of {K} that truncates {x}", safe=True),
    Op("pronic", N, "{x} * ({x} + 1)", ("times its successor", "times one more than itself",
       "multiplied by its successor"), named="the product of {x} and its successor"),
    Op("mod_k", N, "{x}.rem_euclid({K})", ("as a Euclidean remainder by {K}", "euclidean modulo {K}",
       "rem_euclid {K}"), named="the Euclidean remainder of {x} by {K}", signed=True, safe=True),
)

PREDS = _ops(
    Op("even", Y, "{x} % 2 == 0", ("even", "divisible by 2", "not odd"), tags="multiple"),
    Op("odd", Y, "{x} % 2 != 0", ("odd", "not even", "not divisible by 2"), tags="multiple"),
    Op("positive", Y, "{x} > 0", ("positive", "above zero", "greater than zero")),
    Op("negative", Y, "{x} < 0", ("negative", "below zero", "less than zero"), signed=True),
    Op("gt_k", Y, "{x} > {K}", ("greater than {K}", "above {K}", "more than {K}")),
    Op("lt_k", Y, "{x} < {K}", ("less than {K}", "below {K}", "smaller than {K}")),
    Op("div_k", Y, "{x} % {K} == 0", ("divisible by {K}", "in the {K} times table", "evenly divisible by {K}"),
       tags="multiple"),
    Op("zero", Y, "{x} == 0", ("zero", "equal to zero", "exactly 0")),
    Op("nonzero", Y, "{x} != 0", ("nonzero", "not zero", "different from 0")),
    Op("ne_k", Y, "{x} != {K}", ("not {K}", "different from {K}", "not equal to {K}")),
    Op("ge_k", Y, "{x} >= {K}", ("at least {K}", "{K} or more", "not below {K}")),
    Op("in_k", Y, "(1..={K}).contains(&{x})", ("in 1..={K}", "between 1 and {K}", "from 1 to {K}")),
    Op("abs_gt_k", Y, "{x}.abs() > {K}", ("above {K} in absolute value", "more than {K} from zero",
       "larger than {K} in magnitude"), signed=True),
    Op("le_k", N, "{x} <= {K}", ("at most {K}", "{K} or less", "not above {K}")),
    Op("not_div_k", N, "{x} % {K} != 0", ("not divisible by {K}", "outside the {K} times table",
       "indivisible by {K}"), tags="multiple"),
    Op("rem_one", N, "{x} % {K} == 1", ("1 modulo {K}", "one more than a multiple of {K}", "congruent to 1 mod {K}")),
    Op("abs_lt_k", N, "{x}.abs() < {K}", ("below {K} in absolute value", "less than {K} from zero",
       "smaller than {K} in magnitude"), signed=True),
    Op("out_k", N, "!(0..={K}).contains(&{x})", ("not in 0..={K}", "outside 0..={K}", "not between 0 and {K}")),
    Op("nonpos", N, "{x} <= 0", ("zero or less", "not positive", "at most zero"), signed=True),
    Op("even_pos", N, "{x} > 0 && {x} % 2 == 0", ("positive and even", "even and above zero",
       "both even and positive"), tags="multiple"),
    Op("sq_gt_k", N, "{x} * {x} > {K}", ("above {K} when squared", "larger than {K} once squared",
       "of a square above {K}"), wide=True),
)

# After an iterator: `code` ends the chain. In a loop: `init`, then `step` on each value.
REDUCERS = _ops(
    Op("sum", Y, ".sum()", ("the sum", "the total", "the sum total"), ret="$T", init="0", step="acc += {x};"),
    Op("product", Y, ".product()", ("the product", "the multiplied product", "the overall product"), wide=True,
       ret="$T", init="1", step="acc *= {x};"),
    Op("max", Y, ".max()", ("the largest", "the maximum", "the greatest"), ret="Option<$T>"),
    Op("min", Y, ".min()", ("the smallest", "the minimum", "the least"), ret="Option<$T>"),
    Op("count", Y, ".count()", ("the number", "the count", "the amount"), ret="usize", init="0", step="acc += 1;",
       tags="count"),
    Op("collect", Y, ".collect()", ("a vector", "a Vec", "the list"), ret="Vec<$T>", init="Vec::new()",
       step="acc.push({x});"),
    Op("first", Y, ".next()", ("the first", "the first, if any,", "the leading one"), ret="Option<$T>", tags="ends"),
    Op("max_or_zero", Y, ".max().unwrap_or(0)", ("the largest (or 0)", "the maximum (or 0)", "the greatest (or 0)"),
       ret="$T"),
    Op("last", N, ".next_back()", ("the last", "the last, if any,", "the final one"), ret="Option<$T>", init="None",
       step="acc = Some({x});", tags="ends back"),
    Op("second", N, ".nth(1)", ("the second", "the one after the first", "number two"), ret="Option<$T>"),
    Op("xor", N, ".fold(0, |a, b| a ^ b)", ("the xor", "the bitwise xor", "the exclusive or"), ret="$T", init="0",
       step="acc ^= {x};"),
    Op("reversed", N, ".rev().collect()", ("a reversed vector", "a backwards Vec", "the reversed list"),
       ret="Vec<$T>", init="Vec::new()", step="acc.insert(0, {x});", tags="back"),
)

BINARY = _ops(
    Op("add", Y, "{x} + {y}", ("{x} plus {y}", "the sum of {x} and {y}", "{x} and {y} added")),
    Op("sub", Y, "{x} - {y}", ("{x} minus {y}", "{x} less {y}", "{y} subtracted from {x}"), signed=True),
    Op("mul", Y, "{x} * {y}", ("{x} times {y}", "the product of {x} and {y}", "{x} and {y} multiplied")),
    Op("larger", Y, "{x}.max({y})", ("the larger of {x} and {y}", "the maximum of {x} and {y}",
       "the greater of {x} and {y}"), safe=True),
    Op("smaller", Y, "{x}.min({y})", ("the smaller of {x} and {y}", "the minimum of {x} and {y}",
       "the lesser of {x} and {y}"), safe=True),
    Op("add_k", Y, "{x} + {y} + {K}", ("{x} plus {y} plus {K}", "the sum of {x}, {y} and {K}",
       "{x} plus {y} and {K}")),
    Op("mul_inc", N, "{x} * {y} + 1", ("{x} times {y} plus one", "one more than {x} times {y}",
       "1 plus {x} times {y}")),
    Op("gap", N, "({x} - {y}).abs()", ("the distance from {x} to {y}", "the gap between {x} and {y}",
       "the absolute difference of {x} and {y}"), signed=True),
    Op("double_add", N, "{x} * 2 + {y}", ("twice {x} plus {y}", "{x} doubled plus {y}", "two times {x} plus {y}")),
    Op("mul_k_add", N, "{x} + {y} * {K}", ("{x} plus {K} times {y}", "{x} plus {y} times {K}",
       "{x} and {K} times {y} added")),
    Op("xor", N, "{x} ^ {y}", ("{x} xor {y}", "the xor of {x} and {y}", "{x} xored with {y}"), safe=True),
)

STRS = _ops(
    Op("upper", Y, "{x}.to_uppercase()", ("in upper case", "in uppercase", "in capitals")),
    Op("lower", Y, "{x}.to_lowercase()", ("in lower case", "in lowercase", "in small letters")),
    Op("reverse", Y, "{x}.chars().rev().collect::<String>()", ("reversed", "backwards", "from back to front")),
    Op("trim", Y, "{x}.trim().to_string()", ("trimmed", "without outer spaces", "stripped of outer spaces")),
    Op("twice", Y, "{x}.repeat(2)", ("twice", "repeated twice", "written two times")),
    Op("first_char", Y, "{x}.chars().take(1).collect::<String>()", ("cut to its first char", "as its first char",
       "down to one char")),
    Op("take_k", Y, "{x}.chars().take({K}).collect::<String>()", ("cut to {K} chars", "cut to its first {K} chars",
       "limited to {K} chars"), tags="small"),
    Op("exclaim", Y, 'format!("{{{x}}}!")', ('with "!" appended', 'followed by "!"', 'with "!" at its end')),
    Op("hash", Y, 'format!("#{{{x}}}")', ('with "#" in front', 'after a "#"', 'prefixed with "#"')),
    Op("owned", Y, "{x}.to_string()", ("as it is", "unchanged", "left alone"), tags="plain"),
    Op("no_spaces", N, "{x}.replace(' ', \"\")", ("without spaces", "with no spaces", "with spaces removed")),
    Op("repeat_k", N, "{x}.repeat({K})", ("repeated {K} times", "{K} times over", "written {K} times"), tags="small"),
    Op("skip_k", N, "{x}.chars().skip({K}).collect::<String>()", ("without its first {K} chars", "from char {K} on",
       "less {K} leading chars"), tags="small"),
    Op("brackets", N, 'format!("<{{{x}}}>")', ("in angle brackets", "between < and >", "wrapped in < and >")),
    Op("swap_a", N, "{x}.replace('a', \"o\")", ('with "a" made "o"', 'with "o" for "a"', 'with each "a" an "o"')),
    Op("letters", N, "{x}.chars().filter(|c| c.is_alphabetic()).collect::<String>()", ("reduced to its letters",
       "keeping letters only", "with only its letters")),
    Op("minus_last", N, "{x}.trim_end_matches('s').to_string()", ('without a final "s"', 'less any "s" at its end',
       'with final "s" removed')),
)

MEASURES = _ops(
    Op("len", Y, "{x}.len()", ("the length", "the byte length", "the number of bytes")),
    Op("chars", Y, "{x}.chars().count()", ("the char count", "the number of chars", "the count of chars")),
    Op("words", Y, "{x}.split_whitespace().count()", ("the word count", "the number of words", "the count of words")),
    Op("vowels", Y, "{x}.matches(['a', 'e', 'i', 'o', 'u']).count()", ("the vowel count", "the number of vowels",
       "the count of vowels")),
    Op("digits", N, "{x}.chars().filter(char::is_ascii_digit).count()", ("the digit count", "the number of digits",
       "the count of digits")),
    Op("trimmed", N, "{x}.trim().len()", ("the trimmed length", "the length once trimmed", "the bytes left by trim")),
    Op("e_count", N, "{x}.matches('e').count()", ('the "e" count', 'the number of "e"', 'the count of "e"')),
)

CHARS = _ops(
    Op("alpha", Y, "{x}.is_alphabetic()", ("alphabetic", "letters", "of the alphabet")),
    Op("digit", Y, "{x}.is_ascii_digit()", ("digits", "ASCII digits", "decimal digits")),
    Op("upper", Y, "{x}.is_uppercase()", ("uppercase", "capitals", "upper case")),
    Op("lower", Y, "{x}.is_lowercase()", ("lowercase", "small letters", "lower case")),
    Op("space", Y, "{x}.is_whitespace()", ("whitespace", "blanks", "white space")),
    Op("vowel", Y, '"aeiou".contains({x})', ("vowels", "lowercase vowels", "among aeiou")),
    Op("alnum", N, "{x}.is_alphanumeric()", ("alphanumeric", "letters or digits", "digits or letters")),
    Op("punct", N, "{x}.is_ascii_punctuation()", ("punctuation", "ASCII punctuation", "punctuation marks")),
    Op("not_alnum", N, "!{x}.is_alphanumeric()", ("not alphanumeric", "neither letters nor digits",
       "non-alphanumeric")),
    Op("not_space", N, "!{x}.is_whitespace()", ("not whitespace", "not blanks", "non-blank")),
)

QUANTS = _ops(  # {x}: an iterator chain over owned values, {y}: the predicate on x
    Op("any", Y, "{x}.any(|x| {y})", ("whether any of {x} are {y}", "true if some of {x} are {y}",
       "if any of {x} are {y}"), ret="bool"),
    Op("all", Y, "{x}.all(|x| {y})", ("whether all of {x} are {y}", "true if all {x} are {y}",
       "if all of {x} are {y}"), ret="bool"),
    Op("how_many", Y, "{x}.filter(|&x| {y}).count()", ("how many of {x} are {y}", "the count of {x} that are {y}",
       "the number of {x} that are {y}"), ret="usize"),
    Op("position", N, "{x}.position(|x| {y})", ("the index of the first of {x} that are {y}",
       "where {x} first are {y}", "the position where {x} first are {y}"), ret="Option<usize>"),
    Op("none", N, "!{x}.any(|x| {y})", ("whether none of {x} are {y}", "true if none of {x} are {y}",
       "if no {x} are {y}"), ret="bool"),
)

ENDS = _ops(  # one item of a slice, by reference
    Op("first", Y, ".first()", ("the first item", "the item at the front", "the leading item")),
    Op("last", Y, ".last()", ("the last item", "the item at the end", "the final item")),
    Op("max", Y, ".iter().max()", ("the largest item", "the maximum", "the greatest item")),
    Op("min", N, ".iter().min()", ("the smallest item", "the minimum", "the least item")),
    Op("second", N, ".get(1)", ("the second item", "the item at index 1", "the item after the first")),
)

ARITH = _ops(  # the family prefixes checked_, wrapping_, saturating_ or overflowing_
    Op("add", Y, "add", ("{x} plus {y}", "the sum of {x} and {y}", "{x} and {y} added")),
    Op("sub", Y, "sub", ("{x} minus {y}", "{x} less {y}", "{y} taken from {x}")),
    Op("mul", N, "mul", ("{x} times {y}", "the product of {x} and {y}", "{x} and {y} multiplied")),
)

FINISH = _ops(  # what to make of an Option<$T>
    Op("keep", Y, "", ("", "as an Option", "if there is one"), ret="Option<$T>"),
    Op("or_zero", Y, ".unwrap_or(0)", ("or 0", "or 0 if none", "or else 0"), ret="$T"),
    Op("or_k", N, ".unwrap_or({K})", ("or {K}", "or {K} if none", "or else {K}"), ret="$T"),
    Op("or_err", N, '.ok_or("none".to_string())', ('or Err("none")', 'or the error "none"', 'or else Err("none")'),
       ret="Result<$T, String>"),
)

# fmt: on


def _only(table: dict[str, Op], keep) -> dict[str, Op]:
    return {name: op for name, op in table.items() if keep(op)}


# Slot letters, as the families use them. Variants of one table leave out what would not compile or not lint.
TABLES = {
    "m": MAPS,
    "n": MAPS,
    "h": _only(MAPS, lambda op: op.safe),
    "p": PREDS,
    "q": PREDS,
    "k": _only(PREDS, lambda op: not op.signed and op.tags != "multiple"),  # clippy: is_multiple_of, if unsigned
    "b": BINARY,
    "r": _only(REDUCERS, lambda op: op.tags != "count"),  # clippy: map(..).count()
    "y": _only(REDUCERS, lambda op: "ends" not in op.tags),  # clippy: filter(..).next()
    "l": _only(REDUCERS, lambda op: "back" not in op.tags and op.tags != "count"),  # one way only
    "g": _only(REDUCERS, lambda op: op.step and op.tags != "count"),  # as a loop over values
    "o": FINISH,
    "s": STRS,
    "t": STRS,
    "z": MEASURES,
    "c": CHARS,
    "u": _only(QUANTS, lambda op: op.name != "how_many"),  # on items that is filter and count
    "U": QUANTS,
    "e": ENDS,
    "a": ARITH,
}
