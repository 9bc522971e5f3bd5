from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2", exc_type=ImportError)

from tests.support.each import each
from unified_llm._backends.mlx.chat_template import ChatTemplate
from unified_llm._backends.mlx.engine_types import EngineError, Prompt

USER = {"role": "user", "content": "My secret is 12."}
SYSTEM = {"role": "system", "content": "Be brief."}
TOOL = {"type": "function", "function": {"name": "now", "parameters": {}}}


class Tokenizer:
    """One token for each character."""

    def __init__(self, template: str | dict[str, str] | None, *, has_thinking: bool = False) -> None:
        self.chat_template, self.has_thinking = template, has_thinking
        self.special_tokens_map = {"bos_token": "<s>"}
        self.calls: list[dict[str, Any]] = []

    def apply_chat_template(self, messages: Any, /, **options: Any) -> Sequence[int]:
        self.calls.append({"messages": messages, **options})
        return [1, 2]

    def encode(self, text: str, /, *, add_special_tokens: bool) -> Sequence[int]:
        assert not add_special_tokens, "the template has written them"
        return [ord(character) for character in text]


def render(template: Any, *messages: dict[str, Any], has_thinking: bool = False, **fields: Any) -> str:
    tokenizer = Tokenizer(template, has_thinking=has_thinking)
    ids = ChatTemplate(tokenizer, Path("model")).tokenize(Prompt(messages or (USER,), **fields))
    return "".join(map(chr, ids))


LISTED = "{% for m in messages %}{{ m.role[0] }}:{{ m.content }};{% endfor %}"


@each(
    ("template", "fields", "text"),
    [
        ("{{ bos_token }}{{ add_generation_prompt }}{{ tools }}{{ documents }}", {}, "<s>TrueNoneNone"),
        ("{{ tools[0].function.name }}", {"tools": (TOOL,)}, "now"),
        ("{{ enable_thinking }}", {}, "False"),
        ("{{ enable_thinking }}", {"has_thinking": True}, "True"),
        ("{{ enable_thinking }}", {"has_thinking": True, "template_options": {"enable_thinking": False}}, "False"),
        ("{{ documents[0].text }}", {"template_options": {"documents": [{"text": "a"}]}}, "a"),
        ({"default": "plain", "tool_use": "with tools"}, {}, "plain"),
        ({"default": "plain", "tool_use": "with tools"}, {"tools": (TOOL,)}, "with tools"),
        ({"rag": "rag"}, {"tools": (TOOL,)}, "rag"),
    ],
)
def test_a_template_has_the_variables_that_it_has_in_transformers(
    template: Any, fields: dict[str, Any], text: str
) -> None:
    assert render(template, **fields) == text


def test_the_system_message_is_put_into_the_first_of_the_user_where_a_template_refuses_it() -> None:
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('No system') }}{% endif %}" + LISTED
    assert render(strict, SYSTEM, USER) == "u:Be brief.\n\nMy secret is 12.;"
    assert render(LISTED, SYSTEM, USER) == "s:Be brief.;u:My secret is 12.;"


def test_a_template_that_reads_parts_alone_gets_parts() -> None:
    in_parts = "{% for m in messages %}{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}"
    assert render(in_parts + "{% endfor %}{% endfor %}") == "My secret is 12."
    indexed = "{{ messages[0]['content'][0]['text'] }}"
    assert render(indexed) == "My secret is 12."
    assert render("no message at all") == "no message at all"


@each(
    ("template", "kind", "words"),
    [
        ("{{ raise_exception('Roles must alternate') }}", "unsupported", "Roles must alternate"),
        ("{{ raise_exception(messages[0].content) }}", "unsupported", "other roles"),
        ("{{ messages.a.b }}", "unsupported", "UndefinedError"),
        ("{{ 'a' * 10 ** 9 }}", "unsupported", "builds too much"),
        ("{% if", "unsupported", "TemplateSyntaxError"),
    ],
)
def test_an_error_says_what_the_template_said_and_quotes_no_message(template: str, kind: str, words: str) -> None:
    with pytest.raises(EngineError, match=words) as failed:
        render(template)
    assert failed.value.kind == kind
    assert "secret" not in str(failed.value)


def test_variables_that_are_the_template_s_own_are_not_options() -> None:
    with pytest.raises(EngineError, match="cannot set messages, tools") as failed:
        render(LISTED, template_options={"messages": [], "tools": [], "other": 1})
    assert failed.value.kind == "bad_request"


def test_templates_that_are_python_of_the_libraries_are_called() -> None:
    tokenizer = Tokenizer(None)
    prompt = Prompt((USER,), tools=(TOOL,), template_options={"enable_thinking": False})
    assert ChatTemplate(tokenizer, Path("model")).tokenize(prompt) == [1, 2]
    expected = {"messages": [USER], "tools": [TOOL], "add_generation_prompt": True, "enable_thinking": False}
    assert tokenizer.calls == [expected]
