"""The chat template of a model: a conversation, tools and options in, the tokens of the prompt out.

Templates came with the model, so they are rendered in a sandbox with bounds (``bounded_template``). Those that mlx-lm
has written itself, in Python, for models whose authors wrote none, are called as they are. Only the engine thread may
use this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from unified_llm._backends.mlx.control_tokens import ControlTokens, make_mark
from unified_llm._backends.mlx.engine_types import EngineError, Prompt

_Messages = Sequence[Mapping[str, Any]]

# Variables of every template, which are not the caller's to set.
_OWN_VARIABLES: Final = frozenset({"messages", "tools", "add_generation_prompt", "tokenize", "chat_template"})
# Names of a template among several: huggingface.co/docs/transformers/chat_templating
_WITH_TOOLS, _DEFAULT = "tool_use", "default"
_RENDERER: Final = "PreTrainedTokenizerBase"  # the class of transformers that renders a model's own template


class TemplateTokenizer(Protocol):
    """The part of mlx-lm's tokenizers that is used here."""

    has_thinking: bool

    @property
    def chat_template(self) -> str | dict[str, str] | None:
        """The model's template, or several by name."""
        ...

    @property
    def special_tokens_map(self) -> Mapping[str, Any]:
        """The special tokens by name, such as ``bos_token``."""
        ...

    def apply_chat_template(self, messages: _Messages, /, **options: Any) -> Any:
        """Turn a conversation into tokens, or with ``tokenize=False`` into text."""
        ...

    def encode(self, text: str, /, *, add_special_tokens: bool) -> Sequence[int]:
        """Turn text into tokens, those of special tokens included."""
        ...


class ChatTemplate:
    """The chat template of a loaded model.

    Args:
        tokenizer: The model's.
        folder: The model's, for messages of errors.
    """

    def __init__(self, tokenizer: TemplateTokenizer, folder: Path) -> None:
        self._tokenizer, self._folder = tokenizer, folder
        self._compiled: dict[str, Callable[[Mapping[str, Any]], str]] = {}  # by the source
        templates = tokenizer.chat_template or ""
        source = "\n".join(templates.values()) if isinstance(templates, dict) else templates
        self._control = ControlTokens(tokenizer, source)

    def tokenize(self, prompt: Prompt, check: Callable[[str], None] = lambda _: None) -> list[int]:
        """Return the tokens of a prompt.

        Args:
            prompt: The prompt.
            check: Called with the text before it is turned into tokens; refuses one that is too long.

        Raises:
            EngineError: The template refuses the messages, fails, or takes too long.
        """
        if taken := _OWN_VARIABLES.intersection(prompt.template_options):
            names = ", ".join(sorted(taken))
            raise EngineError("bad_request", f"chat_template_kwargs cannot set {names}: leave it out.")
        kind = _kind_of(self._tokenizer)
        if kind == "tokens":
            return list(self._call_python(prompt))
        render = self.render if kind == "jinja" else self._render_python
        if self._control.occur_in(prompt):
            return self._tokenize_marked(prompt, render, check)
        text = render(prompt)
        check(text)
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _tokenize_marked(
        self, prompt: Prompt, render: Callable[[Prompt], str], check: Callable[[str], None]
    ) -> list[int]:
        """Return the tokens of a prompt in whose texts control tokens are text: see ``control_tokens``."""
        marks = make_mark(), make_mark()
        marked, other = (render(self._control.mark(prompt, mark)) for mark in marks)
        text = marked.replace(marks[0], "")
        check(text)
        # A template that has cut a mark, or looked at it, has written a part of it.
        tokens = self._control.encode(marked, marks[0]) if other.replace(marks[1], "") == text else None
        if tokens is None:
            raise self._mixture()
        return tokens

    def refuse_control_tokens(self, prompt: Prompt) -> None:
        """Refuse a prompt with the text of a control token, where a library turns the rendered text into tokens.

        Raises:
            EngineError: It has one.
        """
        if self._control.occur_in(prompt):
            raise self._mixture()

    def _mixture(self) -> EngineError:
        message = f"A text of the prompt has a control token of the model in {self._folder}, which cannot be told from"
        return EngineError("unsupported", f"{message} those of its chat template: leave it out, or use another model.")

    def render(self, prompt: Prompt) -> str:
        """Return the text of a prompt.

        Some templates have no system message: it then stands at the beginning of the user's first message. Others read
        a message's content as a list of parts only, and would leave out a text.

        Raises:
            EngineError: As for ``tokenize``.
        """
        from unified_llm._backends.mlx.bounded_template import TemplateRefusedError

        messages: _Messages = prompt.messages
        try:
            text = self._render(messages, prompt)
        except TemplateRefusedError as error:
            merged = _without_system(messages)
            if merged is None:
                raise self._refusal(error) from None
            messages = merged
            try:
                text = self._render(messages, prompt)
            except TemplateRefusedError:
                raise self._refusal(error) from None
        last = _last_text(messages)
        if last in text:
            return text
        try:
            in_parts = self._render(_in_parts(messages), prompt)
        except (EngineError, TemplateRefusedError):
            return text
        is_shown = last in in_parts and "'type': 'text'" not in in_parts  # a list that was written as it is
        return in_parts if is_shown else text

    def _render(self, messages: _Messages, prompt: Prompt) -> str:
        from unified_llm._backends.mlx.bounded_template import TemplateBoundsError, TemplateFailedError

        variables = {
            **self._tokenizer.special_tokens_map,
            "enable_thinking": self._tokenizer.has_thinking,  # as in mlx-lm
            "documents": None,
            **prompt.template_options,
            "messages": messages,
            "tools": list(prompt.tools) or None,
            "add_generation_prompt": True,
        }
        try:
            return self._choose(has_tools=bool(prompt.tools))(variables)
        except TemplateBoundsError as error:
            raise EngineError("unsupported", f"{self._name()} was stopped, since {error}: use another model.") from None
        except TemplateFailedError as error:
            raise self._failure(str(error)) from None

    def _choose(self, *, has_tools: bool) -> Callable[[Mapping[str, Any]], str]:
        templates = self._tokenizer.chat_template
        if isinstance(templates, dict):
            names = (_WITH_TOOLS, _DEFAULT) if has_tools else (_DEFAULT,)
            source = next((templates[name] for name in names if name in templates), next(iter(templates.values())))
        else:
            source = templates or ""
        if source not in self._compiled:
            from unified_llm._backends.mlx.bounded_template import BoundedTemplate

            self._compiled[source] = BoundedTemplate(source).render
        return self._compiled[source]

    def _render_python(self, prompt: Prompt) -> str:
        return str(self._call_python(prompt, tokenize=False))

    def _call_python(self, prompt: Prompt, **further: bool) -> Any:
        options: dict[str, Any] = {**prompt.template_options, **further}
        if prompt.tools:
            options["tools"] = list(prompt.tools)
        try:
            return self._tokenizer.apply_chat_template(list(prompt.messages), add_generation_prompt=True, **options)
        except Exception as error:
            raise self._failure(type(error).__name__) from error

    def _refusal(self, error: Any) -> EngineError:
        words = f" ({error.words[:300]!r})" if error.words else ""
        # A role, or an order of roles, that other templates accept: the next target may.
        message = f"{self._name()} refused the messages{words}: use another model, or other roles."
        return EngineError("unsupported", message)

    def _failure(self, error: str) -> EngineError:
        # The library's message is left out: it could quote the prompt.
        message = f"{self._name()} refused the messages ({error}): use another model, or other roles."
        return EngineError("unsupported", message)

    def _name(self) -> str:
        return f"The chat template of the model in {self._folder}"


def _kind_of(tokenizer: TemplateTokenizer) -> Literal["jinja", "text", "tokens"]:
    """Return what writes the prompt: a template, or Python of mlx-lm (text) or transformers (tokens).

    No folder of a model can bring that along.
    """
    if getattr(tokenizer, "_chat_template", None) is not None:
        return "text"  # mlx-lm's wrapper calls this function in place of the template
    classes = type(getattr(tokenizer, "_tokenizer", None)).__mro__  # of the tokenizer of transformers within
    owner = next((one.__name__ for one in classes if "apply_chat_template" in vars(one)), _RENDERER)
    return "tokens" if owner != _RENDERER or not tokenizer.chat_template else "jinja"


def _without_system(messages: _Messages) -> _Messages | None:
    """Return messages with what the system says in the first message of the user; None if nothing changes."""
    if len(messages) < 2 or messages[0]["role"] != "system" or messages[1]["role"] != "user":
        return None
    system, user = messages[0]["content"], messages[1]["content"]
    if not isinstance(system, str) or not isinstance(user, str):
        return None
    return [{**messages[1], "content": f"{system}\n\n{user}"}, *messages[2:]]


def _last_text(messages: _Messages) -> str:
    """Return the last text of the user, without what templates may strip."""
    texts = (message["content"] for message in reversed(messages) if message["role"] == "user")
    return next((text.strip() for text in texts if isinstance(text, str)), "")


def _in_parts(messages: _Messages) -> _Messages:
    return [
        {**message, "content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message["content"], str)
        else message
        for message in messages
    ]
