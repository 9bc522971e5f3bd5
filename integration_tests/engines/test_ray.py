"""Rows through ``Generate`` and ``Embed`` on a local Ray with two processors, against scripted upstreams."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from integration_tests.support.ray_cluster import RayCluster, finish, kill
from integration_tests.support.redis_server import RedisServer
from integration_tests.support.upstream import Upstream
from integration_tests.support.waiting import wait_until

MODEL = "vllm/scripted-large"


def settings_for(upstream: Upstream, **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "base_url": upstream.base_url, "max_tokens": 30, **fields}


def prompts(upstream: Upstream) -> Counter[str]:
    """Count the requests by their prompts."""
    return Counter(request.body["messages"][-1]["content"] for request in upstream.requests)


def stored_prompts(folder: Path) -> set[str]:
    """Return the identifiers of the rows whose responses are in whole lines of the checkpoint."""
    lines = [line for part in folder.glob("part-*") for line in part.read_text().splitlines(keepends=True)]
    items = [json.loads(line) for line in lines if line.endswith("}\n")]
    return {item["key"] for item in items if "key" in item}


def test_each_row_gets_its_response_or_vector_the_target_and_the_tokens(
    cluster: RayCluster, upstream: Upstream
) -> None:
    texts = [{"id": number, "text": f"text {number}"} for number in range(50)]
    embedding = {"model": "vllm/scripted-embedding", "base_url": upstream.base_url}
    done = cluster.run(
        {"settings": settings_for(upstream), "count": 40, "batch_size": 7},
        {"settings": embedding, "rows": texts, "embed": True, "batch_format": "pandas", "actors": 1},
    )
    assert done.status == 0, done.errors
    vectors, done.rows[40:] = done.rows[40:], []
    assert {len(row["embedding"]) for row in vectors} == {16}
    assert len({tuple(row["embedding"]) for row in vectors}) == 50
    assert upstream.count("embeddings") <= 8
    assert {row["id"]: row["response"].startswith(f"You said: row {row['id']}.") for row in done.rows} == dict.fromkeys(
        range(40), True
    )
    assert {row["served_by"] for row in done.rows} == {MODEL}
    assert all(row["error"] is None and row["prompt_tokens"] > 0 < row["completion_tokens"] for row in done.rows)
    assert upstream.count("completions") == 40


def test_a_worker_killed_in_the_middle_loses_nothing_and_asks_nothing_stored_again(
    cluster: RayCluster, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.delay, folder, concurrency = 0.05, tmp_path / "finished", 8
    options = {"checkpoint": str(folder), "concurrency": concurrency}
    job = {"settings": settings_for(upstream), "options": options, "batch_size": 100}
    rows = [{"id": number, "custom_id": f"row {number}", "prompt": f"row {number}"} for number in range(600)]
    with cluster.start({**job, "rows": rows}) as program:
        assert wait_until(lambda: upstream.count() > 150)
        kill(cluster.actors()[0])
        stored = stored_prompts(folder)
        done = finish(program)
    assert done.status == 0, done.errors
    assert len(stored) > 50
    assert sorted(row["id"] for row in done.rows) == list(range(600))
    assert [row for row in done.rows if not row["response"].startswith(f"You said: {row['prompt']}.")] == []
    twice = {prompt for prompt, number in prompts(upstream).items() if number > 1}
    assert len(prompts(upstream)) == 600
    assert len(twice) <= concurrency
    assert twice & stored == set()


def test_a_job_that_was_killed_goes_on_from_the_checkpoint(
    cluster: RayCluster, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.delay, folder = 0.05, tmp_path / "finished"
    options = {"checkpoint": str(folder), "concurrency": 8}
    job = {"settings": settings_for(upstream), "options": options, "count": 300, "batch_size": 50}
    with cluster.start(job) as program:
        assert wait_until(lambda: upstream.count() > 80)
        program.kill()
    assert wait_until(lambda: cluster.actors() == [])
    asked = len(stored_prompts(folder))
    upstream.requests.clear()
    done = cluster.run(job)
    assert done.status == 0, done.errors
    assert len(done.rows) == 300
    assert asked > 50
    assert upstream.count() == 300 - asked
    upstream.requests.clear()
    assert len(cluster.run({**job, "batch_format": "pyarrow"}).rows) == 300
    assert upstream.count() == 0


def test_later_workers_send_nothing_to_a_primary_that_others_found_rate_limited(
    cluster: RayCluster, upstream: Upstream, second: Upstream
) -> None:
    upstream.status, upstream.headers = 429, {"Retry-After": "120"}
    fallback = {"model": "llamacpp/scripted-small", "base_url": second.base_url, "api_key_env": "SECOND_KEY"}
    with RedisServer() as redis:
        options = {"state": redis.url, "concurrency": 4}
        job = {"settings": settings_for(upstream, fallbacks=[fallback]), "options": options, "count": 40, "actors": 1}
        first = cluster.run(job)
        asked = upstream.count()
        later = cluster.run({**job, "actors": 2})
    assert (first.status, later.status) == (0, 0), (first.errors, later.errors)
    assert 0 < asked <= 8
    assert upstream.count() == asked
    assert {row["served_by"] for row in first.rows + later.rows} == {"llamacpp/scripted-small"}
    assert second.count() == 80


def test_one_refused_row_of_10_000_is_an_error_in_its_column(cluster: RayCluster, upstream: Upstream) -> None:
    upstream.refused = "row 7777"
    done = cluster.run({"settings": settings_for(upstream), "count": 10_000, "batch_size": 500})
    assert done.status == 0, done.errors
    wrong = [row for row in done.rows if row["response"] is None]
    assert [row["id"] for row in wrong] == [7777]
    assert wrong[0]["error"].startswith("bad_request: vllm/scripted-large")
    assert "7777" not in wrong[0]["error"]
    assert [row["id"] for row in done.rows if row["error"]] == [7777]
    assert len({row["id"] for row in done.rows if row["response"]}) == 9_999
    assert upstream.count() == 10_000


def test_the_job_ends_when_more_rows_failed_than_may(cluster: RayCluster, upstream: Upstream) -> None:
    upstream.refused = "row"
    options = {"max_failed": 5, "concurrency": 2}
    done = cluster.run({"settings": settings_for(upstream), "options": options, "count": 400, "batch_size": 100})
    assert done.status == 1
    # A block that was begun meanwhile fails as well, with one more.
    assert re.search(r"[67] rows have failed, and max_failed=5, so the job ends", done.errors)
    assert upstream.count() < 100


def test_a_worker_names_the_variable_that_it_lacks(cluster: RayCluster, upstream: Upstream) -> None:
    done = cluster.run({"settings": settings_for(upstream, api_key_env="KEY_OF_NOBODY"), "count": 4, "actors": 1})
    assert done.status == 1
    assert "KEY_OF_NOBODY" in done.errors
    assert upstream.count() == 0


def test_messages_schemas_and_tools_work_in_every_format_of_a_batch(
    cluster: RayCluster, upstream: Upstream, tmp_path: Path
) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    long = [
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "3"},
    ]
    rows = [
        {
            "id": number,
            "messages": [{"role": "system", "content": "Short."}, {"role": "user", "content": f"row {number}"}],
        }
        for number in range(3)
    ]
    rows.append({"id": 3, "messages": long})
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    shape = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    job = {"rows": rows, "options": {"column": "messages", "output": "answer"}, "blocks": 2, "actors": 1}
    job |= {"settings": settings_for(upstream, response_format=shape)}
    done = cluster.run(*({**job, "batch_format": name} for name in ("numpy", "pandas", "pyarrow")))
    assert done.status == 0, done.errors
    assert [row["error"] for row in done.rows] == [None] * 12
    assert all(isinstance(json.loads(row["answer"])["name"], str) for row in done.rows)
    import pyarrow.parquet

    tool = {"type": "function", "function": {"name": "look_up", "parameters": schema}}
    folder = tmp_path / "rows"
    job |= {"settings": settings_for(upstream, tools=[tool], tool_choice="required"), "folder": str(folder)}
    upstream.refused = "row 0"  # in one of the blocks every row has an error, in the other none
    done = cluster.run({**job, "instance": True, "rows": rows[:2]})
    assert done.status == 0, done.errors
    files = [pyarrow.parquet.read_table(file) for file in sorted(folder.glob("*.parquet"))]
    assert len({table.schema for table in files}) == 1
    table = {row["id"]: row for file in files for row in file.to_pylist()}
    assert json.loads(table[1]["tool_calls"])[0]["function"]["name"] == "look_up"
    assert table[0]["tool_calls"] is None
    assert table[0]["messages"][1]["content"] == "row 0"


def test_the_command_has_its_lines_sent_by_workers_and_loses_nothing_with_one_of_them(
    cluster: RayCluster, upstream: Upstream, tmp_path: Path
) -> None:
    upstream.delay, upstream.refused = 0.05, "row 77"
    ids = [f"row-{number}" for number in range(400)]
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    with source.open("w") as lines:
        for number, custom_id in enumerate(ids):
            body = {"messages": [{"role": "user", "content": f"row {number}"}]}
            line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
            lines.write(json.dumps(line) + "\n")
    targets = ["--model", MODEL, "--base-url", upstream.base_url, "--concurrency", "8"]
    command = ["batch", str(source), str(output), *targets, "--engine", "ray", "--address", cluster.address]
    with cluster.start_command(command) as program:
        assert wait_until(lambda: upstream.count() > 120)
        kill(cluster.actors("LineWorker")[0])
        done = finish(program)
    assert done.status == 1  # one line failed
    assert "400 prompts in" in done.errors
    answered = [json.loads(line)["custom_id"] for line in output.read_text().splitlines()]
    assert answered == [custom_id for custom_id in ids if custom_id != "row-77"]
    failed = [json.loads(line) for line in (tmp_path / "out.failed.jsonl").read_text().splitlines()]
    assert [(line["custom_id"], line["error"]["code"]) for line in failed] == [("row-77", "bad_request")]
    assert 400 <= upstream.count() <= 400 + 2 * 8  # what it had in flight, and what it had not delivered yet
