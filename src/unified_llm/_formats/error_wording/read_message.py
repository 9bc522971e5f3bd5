"""Read the error message of a provider by the tables of sentences beside this module.

A sentence is written as the provider writes it, with placeholders for what varies:

    {n}        a number
    {window}   a number that is the context window, in tokens
    {name}     a name without spaces, in quotation marks or not: of a model, a field, an organization
    {quoted}   anything in quotation marks
    {path}     the path of a request field, such as ``tools.0.strict``; not of one that holds text
    {words}    a few words, without punctuation
    {feature}  the words for a parameter or a capability, which do not begin as a message about an invalid request does
    {text}     anything up to the end of the line
    (a|b)      one of these; it may be empty

A message is matched from its beginning, after the prefixes that gateways and client libraries put before it. The text
of a prompt that a server quotes stands further back and matches nothing. A kind that starts a cooldown of the API key
counts only where the sentence is the whole message, or where the status concerns the key or a limit anyway.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from unified_llm._core.outcome import ErrorMeaning
from unified_llm._formats.error_wording.accounts import ACCOUNT_SENTENCES, FILTER_SENTENCES
from unified_llm._formats.error_wording.features import FEATURE_SENTENCES
from unified_llm._formats.error_wording.limits import LIMIT_SENTENCES
from unified_llm._formats.error_wording.models import MODEL_SENTENCES
from unified_llm._formats.error_wording.sentence import CONTEXT, FILTER, NO_ACCESS, Sentence

SENTENCES: Final = (
    *ACCOUNT_SENTENCES,
    *FILTER_SENTENCES,
    *LIMIT_SENTENCES,
    *FEATURE_SENTENCES,
    *MODEL_SENTENCES,
)
"""All sentences; the first that matches counts."""

WITH_COOLDOWN: Final = frozenset({"auth", "permission", "quota"})
"""Kinds that start a cooldown of the API key."""

# Statuses that concern the key, the account or a limit.
_ABOUT_ACCOUNT: Final = frozenset({401, 402, 403, 429})
# Statuses of a prompt that is too long; None: an error at 200.
_ABOUT_SIZE: Final = frozenset({None, 400, 413, 422})
_LONGEST: Final = 2000  # characters of a message that are read
_LARGEST_WINDOW: Final = 10**9

# What LiteLLM (litellm.BadRequestError: OpenAIException - ...), SDKs (Error code: 400 - {'error': {'message': ...),
# Bedrock, Alibaba and other gateways put before the message of a provider.
_PREFIX: Final = re.compile(
    r"\s*(?:"
    r"[\w.]{1,80}(?:Error|Exception)(?:: | - )"
    r"|error code: \d{3} - "
    r"|provider returned error[:.] "
    r"|upstream error(?: from [\w .-]{1,40})?: "
    r"|error, status code: \d{3}, (?:status: [\w ]{1,40}, )?message: "
    r"|an error occurred: "
    r"|an error occurred \(\w{1,80}\) when calling the \w{1,80} operation: "
    r"|the model returned the following errors: "
    r"|<\d{3}> [\w.]{1,100}: "
    r"|/[\w/]{1,80}: "
    r"|\{'error': \{'message': ['\"]"
    r"|\{'error': ['\"]"
    r")",
    re.IGNORECASE | re.ASCII,
)
_PLACEHOLDERS: Final = {
    "n": r"-?\d[\d,._]*",
    "window": r"(?P<window>\d[\d,_]*)",
    "name": r"(?:[`'\"“][\w./:@+~*-]{1,200}[`'\"”]|[\w./:@+~*-]{1,200})",
    "quoted": r"[`'\"“][^`'\"”\n]{1,200}[`'\"”]",
    "path": r"(?![^\s:]*\b(?:content|text|prompt|input|arguments)\]*:)\w[\w.\[\]-]{0,200}",
    "words": r"\w(?:[\w /]|(?<=\w)['-](?=\w)){0,80}?",
    "feature": (
        r"(?!(?:an? |the |unknown |invalid )*(?:unknown|invalid|bad|unexpected|malformed|unsupported|could|cannot"
        r"|failed|error|request|message|content|prompt|text|input)\b)\w{1,60}(?:[ /-]\w{1,60}){0,5}"
    ),
    "text": r"[^\n]{0,500}?",
}
_TOKEN: Final = re.compile(r"\{(\w+)\}|\(((?:[^()|]*\|)+[^()|]*)\)|(\s+)|(['’])")
# The subject of a sentence and what a filter found, with nothing between them that could be a quotation.
_SUBJECT: Final = (
    r"(?:(?:your|the|this|an?|our|user|model|generated|submitted)\s+){0,3}(?:request|prompt|input|content|output"
    r"|message|response|image|text|query|completion|conversation|generation|answer)s?\b"
)
_FOUND: Final = (
    r"(?:(?<![a-z])safety(?!_?(?:identifier|settings?)|[a-z])|\bmoderat(?:ion|ed)\b|\bharm(?:s|ful)?\b|\bunsafe\b"
    r"|content (?:polic|filter|management|moderation)|(?:usage|acceptable use) (?:polic|guideline)|\bflagged\b"
    r"|\binappropriate\b|prohibited content|new_sensitive|sensitive (?:content|information|words?|topics?)"
    r"|violat\w*\b[^\n.:'\"]{0,60}\b(?:polic|guideline|terms of))"
)
_FILTERED: Final = re.compile(rf"{_SUBJECT}(?:[^\n.:'\"`“]|\w'\w){{0,200}}?{_FOUND}", re.IGNORECASE)
# For 403 and 451, where a provider writes why it refuses.
_FOUND_ANYWHERE: Final = re.compile(_FOUND, re.IGNORECASE)
# A prompt that is longer than the model can read, in words of other servers: its subject, that it is too long, and in
# what, before anything that could be a quotation. Not a limit per minute, and not one of the answer.
_BEGINNING: Final = re.compile(r"(?:[^\n:'\"`“]|(?<=\w)'(?=\w)){1,300}")
_PROMPT: Final = re.compile(
    r"(?:(?:your|the|this|an?|our|user|model|total|estimated|requested?|maximum|max|number of|length of|size of)\s+)*"
    r"(?:request|prompt|input|message|context|conversation|text|query|tokens?|sequence)(?:s|_tokens)?\b",
    re.IGNORECASE,
)
_TOO_LONG: Final = re.compile(
    r"\b(?:exceed\w*|overflow\w*|too (?:long|large|many|big)"
    r"|(?:longer|greater|larger|more|higher|bigger) than|must be (?:less|at most|no more))\b",
    re.IGNORECASE,
)
_IN_TOKENS: Final = re.compile(
    r"\b(?:context|tokens?|\w+_tokens|max_(?:seq|model)_len|(?:sequence|maximum|max) length)\b", re.IGNORECASE
)
_OTHER_LIMIT: Final = re.compile(
    r"\b(?:per|rate|quota|credits?|balance|afford|budget|images?|string)\b"
    r"|\A(?!.*\b(?:prompt|input|context|messages?)\b).*\b(?:output|completion|max_(?:\w+_)?tokens)\b",
    re.IGNORECASE,
)
# For 403: a model that the account cannot have, in whatever words. The key is valid for others.
_ACCESS: Final = (
    r"\b(?:access|permi\w+|allowed|authori[sz]ed|enabled|available|includ\w+|entitled|subscri\w+|plans?|tier|gated"
    r"|restricted|blocked|disabled|denied)\b"
)
_MODEL: Final = r"\bmodels?\b(?! inference)"  # a server of Ollama may refuse all "remote model inference"
_MODEL_REFUSED: Final = re.compile(rf"{_ACCESS}[^\n]{{0,80}}?{_MODEL}|{_MODEL}[^\n]{{0,120}}?{_ACCESS}", re.IGNORECASE)
_KEY_REFUSED: Final = re.compile(r"\b(?:invalid|incorrect|expired|revoked|missing|leaked|unknown)\b", re.IGNORECASE)
# Not an account that is closed for what it did.
_CLOSED_ACCOUNT: Final = re.compile(
    r"\b(?:account|organi[sz]ation|key|subscription|project|team|workspace)\b[^\n.]{0,80}"
    r"\b(?:suspended|disabled|banned|restricted|terminated|locked|deactivated|flagged|blocked|violat\w*)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """Meaning of an error message, and the context window that it names."""

    meaning: ErrorMeaning
    context_window: int | None = None


def read_message(message: str | None, status: int | None) -> Reading | None:
    """Return what an error message means by the tables; None where no sentence matches.

    Args:
        message: The provider's message.
        status: The HTTP status of the response, or inside its body; None at 200.
    """
    for text in without_prefixes(message[:_LONGEST]) if message else ():
        start = _fold(text[:200])
        for sentence in SENTENCES:
            if start.startswith(_starts(sentence.template)) and (reading := _match(sentence, text, status)):
                return reading
        if (status is None or status < 500) and _is_filtered(text, status):
            return Reading(FILTER)
        if status == 403 and _is_model_refused(text):
            return Reading(NO_ACCESS)
        if status in _ABOUT_SIZE and _is_too_long(text):
            return Reading(CONTEXT)
    return None


def without_prefixes(message: str) -> Iterator[str]:
    """Yield a message, then what remains of it after one known prefix after the other."""
    text = message.strip()
    yield text
    while match := _PREFIX.match(text):
        text = text[match.end() :].lstrip()
        yield text


def _match(sentence: Sentence, text: str, status: int | None) -> Reading | None:
    whole = sentence.meaning.kind in WITH_COOLDOWN and status not in _ABOUT_ACCOUNT
    match = _compile(sentence.template, whole=whole).match(text)
    if match is None:
        return None
    return Reading(sentence.meaning, _window(match.groupdict().get("window")))


def _is_filtered(text: str, status: int | None) -> bool:
    if not _FILTERED.match(text) and not (status in {403, 451} and _FOUND_ANYWHERE.search(text)):
        return False
    return not _CLOSED_ACCOUNT.search(text)


def _is_model_refused(text: str) -> bool:
    return bool(_MODEL_REFUSED.search(text)) and not (_KEY_REFUSED.search(text) or _CLOSED_ACCOUNT.search(text))


def _is_too_long(text: str) -> bool:
    beginning = _BEGINNING.match(text)
    if beginning is None or not _PROMPT.match(beginning[0]) or _OTHER_LIMIT.search(beginning[0]):
        return False
    return bool(_TOO_LONG.search(beginning[0]) and _IN_TOKENS.search(beginning[0]))


def _window(number: str | None) -> int | None:
    if number is None:
        return None
    window = int(re.sub(r"[,_]", "", number)[:12])
    return window if 0 < window < _LARGEST_WINDOW else None


def _fold(text: str) -> str:
    """Return a text with single spaces, straight apostrophes and lower case."""
    return " ".join(text.split()).replace("’", "'").lower()


@cache
def _starts(template: str) -> tuple[str, ...]:
    """Return the texts with which a message of this template can begin, as far as they do not vary."""
    parts: list[tuple[str, ...]] = []
    end = 0
    for token in _TOKEN.finditer(template):
        if token[1]:
            parts.append((template[end : token.start()],))
            break
        if token[2]:
            parts += (template[end : token.start()],), tuple(token[2].split("|"))
            end = token.end()
            if "{" in token[2]:
                parts[-1] = ("",)
                break
    else:
        parts.append((template[end:],))
    # The space at the end of a start is no part of it: a message may have a line break there.
    return tuple({_fold("".join(combination)) for combination in itertools.product(*parts)})


@cache
def _compile(template: str, *, whole: bool) -> re.Pattern[str]:
    """Compile a template: any whitespace for whitespace, either form of the apostrophe, any case."""
    return re.compile(_expression(template) + (r"[\s.!]*\Z" if whole else ""), re.IGNORECASE)


def _expression(template: str) -> str:
    expression, end = "", 0
    for token in _TOKEN.finditer(template):
        expression += re.escape(template[end : token.start()])
        end = token.end()
        if token[1]:
            expression += _PLACEHOLDERS[token[1]]
        elif token[2]:
            expression += f"(?:{'|'.join(map(_expression, token[2].split('|')))})"
        else:
            expression += r"\s+" if token[3] else "['’]"
    return expression + re.escape(template[end:])
