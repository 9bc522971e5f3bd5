"""JSON that models put into something else (field report local 3)."""

from __future__ import annotations

import json

from unified_llm._structured.extract_json import find_json

CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "country": {"type": "string"}},
    "required": ["name", "country"],
}
PARIS = '{"name": "Paris", "country": "France"}'
FENCE = "`" * 3


def test_local_3_the_object_is_found_in_whatever_it_was_put() -> None:
    for text in (
        f"<think>The schema is {{name, country}}.</think>\n{PARIS}",
        f'<think>Perhaps {{"name": "Lyon"}}?</think>\n{PARIS}',
        f"As in [1]: {PARIS}",
        f"{FENCE}json\n{PARIS}\n{FENCE}\nI left out {{area}}.",
        f"{PARIS}\n{PARIS}",
        f"[{PARIS}]",
        f'{{"City": {PARIS}}}',
        f'{{"City": {{"properties": {PARIS}}}}}',
        f'{{"type": "object", "properties": {PARIS}}}',
        f'{{"name": "City", "arguments": {PARIS}}}',
        json.dumps(PARIS),
        '{"name": "Paris", "country": "France",}',
        f'{{"city": {PARIS[:-1]},\n}},\n}}',
    ):
        assert json.loads(find_json(text, CITY)) == json.loads(PARIS), text


def test_local_3_line_feeds_in_strings_are_read_as_line_feeds() -> None:
    text = f'Here it is:\n{FENCE}json\n{{"name": "Par\nis",\n "country": "France"}}\n{FENCE}'
    assert json.loads(find_json(text, CITY)) == {"name": "Par\nis", "country": "France"}


def test_local_3_a_list_is_the_only_property_of_an_object() -> None:
    cities = {"type": "object", "properties": {"cities": {"type": "array", "items": CITY}}, "required": ["cities"]}
    for text in (f"[{PARIS}]", f"{FENCE}json\n[{PARIS}]\n{FENCE}"):
        assert json.loads(find_json(text, cities)) == {"cities": [json.loads(PARIS)]}
    assert find_json("[1]", cities) == "[1]"


def test_local_3_nothing_is_guessed() -> None:
    for text in (
        f'{{"first": {PARIS}, "second": {PARIS}}}',  # which of them?
        '{"name": "Paris", "text": "France,}"}',
        '{"City": {"name": "Paris"}}',
        '{"a": {"b": {"c": ' + PARIS + "}}}",
    ):
        assert find_json(text, CITY) == text
    listed = {"type": "object", "required": ["text", "list"]}
    assert find_json('{"text": ",}", "list": [1,],}', listed) == '{"text": ",}", "list": [1]}'


def test_a_string_without_an_end_takes_time_in_proportion_to_its_length() -> None:
    text = '{"' + '\\"' * 200_000 + ",}"
    assert find_json(text, CITY) == text
