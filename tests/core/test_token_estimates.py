"""Estimates of tokens, compared with a tokenizer of OpenAI's that LlamaIndex brings along."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.utils import get_tokenizer

from tests.support.codec_checks import calm
from tests.support.each import each
from unified_llm._core.token_estimates import estimate_prompt, estimate_tokens, least_tokens
from unified_llm.types import ImagePart, Message, TextPart, ToolCall

ROOT = Path(__file__).parents[2]
# The first article of the Universal Declaration of Human Rights.
ARTICLES = {
    "English": "All human beings are born free and equal in dignity and rights. They are endowed with reason and "
    "conscience and should act towards one another in a spirit of brotherhood.",
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen "
    "begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "French": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de "
    "conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    "Finnish": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu järki "
    "ja omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä.",
    "Vietnamese": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
    "Russian": "Все люди рождаются свободными и равными в своем достоинстве и правах.",  # noqa: RUF001
    "Greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",  # noqa: RUF001
    "Arabic": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق",
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "Chinese": "人人生而自由,在尊严和权利上一律平等。",
    "Japanese": "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
}
FILES = ("src/unified_llm/_policy/retry.py", "docs/failover.md", "tests/fixtures/rows/sambanova.json", "LICENSE")


def count(text: str) -> int:
    return len(get_tokenizer()(text))


@each("text", [(ROOT / name).read_text(encoding="utf-8")[:12_000] for name in FILES])
def test_english_code_and_json_are_estimated_within_15_percent(text: str) -> None:
    assert 0.85 <= estimate_tokens(text) / count(text) <= 1.15


@each("text", ARTICLES.values())
def test_another_language_is_estimated_between_a_half_and_a_quarter_more(text: str) -> None:
    assert 0.5 <= estimate_tokens(text) / count(text) <= 1.25
    assert least_tokens(text) <= count(text)


WORDS = st.sampled_from(
    [*"aB3é½Ⅷ字か한a_'-.,!<>|\u0301\u200b\x1c\u2003", " ", "\n", "\t", "\r\n", "it's", "don't", "<|im_start|>"]
)


@calm
@given(st.lists(WORDS, max_size=60).map("".join) | st.text(max_size=60))
def test_the_least_number_is_never_more_than_the_true_one(text: str) -> None:
    assert least_tokens(text) <= count(text)


def test_words_make_at_least_as_many_tokens() -> None:
    assert least_tokens("word " * 1000) == 999
    assert least_tokens("字" * 1000) == least_tokens("") == estimate_tokens("") == 0


def test_a_conversation_counts_its_texts_its_calls_and_its_turns() -> None:
    call = ToolCall.parse("1", "weather", '{"city": "Rome"}')
    turns = [
        Message("user", (TextPart("How is it?"), ImagePart(data=b"x" * 9999))),
        Message.assistant(tool_calls=[call]),
    ]
    texts = ("How is it?", "weather", '{"city": "Rome"}')
    assert estimate_prompt(turns) == 8 + sum(map(estimate_tokens, texts))
