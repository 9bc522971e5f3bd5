"""The batch services of OpenAI, Anthropic, Gemini and Mistral: strict, in the time of a clock that a test gives them.

Written from the SDKs of OpenAI (3.51.0), Anthropic and Google (3.3), and from github.com/mistralai/client-python; not
tried against the services. With ``strict``, requests and responses are checked by the types of the SDKs as well, which
takes seconds to import; Mistral's is not installed here, so that its fields are listed.

    begin ──> running ──(duration)──────────────────────────> ended: every entry has a result
                 │
                 └─ cancel ──> cancelling ──(cancel_duration)──> ended: the first entries have one
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email import message_from_bytes
from typing import Any, ClassVar, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

JSON: TypeAlias = dict[str, Any]
Answer: TypeAlias = tuple[int, JSON] | Literal["expired", "missing"]
"""Status and body of an entry, or why it has none."""
KEY = "sk-CANARY-of-batch-services"
ENTRY_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class BrokenConnectionError(Exception):
    """The request was received, and no response is sent."""


class RefusedError(Exception):
    """A request that the provider would refuse."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class Received:
    """A request; its path is that below the version."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Job:
    """One batch."""

    id: str
    entries: list[tuple[str, JSON]]
    created: float
    label: str | None = None
    file: str | None = None
    endpoint: str = ""
    model: str = ""
    cancelled_at: float | None = None
    error: tuple[str, str] | None = None
    results: list[tuple[str, Answer]] | None = None
    sources: JSON = field(default_factory=dict)


@dataclass
class BatchFake:
    """A provider.

    Attributes:
        now: Seconds since the epoch.
        duration: Seconds that a batch takes.
        cancel_duration: Seconds that its cancellation takes.
        done_at_cancel: The part of the entries that is done when a batch is cancelled.
        answer: Answers an entry, by its body.
        faults: What becomes of the next requests of an operation: a status, or "lost", where the request is carried out
            and no response comes; None for nothing.
        fail: The error of the next batches, as a whole: code and message.
        log: The operations of all requests.
        strict: Check by the types of the SDK.
    """

    now: Callable[[], float]
    duration: float = 600.0
    cancel_duration: float = 30.0
    done_at_cancel: float = 0.5
    answer: Callable[[JSON], Answer] = lambda body: (200, body)
    faults: dict[str, list[int | str | None]] = field(default_factory=dict)
    fail: list[tuple[str, str]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    strict: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    HEADER: ClassVar[str] = "authorization"
    VERSION: ClassVar[str] = "/v1"
    RESULTS: ClassVar[str] = "application/octet-stream"

    def serve(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Answer a request: status, headers and body.

        Raises:
            BrokenConnectionError: By a fault.
        """
        parts = urlsplit(url)
        path = unquote(parts.path).removeprefix(self.VERSION)
        operation = operation_of(method, path)
        self.log.append(operation)
        fault = self.faults[operation].pop(0) if self.faults.get(operation) else None
        try:
            self._check(fault, headers)
            for job in self.jobs.values():
                self._advance(job)
            reply = self.reply(Received(method, path, dict(parse_qsl(parts.query)), headers, body))
        except RefusedError as refused:
            return refused.status, {}, json.dumps(self.error_body(refused)).encode()
        if fault == "lost":
            raise BrokenConnectionError
        data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        kind = self.RESULTS if isinstance(reply, bytes) else "application/json"
        return 200, {"content-type": kind}, data

    def _check(self, fault: int | str | None, headers: Mapping[str, str]) -> None:
        if isinstance(fault, int):
            raise RefusedError(fault, "a fault")
        if KEY not in headers.get(self.HEADER, ""):
            raise RefusedError(401, "The key is wrong.")

    def reply(self, received: Received) -> JSON | bytes:
        """Return the body of a response."""
        raise NotImplementedError

    def error_body(self, refused: RefusedError) -> JSON:
        """Return the body of an error."""
        return {"error": {"message": refused.message, "type": "error", "code": refused.code}}

    # State

    def begin(self, entries: list[tuple[str, JSON]], **fields: Any) -> Job:
        """Begin a batch."""
        identifiers = [identifier for identifier, _ in entries]
        if not entries or len(set(identifiers)) < len(identifiers):
            raise RefusedError(400, "A batch has entries with distinct identifiers.")
        if any(not ENTRY_ID.fullmatch(identifier) for identifier in identifiers):
            raise RefusedError(400, "custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'")
        job = Job(self.new_id(), entries, self.now(), **fields)
        if self.fail:
            job.error = self.fail.pop(0)
        self.jobs[job.id] = job
        return job

    def new_id(self) -> str:
        return f"batch_{len(self.jobs) + 1}"

    def job(self, identifier: str) -> Job:
        if identifier not in self.jobs:
            raise RefusedError(404, "No such batch.")
        return self.jobs[identifier]

    def state(self, job: Job) -> Literal["running", "cancelling", "cancelled", "completed", "failed"]:
        """Return the state of a batch."""
        if job.error:
            return "failed"
        if job.cancelled_at is not None:
            return "cancelled" if self.now() >= job.cancelled_at + self.cancel_duration else "cancelling"
        return "completed" if self.now() >= job.created + self.duration else "running"

    def _advance(self, job: Job) -> None:
        state = self.state(job)
        if job.results is not None or state not in {"cancelled", "completed"}:
            return
        done = len(job.entries) if state == "completed" else int(len(job.entries) * self.done_at_cancel)
        results = [(identifier, self.answer(body)) for identifier, body in job.entries[:done]]
        job.results = [pair for pair in reversed(results) if pair[1] != "missing"]  # in any order
        self.on_end(job, [identifier for identifier, _ in job.entries[done:]])

    def on_end(self, job: Job, not_done: list[str]) -> None:
        """Make what holds the results."""

    def cancel(self, job: Job) -> None:
        if self.state(job) != "running":
            raise RefusedError(409, "It cannot be cancelled any more.")
        job.cancelled_at = self.now()

    def counts(self, job: Job) -> tuple[int, int, int]:
        """Return how many entries there are, how many were answered, how many refused."""
        answers = [answer for _, answer in job.results or () if isinstance(answer, tuple)]
        fine = sum(status == 200 for status, _ in answers)
        return len(job.entries), fine, len(answers) - fine


class OpenAIBatches(BatchFake):
    """OpenAI's API: a file of entries, a file of results, a file of errors."""

    FIELDS: ClassVar[frozenset[str]] = frozenset({"custom_id", "method", "url", "body"})

    def reply(self, received: Received) -> JSON | bytes:
        match received.method, received.path.strip("/").split("/"):
            case "POST", ["files"]:
                return self.upload(received)
            case "GET", ["files", identifier, "content"]:
                if identifier not in self.files:
                    raise RefusedError(404, "No such file.")
                return self.files[identifier]
            case "POST", ["batches"]:
                return self.show(self.create(json.loads(received.body)))
            case "GET", ["batches"]:
                return self.page(received.query)
            case "GET", ["batches", identifier]:
                return self.show(self.job(identifier))
            case "POST", ["batches", identifier, "cancel"]:
                self.cancel(self.job(identifier))
                return self.show(self.job(identifier))
            case _:
                raise RefusedError(404, "No such path.")

    def upload(self, received: Received) -> JSON:
        kind = received.headers["content-type"].encode()
        form = message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + received.body)
        parts = {part.get_param("name", header="content-disposition"): part for part in form.walk()}
        purpose, name = parts["purpose"].get_payload(decode=True), parts["file"].get_filename()
        if purpose != b"batch" or not str(name).endswith(".jsonl"):
            raise RefusedError(400, "A file of a batch has the purpose batch, and its name ends in .jsonl.")
        identifier, data = f"file-{len(self.files) + 1}", parts["file"].get_payload(decode=True)
        assert isinstance(data, bytes)
        self.files[identifier] = data
        return {
            "id": identifier, "object": "file", "bytes": len(data), "created_at": int(self.now()), "filename": name,
            "purpose": "batch", "status": "processed",
        }  # fmt: skip

    def entries(self, file: str, endpoint: str) -> list[tuple[str, JSON]]:
        if file not in self.files:
            raise RefusedError(400, "No such file.")
        lines = [json.loads(line) for line in self.files[file].splitlines()]
        for line in lines:
            if line.keys() != self.FIELDS or line.get("url", endpoint) != endpoint or line["body"].get("stream"):
                raise RefusedError(400, f"A line has {sorted(self.FIELDS)}, and no stream.")
            if "url" in line:
                self.check_entry(endpoint, line["body"])
        if len({line["body"].get("model") for line in lines}) > 1:
            raise RefusedError(400, "A batch is for one model.", "mismatched_model")
        return [(line["custom_id"], line["body"]) for line in lines]

    def check_entry(self, endpoint: str, body: JSON) -> None:
        if not self.strict:
            return
        from integration_tests.fakes.openai_api.sdk_types import check_request

        kinds = {
            "/v1/chat/completions": "chat.completion_create_params:CompletionCreateParamsNonStreaming",
            "/v1/responses": "responses.response_create_params:ResponseCreateParamsNonStreaming",
            "/v1/completions": "completion_create_params:CompletionCreateParamsNonStreaming",
            "/v1/embeddings": "embedding_create_params:EmbeddingCreateParams",
        }
        check_request(kinds[endpoint], body)

    def create(self, body: JSON) -> Job:
        if self.strict:
            from integration_tests.fakes.openai_api.sdk_types import check_request

            check_request("batch_create_params:BatchCreateParams", body)
        entries = self.entries(body["input_file_id"], body["endpoint"])
        label = body["metadata"]["unified_llm"]
        return self.begin(entries, label=label, file=body["input_file_id"], endpoint=body["endpoint"])

    def on_end(self, job: Job, not_done: list[str]) -> None:
        good, bad = list[JSON](), list[JSON]()
        for identifier, answer in job.results or ():
            line: JSON = {"id": f"batch_req_{identifier}", "custom_id": identifier, "response": None, "error": None}
            if isinstance(answer, str):
                line["error"] = {"code": "batch_expired", "message": "It was not done in time."}
                bad.append(line)
                continue
            line["response"] = {"status_code": answer[0], "request_id": "req_1", "body": answer[1]}
            (good if answer[0] == 200 else bad).append(line)
        for name, lines in (("output", good), ("error", bad)):
            if lines:
                identifier = f"file-{name}-{job.id}"
                self.files[identifier] = "".join(json.dumps(line) + "\n" for line in lines).encode()
                job.sources[name] = identifier

    def page(self, query: Mapping[str, str]) -> JSON:
        newest = [*reversed(self.jobs.values())]
        if after := query.get("after"):
            newest = newest[[job.id for job in newest].index(after) + 1 :]
        size = int(query.get("limit", "20"))
        shown = [self.show(job) for job in newest[:size]]
        return {"object": "list", "data": shown, "has_more": len(newest) > size}

    def show(self, job: Job) -> JSON:
        state = {"running": "in_progress"}.get(self.state(job), self.state(job))
        total, completed, failed = self.counts(job)
        errors = {"object": "list", "data": [{"code": job.error[0], "message": job.error[1]}]} if job.error else None
        shown = {
            "id": job.id, "object": "batch", "endpoint": job.endpoint, "errors": errors, "input_file_id": job.file,
            "completion_window": "24h", "status": state, "output_file_id": job.sources.get("output"),
            "error_file_id": job.sources.get("error"), "created_at": int(job.created),
            "metadata": {"unified_llm": job.label},
            "request_counts": {"total": total, "completed": completed, "failed": failed},
        }  # fmt: skip
        if self.strict:
            from openai.types import Batch

            from integration_tests.fakes.openai_api.sdk_types import check_response

            check_response(Batch, shown)
        return shown


class MistralBatches(OpenAIBatches):
    """Mistral's API: jobs of one model, which the job names."""

    FIELDS = frozenset({"custom_id", "body"})
    STATES: ClassVar[Mapping[str, str]] = {
        "running": "RUNNING", "cancelling": "CANCELLATION_REQUESTED", "cancelled": "CANCELLED",
        "completed": "SUCCESS", "failed": "FAILED",
    }  # fmt: skip

    def new_id(self) -> str:
        return f"job_{len(self.jobs) + 1}"

    def reply(self, received: Received) -> JSON | bytes:
        if received.path.startswith("/batches"):
            raise RefusedError(404, "No such path.")
        return super().reply(replace(received, path=received.path.replace("/batch/jobs", "/batches")))

    def create(self, body: JSON) -> Job:
        if not body.keys() <= {"endpoint", "input_files", "requests", "model", "metadata", "timeout_hours"}:
            raise RefusedError(422, "A field is unknown.")
        if body["endpoint"] not in {"/v1/chat/completions", "/v1/embeddings"} or not isinstance(body["model"], str):
            raise RefusedError(422, "The endpoint or the model is missing.")
        (file,) = body["input_files"]
        entries = self.entries(file, body["endpoint"])
        return self.begin(entries, label=body["metadata"]["unified_llm"], file=file, model=body["model"])

    def page(self, query: Mapping[str, str]) -> JSON:
        if not query.keys() <= {"page", "page_size", "order_by", "model", "metadata", "status"}:
            raise RefusedError(422, "A field of the query is unknown.")
        newest, size, page = [*reversed(self.jobs.values())], int(query["page_size"]), int(query["page"])
        shown = [self.show(job) for job in newest[page * size : (page + 1) * size]]
        return {"object": "list", "data": shown, "total": len(newest)}

    def show(self, job: Job) -> JSON:
        total, completed, failed = self.counts(job)
        return {
            "id": job.id, "object": "batch", "input_files": [job.file], "metadata": {"unified_llm": job.label},
            "endpoint": "/v1/chat/completions", "model": job.model, "agent_id": None,
            "output_file": job.sources.get("output"), "error_file": job.sources.get("error"),
            "errors": [{"message": job.error[1], "count": 1}] if job.error else [],
            "status": self.STATES[self.state(job)],
            "created_at": int(job.created), "total_requests": total, "completed_requests": completed + failed,
            "succeeded_requests": completed, "failed_requests": failed, "started_at": None, "completed_at": None,
        }  # fmt: skip


class AnthropicBatches(BatchFake):
    """Anthropic's API: entries in the body, results as lines."""

    HEADER = "x-api-key"
    RESULTS = "application/x-jsonl"

    def new_id(self) -> str:
        return f"msgbatch_{len(self.jobs) + 1}"

    def error_body(self, refused: RefusedError) -> JSON:
        kinds = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
        kind = kinds.get(refused.status, "rate_limit_error" if refused.status == 429 else "api_error")
        return {"type": "error", "error": {"type": kind, "message": refused.message}}

    def reply(self, received: Received) -> JSON | bytes:
        if "anthropic-version" not in received.headers:
            raise RefusedError(400, "anthropic-version: header is required")
        match received.method, received.path.removeprefix("/messages/").split("/"):
            case "POST", ["batches"]:
                requests = json.loads(received.body)["requests"]
                for request in requests:
                    self.check_entry(request)
                return self.show(self.begin([(request["custom_id"], request["params"]) for request in requests]))
            case "GET", ["batches"]:
                return self.page(received.query)
            case "GET", ["batches", identifier]:
                return self.show(self.job(identifier))
            case "POST", ["batches", identifier, "cancel"]:
                self.cancel(self.job(identifier))
                return self.show(self.job(identifier))
            case "GET", ["batches", identifier, "results"]:
                return self.results(self.job(identifier))
            case _:
                raise RefusedError(404, "No such path.")

    def check_entry(self, request: JSON) -> None:
        if request.keys() != {"custom_id", "params"} or request["params"].get("stream"):
            raise RefusedError(400, "requests: custom_id and params")
        if self.strict:
            from anthropic.types.messages.batch_create_params import Request
            from pydantic import TypeAdapter, ValidationError

            try:
                TypeAdapter(Request).validate_python(request)
            except ValidationError:
                raise RefusedError(400, "requests.params: invalid") from None

    def on_end(self, job: Job, not_done: list[str]) -> None:
        job.results = [*(job.results or ()), *((identifier, "expired") for identifier in not_done)]
        job.sources["not_done"] = frozenset(not_done)

    def results(self, job: Job) -> bytes:
        if job.results is None:
            raise RefusedError(404, "No results yet.")
        lines: list[JSON] = []
        for identifier, answer in job.results:
            if isinstance(answer, str):
                kind = "canceled" if identifier in job.sources["not_done"] else answer
                result: JSON = {"type": kind}
            elif answer[0] == 200:
                result = {"type": "succeeded", "message": answer[1]}
            else:
                result = {"type": "errored", "error": answer[1]}
            lines.append({"custom_id": identifier, "result": result})
            if self.strict:
                from anthropic.types.messages import MessageBatchIndividualResponse

                MessageBatchIndividualResponse.model_validate(lines[-1], strict=False)
        return "".join(json.dumps(line) + "\n" for line in lines).encode()

    def page(self, query: Mapping[str, str]) -> JSON:
        newest = [*reversed(self.jobs.values())]
        if after := query.get("after_id"):
            newest = newest[[job.id for job in newest].index(after) + 1 :]
        size = int(query.get("limit", "20"))
        shown = newest[:size]
        return {
            "data": [self.show(job) for job in shown], "has_more": len(newest) > size,
            "first_id": shown[0].id if shown else None, "last_id": shown[-1].id if shown else None,
        }  # fmt: skip

    def show(self, job: Job) -> JSON:
        state = {"running": "in_progress", "cancelling": "canceling"}.get(self.state(job), "ended")
        total, fine, refused = self.counts(job)
        ended = state == "ended"
        counts = {"processing": 0 if ended else total, "succeeded": fine, "errored": refused, "canceled": 0}
        shown = {
            "id": job.id, "type": "message_batch", "processing_status": state,
            "request_counts": {**counts, "expired": total - fine - refused if ended else 0},
            "created_at": _timestamp(job.created), "expires_at": _timestamp(job.created + 86_400),
            "ended_at": _timestamp(self.now()) if ended else None, "archived_at": None, "cancel_initiated_at": None,
            "results_url": f"https://elsewhere.example/{job.id}" if ended else None,
        }  # fmt: skip
        if self.strict:
            from anthropic.types.messages import MessageBatch

            MessageBatch.model_validate_json(json.dumps(shown), strict=True)
        return shown


class GeminiBatches(BatchFake):
    """Google's API: operations, with entries and results inside."""

    HEADER = "x-goog-api-key"
    VERSION = "/v1beta"

    def error_body(self, refused: RefusedError) -> JSON:
        return {"error": {"code": refused.status, "message": refused.message, "status": "FAILED_PRECONDITION"}}

    def reply(self, received: Received) -> JSON | bytes:
        match received.method, received.path:
            case "POST", path if path.startswith("/models/") and path.endswith(":batchGenerateContent"):
                return self.show(self.create(path, json.loads(received.body)))
            case "GET", "/batches":
                return self.page(received.query)
            case "GET", path if path.startswith("/batches/"):
                return self.show(self.job(path.removeprefix("/batches/")))
            case "POST", path if path.startswith("/batches/") and path.endswith(":cancel"):
                self.cancel(self.job(path.removeprefix("/batches/").removesuffix(":cancel")))
                return {}
            case _:
                raise RefusedError(404, "No such path.")

    def create(self, path: str, body: JSON) -> Job:
        batch = body["batch"]
        if body.keys() != {"batch"} or batch.keys() != {"displayName", "inputConfig"}:
            raise RefusedError(400, "A field is unknown.")
        requests = batch["inputConfig"]["requests"]["requests"]
        for item in requests:
            if item.keys() != {"request", "metadata"} or item["metadata"].keys() != {"key"}:
                raise RefusedError(400, "A field of a request is unknown.")
            if self.strict:
                from integration_tests.fakes import gemini_schema

                gemini_schema.Generate.model_validate(item["request"])
        entries = [(item["metadata"]["key"], item["request"]) for item in requests]
        return self.begin(entries, label=batch["displayName"], model=path)

    def page(self, query: Mapping[str, str]) -> JSON:
        newest = [*reversed(self.jobs.values())]
        start, size = int(query.get("pageToken", "0")), int(query.get("pageSize", "50"))
        more = {"nextPageToken": str(start + size)} if len(newest) > start + size else {}
        return {"operations": [self.show(job) for job in newest[start : start + size]], **more}

    def show(self, job: Job) -> JSON:
        state = {"completed": "SUCCEEDED", "cancelling": "RUNNING"}.get(self.state(job), self.state(job).upper())
        total, fine, refused = self.counts(job)
        metadata: JSON = {
            "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch",
            "model": "models/gemini", "displayName": job.label, "state": f"BATCH_STATE_{state}",
            "createTime": _timestamp(job.created), "name": f"batches/{job.id}",
            "batchStats": {"requestCount": str(total), "pendingRequestCount": str(total - fine - refused)},
        }  # fmt: skip
        shown: JSON = {"name": f"batches/{job.id}", "metadata": metadata}
        if job.error:
            shown |= {"done": True, "error": {"code": 8, "message": job.error[1], "status": job.error[0]}}
        if job.results is not None:
            responses = [self.result(identifier, answer) for identifier, answer in job.results]
            output = {"inlinedResponses": {"inlinedResponses": responses}}
            metadata["output"] = output
            shown |= {"done": True, "response": {"@type": "GenerateContentBatchOutput", **output}}
        if self.strict:
            from google.genai import types
            from google.genai.batches import _BatchJob_from_mldev

            types.BatchJob.model_validate(_BatchJob_from_mldev(json.loads(json.dumps(shown))))
        return shown

    def result(self, identifier: str, answer: Answer) -> JSON:
        if isinstance(answer, str):
            return {"metadata": {"key": identifier}, "error": {"code": 4, "message": "It was not done in time."}}
        if answer[0] == 200:
            return {"metadata": {"key": identifier}, "response": answer[1]}
        return {"metadata": {"key": identifier}, "error": answer[1]["error"]}


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def operation_of(method: str, path: str) -> str:
    """Return what a request is for: ``upload``, ``create``, ``look``, ``list``, ``cancel``, ``results``."""
    if path.endswith(("/content", "/results")):
        return "results"
    if path.endswith("cancel"):
        return "cancel"
    if method == "POST":
        return "upload" if path == "/files" else "create"
    return "list" if path.endswith(("/batches", "/jobs")) else "look"
