from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest

pytest.importorskip("jinja2", exc_type=ImportError)

from tests.support.each import each
from unified_llm._backends.mlx.bounded_template import (
    MAX_SOURCE,
    BoundedTemplate,
    TemplateBoundsError,
    TemplateFailedError,
    TemplateRefusedError,
)

MESSAGES = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi <b>"}]


def render(source: str, **variables: Any) -> str:
    return BoundedTemplate(source).render({"messages": MESSAGES, **variables})


@each(
    ("source", "text"),
    [
        ("{% for m in messages %}{{ m.role }}:{{ m['content'] }}\n{% endfor %}", "user:Hello\nassistant:Hi <b>\n"),
        ("  {% if true %}\nx\n  {% endif %}\ny", "x\ny"),
        (
            "{{ messages | tojson }}",
            '[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi <b>"}]',
        ),
        ("{{ {'b': 'é', 'a': 1} | tojson(sort_keys=true, separators=(',', ':')) }}", '{"a":1,"b":"é"}'),
        ("{{ {'a': [1]} | tojson(indent=2) }}", '{\n  "a": [\n    1\n  ]\n}'),
        ("{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% endfor %}", "assistant"),
        ("{% for m in messages %}{{ m.role }}{% break %}{% endfor %}", "user"),
        ("a{% generation %}{{ messages[1].content }}{% endgeneration %}b", "aHi <b>b"),
        ("{{ strftime_now('%%') }}", "%"),
        ("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "2"),
        ("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(1) ~ f('a') ~ missing }}", "<1><a>"),
        ("{{ messages[::-1] | map(attribute='role') | join(', ') }}", "assistant, user"),
        ("{{ 'a,b'.split(',')[-1].strip() + ('-' * 3) + '%s' % 1 + '{}'.format(2) }}", "b---12"),
        ("{{ messages[0] == messages[0] and messages[0] != messages[1] }}", "True"),
        ("{% if messages[0].tool_calls is defined and 'x' in tools %}a{% else %}b{% endif %}", "b"),
        (
            "{{ dict(a=1).items() | list }} {{ range(3) | list }} {{ 7 // 2 }} {{ 2 ** 10 }}",
            "[('a', 1)] [0, 1, 2] 3 1024",
        ),
        ("{% for key, value in messages[0] | items %}{{ key }}={{ value }};{% endfor %}", "role=user;content=Hello;"),
        ("{% set x %}{{ messages[0].role }}!{% endset %}{{ x | upper | trim }}", "USER!"),
        ("{% for m in messages if m.role == 'user' recursive %}{{ m.content }}{% endfor %}", "Hello"),
    ],
)
def test_chat_templates_render_as_they_do_in_transformers(source: str, text: str) -> None:
    assert render(source) == text


GROWING = "{{% set ns = namespace(x={start}) %}}{{% for a in range(60) %}}{{% set ns.x = {step} %}}{{% endfor %}}{end}"


@each(
    "source",
    [
        GROWING.format(start="'a'", step="ns.x + ns.x", end=""),
        GROWING.format(start="'a'", step="ns.x ~ ns.x", end=""),
        GROWING.format(start="'a'", step="[ns.x, ns.x] | join", end=""),
        GROWING.format(start="'a'", step="'%s%s' % (ns.x, ns.x)", end=""),
        GROWING.format(start="'a'", step="'{0}{0}'.format(ns.x)", end=""),
        GROWING.format(start="2", step="ns.x * ns.x", end=""),
        GROWING.format(start="[1]", step="[ns.x, ns.x]", end="{{ ns.x }}"),
        GROWING.format(start="[1]", step="[ns.x, ns.x]", end="{{ ns.x | tojson }}"),
        GROWING.format(start="[1]", step="[ns.x, ns.x]", end="{{ ns.x ~ '' }}"),
        GROWING.format(start="[1]", step="[ns.x, ns.x]", end="{{ ns.x == [ns.x] }}"),
        "{% filter replace('a', 'aaaaaaaaaa') %}" * 20 + "a" + "{% endfilter %}" * 20,
        "{% for a in range(100000) %}" + "x" * 10_000 + "{% endfor %}",
        "{% macro f() %}{% for a in range(100000) %}" + "x" * 10_000 + "{% endfor %}{% endmacro %}{{ f() }}",
        "{{ 'a' * 10**9 }}{{ 10**9 * 'a' }}",
        "{{ [1] * 10**9 }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '{:{}}'.format(1, '999999999') }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
        "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}",
        "{{ ('b' * 1000000).join('a' * 1000000) }}",
        "{{ range(100000) | join('b' * 1000000) }}",
        "{{ ('a\n' * 1000000) | indent(1000000) }}",
        "{{ [1] | batch(1000000000, 'x') | list }}",
        "{{ [[1]] | sum(start=[]) }}",
        "{{ [1] | tojson(indent=1000000) }}",
        "{{ range(1000000000) }}",
        "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
        "x" * (MAX_SOURCE + 1),
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__class__.__base__.__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ 'a'.translate({97: 'b' * 1000000}) }}",
    ],
)
def test_a_template_that_builds_too_much_or_leaves_the_sandbox_is_stopped(source: str) -> None:
    with pytest.raises(TemplateBoundsError):
        BoundedTemplate(source, characters=1_000_000).render({"messages": MESSAGES})


@each(
    "source",
    [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(100) }}",
        "{{ range(100000) | select('in', range(100000) | list) | list }}",
        "{{ range(100000) | map('upper') | list }}",
    ],
)
def test_a_template_that_takes_too_long_is_stopped_between_two_steps(source: str) -> None:
    ticks: Iterator[int] = count()
    template = BoundedTemplate(source, seconds=100, clock=lambda: next(ticks))
    began = next(ticks)
    with pytest.raises(TemplateBoundsError, match="takes too long"):
        template.render({})
    assert next(ticks) < began + 110, "it ended soon after its time"


@each(
    ("source", "seconds", "error"),
    [
        ("{% if a %}" + "{% elif b %}" * 200 + "{% endif %}", 100, TemplateBoundsError),
        ("{{ a }}" * 200, 100, TemplateBoundsError),
        (" " * 100_001, 10**9, TemplateBoundsError),
        ("{% for a in b %}" * 25 + "{% endfor %}" * 25, 10**9, TemplateFailedError),
        ("{{ " + "9" * 5_000 + " }}", 10**9, TemplateFailedError),
        ("{% break %}", 10**9, TemplateFailedError),
        ("{{ f(a=1, a=2) }}", 10**9, TemplateFailedError),
    ],
)
def test_a_template_that_cannot_be_compiled_in_time_or_by_python_is_refused(
    source: str, seconds: int, error: type[Exception]
) -> None:
    ticks = count()
    with pytest.raises(error):
        BoundedTemplate(source, seconds=seconds, clock=lambda: next(ticks))


def test_a_template_that_is_too_deep_for_python_gets_an_error_of_ours() -> None:
    with suppress(TemplateBoundsError):  # newer versions of Python compile it
        BoundedTemplate("{% if a %}" + "{% elif b %}" * 8_000 + "{% endif %}", seconds=10**9, clock=lambda: 0.0)


def test_each_rendering_has_its_own_time_and_size() -> None:
    ticks = count()
    template = BoundedTemplate(
        "{% for m in messages %}{{ m }}{% endfor %}", seconds=12, characters=100, clock=lambda: next(ticks)
    )
    for _ in range(5):
        assert template.render({"messages": ["x" * 15] * 5}) == "x" * 75
    with pytest.raises(TemplateBoundsError, match="too much"):
        template.render({"messages": ["x" * 30] * 5})


@each(
    ("source", "words"),
    [
        ("{{ raise_exception('System role not supported') }}", "System role not supported"),
        ("{{ raise_exception('Unexpected: ' + messages[0].content) }}", None),
        ("{{ raise_exception(messages[0].content) }}", None),
    ],
)
def test_what_a_template_says_is_kept_unless_it_may_quote_a_message(source: str, words: str | None) -> None:
    with pytest.raises(TemplateRefusedError) as refused:
        render(source)
    assert refused.value.words == words
    assert "Hello" not in repr(refused.value)
    assert refused.value.__context__ is None


@each("source", ["{% if %}", "{% include 'x' %}", "{{ 1 | urlize }}", "{% for %}", "{{ messages.a.b }}"])
def test_other_mistakes_are_told_by_their_type_alone(source: str) -> None:
    with pytest.raises(TemplateFailedError, match=r"\A\w+Error\Z"):
        render(source)
