"""The search for model servers on this machine, over a scripted network."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.each import each
from tests.support.scripted_server import Clock, Connection, Endless, Step, Stream
from unified_llm import health_snapshot, register_provider
from unified_llm._backends.http.deadline_socket_sync import SyncDeadlineSocket
from unified_llm._client.local_servers import LocalServer, find_local_servers
from unified_llm._providers import registry

OLLAMA, LMSTUDIO, VLLM, LLAMACPP, LITELLM = 11434, 1234, 8000, 8080, 4000


def response(body: Any, status: str = "200 OK", *headers: str) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = (f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(text)}", *headers)
    return "\r\n".join((*lines, "", "")).encode() + text


def listed(*names: str, owned_by: str | None = None) -> bytes:
    data = [{"id": name, "object": "model", **({"owned_by": owned_by} if owned_by else {})} for name in names]
    return response({"object": "list", "data": data})


class Ports:
    """A network in which these ports answer; every other one refuses the connection."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.scripts: dict[int, list[Step]] = {}
        self.connections: dict[int, Connection] = {}
        self.hosts: set[str] = set()
        self.clock = Clock()

        def connect_tcp(sock: SyncDeadlineSocket, host: str, port: int, **_: object) -> Any:
            sock.start_connecting(host, port)
            self.hosts.add(host)
            if port not in self.scripts:
                raise sock.connect_error(ConnectionRefusedError("refused"))
            connection = self.connections[port] = Connection(self.clock, self.scripts[port])
            connection.sock = sock
            sock.end_step()
            return Stream(connection)

        patch.setattr(SyncDeadlineSocket, "connect_tcp", connect_tcp)


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Ports:
    return Ports(monkeypatch)


def shown(servers: list[LocalServer]) -> list[tuple[str, str, bool, list[str]]]:
    return [
        (server.provider, server.base_url, server.certain, [info.model_string for info in server.models])
        for server in servers
    ]


def test_servers_are_found_by_their_lists_and_those_that_are_certain_come_first(ports: Ports) -> None:
    ports.scripts = {
        VLLM: [listed("some-model")],
        OLLAMA: [listed("llama3.2:latest", owned_by="library")],
        LMSTUDIO: [listed("qwen/qwen3-4b", owned_by="organization_owner")],
        LLAMACPP: [listed("tiny.gguf", owned_by="llamacpp")],
        LITELLM: [listed("gpt-4o", owned_by="openai")],
    }
    assert shown(find_local_servers()) == [
        ("ollama", "http://127.0.0.1:11434/v1", True, ["ollama/llama3.2:latest"]),
        ("lmstudio", "http://127.0.0.1:1234/v1", True, ["lmstudio/qwen/qwen3-4b"]),
        ("llamacpp", "http://127.0.0.1:8080/v1", True, ["llamacpp/tiny.gguf"]),
        ("vllm", "http://127.0.0.1:8000/v1", False, ["vllm/some-model"]),
        ("litellm", "http://127.0.0.1:4000/v1", False, ["litellm/gpt-4o"]),
    ]


def test_the_name_in_a_list_says_more_than_the_port(ports: Ports) -> None:
    cases = [
        (VLLM, "llamacpp", ("llamacpp", True)),
        (LLAMACPP, "vllm", ("vllm", True)),
        (VLLM, "sglang", ("openai-compatible", True)),
        (OLLAMA, "llamacpp", ("llamacpp", True)),
        (OLLAMA, "somebody", ("ollama", True)),
        (LLAMACPP, "somebody", ("llamacpp", False)),
        (LLAMACPP, None, ("llamacpp", False)),
    ]
    for port, owned_by, expected in cases:
        ports.scripts = {port: [listed("a", owned_by=owned_by)]}
        [server] = find_local_servers()
        assert (server.provider, server.certain) == expected, (port, owned_by)


@each(
    "answer",
    [
        [response(b"<!doctype html><title>My app</title>")],
        [response({"detail": "Not Found"}, "404 Not Found")],
        [response({"object": "list", "data": []}, "307 Temporary Redirect", "location: http://127.0.0.1:1234/v1/models")],
        [response({"error": {"message": "no key"}}, "401 Unauthorized")],
        [response({"object": "list", "data": []}, "500 Internal Server Error")],
        [response([])],
        [response([{"id": "a"}])],
        [response({"models": [{"name": "Model T"}]})],
        [response({"data": [{"id": "a"}]})],
        [response({"object": "list", "data": [{"id": 1}]})],
        [response({"object": "list", "data": {"id": "a"}})],
        [response({"object": "list"})[:-2]],
        [b"SSH-2.0-OpenSSH_9.6\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[", Endless(b" " * 65536)],
        [b""],
        [],
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_no_server(answer: list[Step], monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports(monkeypatch)
    ports.scripts = {VLLM: answer}
    assert find_local_servers(timeout=0.05) == []
    assert list(ports.connections) == [VLLM], "a redirect is not followed"


def test_a_server_without_a_model_is_found(ports: Ports) -> None:
    ports.scripts = {OLLAMA: [response({"object": "list", "data": None})], LMSTUDIO: [listed()]}
    assert [(server.provider, server.models) for server in find_local_servers()] == [("ollama", ()), ("lmstudio", ())]


def test_no_key_is_sent_and_no_health_is_learned(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VLLM_API_KEY", "OLLAMA_API_KEY", "LLAMA_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "sk-CANARY-local")
    ports.scripts = {port: [listed("a")] for port in (OLLAMA, VLLM, LLAMACPP)}
    assert len(find_local_servers()) == 3
    for connection in ports.connections.values():
        assert connection.sent.startswith(b"GET /v1/models HTTP/1.1")
        assert b"authorization" not in connection.sent.lower()
        assert b"CANARY" not in connection.sent
    assert health_snapshot() == []


def test_addresses_in_the_environment_are_asked_where_they_are_on_this_machine(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "0.0.0.0:11500")
    monkeypatch.setenv("VLLM_BASE_URL", "http://10.0.0.5:8000/v1")
    monkeypatch.setenv("LLAMACPP_BASE_URL", "not a url")
    monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", "http://localhost:9000/v1")
    register_provider("mine", base_url="http://127.0.0.1:7000/v1")
    try:
        ports.scripts = {11500: [listed("a")], OLLAMA: [listed("b")], 9000: [listed("c")], 7000: [listed("d")]}
        assert [(server.provider, server.base_url) for server in find_local_servers()] == [
            ("ollama", "http://127.0.0.1:11500/v1"),
            ("ollama", "http://127.0.0.1:11434/v1"),
            ("openai-compatible", "http://localhost:9000/v1"),
            ("mine", "http://127.0.0.1:7000/v1"),
        ]
        assert ports.hosts == {"127.0.0.1", "localhost"}
    finally:
        registry.unregister("mine")
