"""Text to expression: what is read, what is refused and by which name, and what it says that it needs."""

import pytest

from model_watchdog.promql import FUNCTIONS, Kind, Memory, PromqlError, Unsupported, add_needs, parse
from model_watchdog.promql.refusals import EXPERIMENTAL, NATIVE

EMPTY = Memory()

REFUSED = {
    "rate(a[5m:1m])": "a subquery, [range:step]",
    "max_over_time(rate(a[5m])[1h:])": "a subquery, [range:step]",
    "a @ 5": "the modifier @",
    "rate(a[5m] @ end())": "the modifier @",
    "a @ 1m40s": "the modifier @",
    "histogram_count(a)": "histogram_count() is of native histograms",
    "histogram_fraction(0, 1, a)": "histogram_fraction() is of native histograms",
    "holt_winters(a[5m], 0.1, 0.2)": "holt_winters() is experimental in Prometheus",
    "sort_by_label(a, 'b')": "sort_by_label() is experimental in Prometheus",
    "limitk(2, a)": "limitk() is experimental in Prometheus",
    "a * fill(0) b": "fill() between two vectors is experimental in Prometheus",
    "rate(a[5m * 2])": "a calculated duration is experimental in Prometheus",
    "rate(a[step()])": "a calculated duration is experimental in Prometheus",
    "a offset (5m + 1m)": "a calculated duration is experimental in Prometheus",
    "rate(a[5m] smoothed)": "the modifier smoothed is experimental in Prometheus",
    "increase(a[5m] anchored)": "the modifier anchored is experimental in Prometheus",
    "a </ 5": "</ and >/ are of native histograms",
    'a{b="1" or c="2"}': "`or` between matchers is no PromQL",
}


@pytest.mark.parametrize(("text", "what"), REFUSED.items())
def test_what_is_not_supported_is_refused_by_name_and_with_what_does_instead(text: str, what: str) -> None:
    with pytest.raises(Unsupported) as refused:
        parse(text)
    assert refused.value.what == what
    assert str(refused.value) == f"{what}: not supported here; {refused.value.remedy}"
    assert len(refused.value.remedy) > 5


def test_nothing_is_both_supported_and_refused() -> None:
    assert not FUNCTIONS & (EXPERIMENTAL.keys() | NATIVE)


WRONG = {
    "": "this is no PromQL expression",
    "a b": "this is no PromQL expression",
    "rate(a)": "expected type matrix",
    "rat(a[5m])": "there is no function rat(); did you mean rate()?",
    "nosuchthing(a)": "there is no function nosuchthing()",
    'a{b=~"["}': "regex",
    r'a{b="\q"}': "has an escape that is none: \\q",
    r'"\xff"': "is not UTF-8",
    '"a\nb"': "goes over a line's end",
    "a offset 201y": "longer than 200 years",
    "a[99999999999999y]": "longer than 200 years",
    "a offset NaN": "NaN is no duration",
    "(" * 51 + "a" + ")" * 51: "more than 50 brackets",
    "1" + "+1" * 201: "or 200 operators",
    "a" * 20_001: "longer than 20000 letters",
}


@pytest.mark.parametrize(("text", "said"), WRONG.items(), ids=[text[:20] for text in WRONG])
def test_what_is_no_expression_is_told_in_one_line(text: str, said: str) -> None:
    with pytest.raises(PromqlError) as wrong:
        parse(text)
    assert said in str(wrong.value)
    assert "\n" not in str(wrong.value)
    assert not isinstance(wrong.value, Unsupported)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\u00e9\x41\101\t\\\""', 'éAA\t\\"'),
        (r"'it\'s \"'", "it's \""),
        (r"`raw \n`", r"raw \n"),
        ("`two\nlines`", "two\nlines"),
        ('"# no comment" # a comment', "# no comment"),
        (r'"\xc3\xa9"', "é"),
        (r'"\U0001F600"', "😀"),
    ],
)
def test_strings_are_read_as_go_reads_them(text: str, value: str) -> None:
    assert parse(text).evaluate(EMPTY, 0) == value


def test_a_backquoted_pattern_is_taken_as_it_is() -> None:
    memory = Memory()
    memory.append("a", (("code", "503"),), 0, 1.0)
    assert parse(r"a{code=~`5\d\d`}").evaluate(memory, 1) != []
    assert parse(r'a{code=~"5\\d\\d"}').evaluate(memory, 1) != []
    assert parse(r"a{code=~`\d`}").evaluate(memory, 1) == [], "a pattern matches the whole value"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-2^2", -4.0),
        ("2^3^2", 512.0),
        ("-2 * -3", 6.0),
        ("1 + 2 * 3 % 4", 3.0),
        ("- - 1", 1.0),
        ("1h30m", 5400.0),
        ("0x1F", 31.0),
        ("1 > bool 2", 0.0),
    ],
)
def test_operators_bind_as_in_prometheus(text: str, value: float) -> None:
    assert parse(text).evaluate(EMPTY, 0) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1", Kind.SCALAR),
        ("a", Kind.VECTOR),
        ("a[5m]", Kind.RANGE),
        ('"x"', Kind.TEXT),
        ("time() + 1", Kind.SCALAR),
        ("1 + a", Kind.VECTOR),
        ("-scalar(a)", Kind.SCALAR),
    ],
)
def test_the_kind_of_the_result_is_known_before(text: str, kind: Kind) -> None:
    assert parse(text).kind is kind


def test_an_expression_says_which_series_it_needs_and_how_far_back() -> None:
    needs = parse('rate(a_total{b="c"}[10m] offset 1h) / on (x) sum(d) > 0.5 and absent(e offset -5m)').needs
    assert needs.metrics == {"a_total", "d", "e"}
    assert needs.span == 70 * 60 * 1000
    assert parse("1 + 1").needs.selectors == frozenset()
    assert parse('{job="x"}').needs.metrics == parse('{__name__=~"a.*"}').needs.metrics == frozenset()
    both = add_needs([parse("a").needs, parse("max_over_time(b[1h])").needs])
    assert (both.metrics, both.span) == ({"a", "b"}, 3_600_000)


def test_a_range_vector_has_no_value() -> None:
    with pytest.raises(PromqlError, match="put it into a function"):
        parse("a[5m]").evaluate(EMPTY, 0)


def test_a_pattern_of_a_user_takes_time_that_grows_with_the_text_alone() -> None:
    memory = Memory()
    memory.append("a", (("b", "a" * 50_000 + "!"),), 0, 1.0)
    assert parse('a{b=~"(a+)+$"}').evaluate(memory, 1) == []
    assert parse('label_replace(a, "c", "$1", "b", "(a|aa)+")').evaluate(memory, 1) != []
