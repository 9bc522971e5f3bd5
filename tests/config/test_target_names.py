"""Names of targets: two of one chain are told apart by host, path or number, or by the user's own names."""

from __future__ import annotations

from typing import Any

from tests.support.each import each
from tests.support.four_ways import GPT, HAIKU, WAYS, Way, outcome_of
from tests.support.scripted_targets import ScriptedTargets, say
from unified_llm import LLMClient, health_snapshot
from unified_llm._core.outcome import Failure
from unified_llm.exceptions import AllTargetsFailedError
from unified_llm.testing import outage

KEY, OTHER_KEY = "sk-0123456789", "sk-9876543210"
EAST, WEST = "https://east.example/v1", "https://west.example/v1"
PORT_1, PORT_2 = "http://127.0.0.1:8001", "http://127.0.0.1:8002"


@each(
    ("first", "fallbacks", "names"),
    [
        ({}, [HAIKU], [GPT, HAIKU]),
        ({"base_url": EAST}, [{"base_url": WEST}], [f"{GPT}@east.example", f"{GPT}@west.example"]),
        ({"base_url": PORT_1}, [{"base_url": PORT_2}], [f"{GPT}@127.0.0.1:8001", f"{GPT}@127.0.0.1:8002"]),
        (
            {"base_url": "https://gw.example/a"},
            [{"base_url": "https://gw.example/b"}, {"base_url": EAST}],
            [f"{GPT}@gw.example/a/v1", f"{GPT}@gw.example/b/v1", f"{GPT}@east.example"],
        ),
        ({}, [{"api_key": OTHER_KEY}], [GPT, f"{GPT}#2"]),
        ({}, [{"api_key": OTHER_KEY}, HAIKU, {"api_key": KEY}], [GPT, f"{GPT}#2", HAIKU, GPT]),
        (
            {"base_url": EAST},
            [{"api_key": OTHER_KEY}, {"base_url": WEST}],
            [f"{GPT}@east.example", f"{GPT}@east.example#2", f"{GPT}@west.example"],
        ),
        ({"base_url": EAST, "name": "east"}, [{"base_url": WEST, "name": "west"}], ["east", "west"]),
        ({"base_url": EAST, "name": "east"}, [{"base_url": WEST}], ["east", GPT]),
        (
            {"base_url": EAST, "name": "prod"},
            [{"base_url": WEST, "name": "prod"}],
            ["prod@east.example", "prod@west.example"],
        ),
        ({"name": "prod"}, [{"api_key": OTHER_KEY, "name": "prod"}], ["prod", "prod#2"]),
    ],
)  # fmt: skip
def test_targets_of_one_name_are_told_apart(first: dict[str, Any], fallbacks: list[Any], names: list[str]) -> None:
    client = LLMClient(GPT, api_key=KEY, fallbacks=fallbacks, **first)
    assert [target.name for target in client.targets] == names
    assert [row["target"] for row in client.health()] == list(dict.fromkeys(names))


@each("way", WAYS)
def test_the_names_are_in_attempts_metadata_and_errors(way: Way) -> None:
    dead, alive = Failure("server", 503), say("Hello")
    with ScriptedTargets({EAST: [dead, dead, alive], WEST: [alive, dead]}).running():
        client = LLMClient(GPT, api_key=KEY, base_url=EAST, max_retries=0, fallbacks=[{"base_url": WEST}])
        served = outcome_of(way, client)
        failed = outcome_of(way, client)
    east, west = f"{GPT}@east.example", f"{GPT}@west.example"
    assert [(attempt[0], attempt[1]) for attempt in served.attempts] == [(east, "server"), (west, "ok")]
    assert failed.error is AllTargetsFailedError
    assert east in failed.message
    assert west in failed.message


def test_two_keys_of_one_target_have_cooldowns_of_their_own_and_share_the_rest() -> None:
    refused = Failure("auth", 401)
    with ScriptedTargets({GPT: [refused, say("Hello")]}).running():
        client = LLMClient(GPT, api_key=KEY, fallbacks=[{"api_key": OTHER_KEY}])
        response = client.generate("Hello?")
        assert [(attempt.target, attempt.outcome) for attempt in response.attempts] == [
            (GPT, "auth"),
            (f"{GPT}#2", "ok"),
        ]
        first, second = client.health()
        (row,) = health_snapshot()
    assert (first["reason"], second["reason"]) == ("its API key was refused (auth)", "")
    assert first["calls"] == second["calls"] == row["calls"] == 2
    assert (row["reason"], [cooldown["scope"] for cooldown in row["cooldowns"]]) == ("", ["api_key"])


def test_a_model_that_a_call_names_is_told_apart_as_well() -> None:
    client = LLMClient(GPT, api_key=KEY, base_url=EAST, max_retries=0, fallbacks=["openai/gpt-4o-mini"])
    with ScriptedTargets({EAST: [Failure("server", 503)], "openai/gpt-4o-mini": [say("Hello")]}).running():
        response = client.generate("Hello?", model="gpt-4o-mini")
    assert [attempt.target for attempt in response.attempts] == [
        "openai/gpt-4o-mini@east.example",
        "openai/gpt-4o-mini@api.openai.com",
    ]


@each(
    ("pattern", "failing"),
    [
        (GPT, ["prod@east.example", "prod@west.example"]),
        ("openai", ["prod@east.example", "prod@west.example"]),
        ("prod", ["prod@east.example", "prod@west.example"]),
        ("prod@east.example", ["prod@east.example"]),
        ("west.example", ["prod@west.example"]),
        ("https://west.example", ["prod@west.example"]),
    ],
)
def test_outage_takes_the_model_string_the_name_and_the_host(pattern: str, failing: list[str]) -> None:
    client = LLMClient(
        GPT, api_key=KEY, base_url=WEST if pattern.endswith("west.example") else EAST, name="prod", max_retries=0,
        fallbacks=[{"base_url": EAST if pattern.endswith("west.example") else WEST, "name": "prod"}, HAIKU],
    )  # fmt: skip
    with outage(pattern, "503", reply="Hello") as seen:
        client.generate("Hello?")
    assert sorted({attempt.target for attempt in seen.attempts if attempt.outcome == "server"}) == failing
