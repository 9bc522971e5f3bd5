"""The rows of the provider table for Amazon's and Google's clouds, whose addresses name a region and a project."""

from __future__ import annotations

from typing import Final

from unified_llm._core.features import JSON, TOOLS, VISION, features
from unified_llm._core.quirks import Quirks
from unified_llm._providers.spec import OPENAI_LIMITS, REGION, RESPONSES, ProviderSpec, UrlPart

_NOT_TRIED: Final = "Written from the documentation, not tried against the service."

CLOUDS: Final = (
    # docs.aws.amazon.com/bedrock/latest/userguide/endpoints.html recommends bedrock-runtime over bedrock-mantle, and
    # models-get-info.html: only the latter lists its models in OpenAI's format.
    ProviderSpec(
        "bedrock",
        "Amazon Bedrock",
        url_template="https://bedrock-runtime.{region}.amazonaws.com/openai/v1",
        # The variables of the AWS SDKs, and of OpenAI's (openai-python, lib/bedrock.py).
        url_parts={"region": UrlPart(("AWS_REGION", "AWS_DEFAULT_REGION"))},
        version="/openai/v1",
        key_env=("AWS_BEARER_TOKEN_BEDROCK",),
        base_url_env=("AWS_BEDROCK_BASE_URL", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
        apis=RESPONSES,
        features=TOOLS | JSON | VISION | features("streaming"),
        # model-parameters-openai.html: max_completion_tokens is the field that it maps to its own maxTokens.
        quirks=Quirks(
            rename={"max_tokens": "max_completion_tokens"}, limits=OPENAI_LIMITS, max_stops=4, models_path=""
        ),
        hosts=(
            f"bedrock-runtime.{REGION}.amazonaws.com",
            f"bedrock-runtime-fips.{REGION}.amazonaws.com",
            f"bedrock-mantle.{REGION}.api.aws",
        ),
        otel_name="aws.bedrock",
        langsmith_name="amazon_bedrock",
        docs="https://docs.aws.amazon.com/bedrock/latest/userguide/inference-chat-completions.html",
        note=f"{_NOT_TRIED} Its OpenAI-compatible API, with a Bedrock API key: models that only Converse has (such as "
        "Claude and Nova) are not there, and requests are not signed with access keys. A model is named as AWS does "
        "(openai.gpt-oss-120b-1:0). For the Mantle endpoint pass base_url=.",
    ),
    ProviderSpec(
        "vertex",
        "Google Vertex AI",
        url_template="https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}/"
        "endpoints/openapi",
        # The variables of Google's SDKs, and of LiteLLM.
        url_parts={
            "location": UrlPart(("GOOGLE_CLOUD_LOCATION", "VERTEXAI_LOCATION"), default="global", left_out="global"),
            "project": UrlPart(("GOOGLE_CLOUD_PROJECT", "VERTEXAI_PROJECT")),
        },
        version="",
        # Access tokens, which last an hour: the variables of Terraform's provider and of gcloud.
        key_env=("GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN"),
        features=TOOLS | JSON | features("streaming", "images", "audio", "n"),
        quirks=Quirks(tool_names=True, models_path="", limits=OPENAI_LIMITS, max_stops=5),
        hosts=("aiplatform.googleapis.com", "*-aiplatform.googleapis.com", "aiplatform.*.rep.googleapis.com"),
        literal_models=True,
        advice={"model_not_found": "write the publisher as well: vertex/google/gemini-2.5-flash"},
        otel_name="gcp.vertex_ai",
        langsmith_name="google_vertexai",
        docs="https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/call-gemini-using-openai-library",
        note=f"{_NOT_TRIED} Its OpenAI-compatible API: models are publisher/model (google/gemini-2.5-flash), images "
        "are sent as data. The key is an access token (gcloud auth print-access-token), which lasts an hour: a "
        "callable as api_key= renews it. The location is global unless GOOGLE_CLOUD_LOCATION names a region.",
    ),
)
