"""Names that OpenAI's SDK has for the dictionaries of a request, so that annotations stay as they are.

Here they are all dictionaries: what a request may contain is checked by the provider that gets it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

ChatCompletionAllowedToolChoiceParam: TypeAlias = dict[str, Any]
ChatCompletionAllowedToolsParam: TypeAlias = dict[str, Any]
ChatCompletionAssistantMessageParam: TypeAlias = dict[str, Any]
ChatCompletionAudioParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartImageParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartInputAudioParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartRefusalParam: TypeAlias = dict[str, Any]
ChatCompletionContentPartTextParam: TypeAlias = dict[str, Any]
ChatCompletionCustomToolParam: TypeAlias = dict[str, Any]
ChatCompletionDeveloperMessageParam: TypeAlias = dict[str, Any]
ChatCompletionFunctionCallOptionParam: TypeAlias = dict[str, Any]
ChatCompletionFunctionMessageParam: TypeAlias = dict[str, Any]
ChatCompletionFunctionToolParam: TypeAlias = dict[str, Any]
ChatCompletionMessageCustomToolCallParam: TypeAlias = dict[str, Any]
ChatCompletionMessageFunctionToolCallParam: TypeAlias = dict[str, Any]
ChatCompletionMessageParam: TypeAlias = dict[str, Any]
ChatCompletionMessageToolCallParam: TypeAlias = dict[str, Any]
ChatCompletionMessageToolCallUnionParam: TypeAlias = dict[str, Any]
ChatCompletionNamedToolChoiceCustomParam: TypeAlias = dict[str, Any]
ChatCompletionNamedToolChoiceParam: TypeAlias = dict[str, Any]
ChatCompletionPredictionContentParam: TypeAlias = dict[str, Any]
ChatCompletionStreamOptionsParam: TypeAlias = dict[str, Any]
ChatCompletionSystemMessageParam: TypeAlias = dict[str, Any]
ChatCompletionToolMessageParam: TypeAlias = dict[str, Any]
ChatCompletionToolParam: TypeAlias = dict[str, Any]
ChatCompletionToolUnionParam: TypeAlias = dict[str, Any]
ChatCompletionUserMessageParam: TypeAlias = dict[str, Any]
CompletionCreateParams: TypeAlias = dict[str, Any]
CreateChatCompletionRequestMessageParam: TypeAlias = dict[str, Any]
ChatCompletionToolChoiceOptionParam: TypeAlias = str | dict[str, Any]
