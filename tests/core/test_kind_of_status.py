"""HTTP statuses as kinds of failure: one table, which formats and wrapped models refine."""

from __future__ import annotations

from tests.support.each import each
from unified_llm import ProviderBase
from unified_llm._backends.objects import errors
from unified_llm._core.outcome import KIND_BY_STATUS, FailureKind, kind_of_status
from unified_llm._core.target import Target
from unified_llm._formats import openai_errors
from unified_llm._formats.gemini import errors as gemini_errors
from unified_llm.exceptions import ContextOverflowError, ServiceUnavailableError, ValidationError

TARGET = Target("openai", "m", "openai_chat", "https://api.example/v1")

KINDS: list[tuple[int, FailureKind]] = [
    (300, "redirect"),
    (308, "redirect"),
    (399, "redirect"),
    (400, "bad_request"),
    (401, "auth"),
    (402, "quota"),
    (403, "permission"),
    (404, "model_not_found"),
    (405, "not_found"),
    (407, "connect"),
    (408, "request_timeout"),
    (409, "conflict"),
    (413, "too_large"),
    (418, "bad_request"),
    (422, "bad_request"),
    (425, "conflict"),
    (429, "rate_limit"),
    (451, "permission"),
    (498, "bad_request"),
    (499, "server"),
    (500, "server"),
    (529, "server"),
    (599, "server"),
]


class SDKError(Exception):
    """What an SDK raises."""

    def __init__(self, status_code: int, message: str = "no") -> None:
        super().__init__(message)
        self.status_code = status_code


@each(("status", "kind"), KINDS)
def test_a_status_has_a_kind(status: int, kind: FailureKind) -> None:
    assert kind_of_status(status) == kind


@each("status", [*(status for status, _ in KINDS), 410, 412, 424, 503])
def test_formats_and_wrapped_models_differ_where_they_say_so(status: int) -> None:
    kind = kind_of_status(status)
    openai = {404: "not_found", 410: "not_found", 424: "server", 498: "server"}
    assert openai_errors.read_failure(status, b"", TARGET).kind == openai.get(status, kind)
    assert gemini_errors.read_failure(status, b"", TARGET).kind == {404: "not_found"}.get(status, kind)
    if status >= 400:
        failure = errors.read_failure(SDKError(status))
        assert failure is not None
        assert failure.kind == kind


def test_exceptions_of_sdks_are_read_by_code_and_message_before_their_status() -> None:
    def kind(status: int, message: str = "no", **fields: object) -> tuple[str, int | None]:
        error = SDKError(status, message)
        for name, value in fields.items():
            setattr(error, name, value)
        failure = errors.read_failure(error)
        assert failure is not None
        assert failure.status == status
        return failure.kind, failure.context_window

    overflow = "This model's maximum context length is 8192 tokens. However, you requested"
    assert kind(400, body={"message": overflow, "code": None}) == ("context", 8192)
    assert kind(400, f"Error code: 400 - {{'error': {{'message': \"{overflow}") == ("context", 8192)
    assert kind(400, body={"error": {"message": "Model Not Exist"}}) == ("model_not_found", None)
    assert kind(400, code="organization_restricted") == ("permission", None)
    assert kind(500, "image input is not supported") == ("unsupported", None)
    assert kind(429, code="insufficient_quota") == ("quota", None)
    assert kind(400, f"Invalid value: '{overflow}'") == ("bad_request", None)


def test_every_kind_of_the_table_has_an_exception_for_users_providers() -> None:
    for status in KIND_BY_STATUS:
        assert type(ProviderBase.error(status)) is not ValidationError
    assert type(ProviderBase.error(413)) is ContextOverflowError
    assert type(ProviderBase.error(409)) is type(ProviderBase.error(503)) is ServiceUnavailableError
    assert type(ProviderBase.error(400)) is ValidationError
