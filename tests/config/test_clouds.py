"""Amazon Bedrock and Google Vertex AI: addresses that name a region and a project, and where their keys go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.each import each
from unified_llm import LLMClient
from unified_llm._core.target import Target
from unified_llm.exceptions import ConfigurationError, UnconfiguredError

BEDROCK, VERTEX = "bedrock/openai.gpt-oss-120b-1:0", "vertex/google/gemini-2.5-flash"
TOKEN = "a-token-of-a-test"
VARIABLES = (
    "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_BEDROCK_BASE_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "GOOGLE_CLOUD_LOCATION", "VERTEXAI_LOCATION", "GOOGLE_CLOUD_PROJECT", "VERTEXAI_PROJECT",
)  # fmt: skip
HERE: Mapping[str, str] = {"AWS_BEARER_TOKEN_BEDROCK": TOKEN, "GOOGLE_OAUTH_ACCESS_TOKEN": TOKEN}


@pytest.fixture(autouse=True)
def _no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def resolve(model: str, environment: Mapping[str, str], **fields: Any) -> Target:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**HERE, **environment}.items():
            patch.setenv(name, value)
        return LLMClient({"model": model, **fields}).targets[0]


@each(("model", "environment", "url"), [
    (BEDROCK, {"AWS_REGION": "us-west-2"}, "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1"),
    (BEDROCK, {"AWS_DEFAULT_REGION": "eu-central-1", "AWS_REGION": " "},
     "https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1"),
    (BEDROCK, {"AWS_BEDROCK_BASE_URL": "https://bedrock-mantle.us-east-1.api.aws/v1"},
     "https://bedrock-mantle.us-east-1.api.aws/v1"),
    (BEDROCK, {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "https://bedrock-runtime.us-east-1.amazonaws.com"},
     "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1"),
    (VERTEX, {"GOOGLE_CLOUD_PROJECT": "my-project"},
     "https://aiplatform.googleapis.com/v1/projects/my-project/locations/global/endpoints/openapi"),
    (VERTEX, {"GOOGLE_CLOUD_PROJECT": "example.com:p", "GOOGLE_CLOUD_LOCATION": "europe-west4"},
     "https://europe-west4-aiplatform.googleapis.com/v1/projects/example.com:p/locations/europe-west4/endpoints/openapi"),
])  # fmt: skip
def test_the_address_is_made_of_the_variables_of_the_cloud(
    model: str, environment: Mapping[str, str], url: str
) -> None:
    target = resolve(model, environment)
    assert target.base_url == url
    assert target.key is not None
    assert target.vendor_host
    assert target.model == model.partition("/")[2]


@each(("model", "missing"), [(BEDROCK, "set AWS_REGION,"), (VERTEX, "set GOOGLE_CLOUD_PROJECT,")])
def test_a_part_that_is_not_known_is_named(model: str, missing: str) -> None:
    with pytest.raises(UnconfiguredError, match=missing):
        resolve(model, {})
    chain = LLMClient(model, fallbacks=["mlx/demo"], skip_unconfigured=True, api_key=TOKEN)
    assert [target.name for target in chain.targets] == ["mlx/demo"]


@each("value", ["us-east-1/../x", "a b", "evil.example/", "@evil.example", "us-east-1:443", "x#", "é"])
def test_a_part_that_would_lead_elsewhere_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"The URL from AWS_REGION|AWS_REGION holds more than") as refused:
        resolve(BEDROCK, {"AWS_REGION": value})
    assert value not in str(refused.value)


OWN = [
    "https://bedrock-runtime.us-gov-west-1.amazonaws.com", "https://bedrock-runtime-fips.us-east-1.amazonaws.com",
    "https://bedrock-mantle.ap-southeast-2.api.aws/v1",
]  # fmt: skip
OTHERS = [
    "https://bedrock-runtime.s3.amazonaws.com", "https://bedrock-runtime.s3-us-west-2.amazonaws.com",
    "https://bedrock-runtime.us-x.s3.us-west-2.amazonaws.com", "https://x.bedrock-runtime.us-east-1.amazonaws.com",
    "https://bedrock-runtime.us-east-1.amazonaws.com.evil.example", "https://abc.execute-api.us-east-1.amazonaws.com",
    "https://bedrock-mantle.us-east-1.api.aws.evil.example",
]  # fmt: skip


@each(("url", "own"), [*((url, True) for url in OWN), *((url, False) for url in OTHERS)])
def test_the_key_goes_to_hosts_of_the_service_alone(url: str, *, own: bool) -> None:
    if own:
        assert resolve(BEDROCK, {}, base_url=url).key is not None
        return
    with pytest.raises(UnconfiguredError, match=r"only sent to bedrock-runtime\.<region>\.amazonaws\.com"):
        resolve(BEDROCK, {}, base_url=url)


def test_a_region_of_ones_own_in_a_fallback_is_another_deployment_of_the_same_model() -> None:
    first, second = (f"https://bedrock-runtime.{region}.amazonaws.com" for region in ("us-east-1", "us-west-2"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_BEARER_TOKEN_BEDROCK", TOKEN)
        client = LLMClient({"model": BEDROCK, "base_url": first}, fallbacks=[{"base_url": second}])
    assert [target.base_url for target in client.targets] == [f"{first}/openai/v1", f"{second}/openai/v1"]
    assert len({target.account for target in client.targets}) == 1, "one key is one account in all regions"
