from __future__ import annotations

from typing import get_args

import pytest

from llmrec.behavior.sources import Format
from llmrec.cli.failures import in_options, one_line
from llmrec.cli.options import FormatChoice, LanguageChoice, StrategyChoice, columns_from
from llmrec.errors import InputError
from llmrec.settings import Settings, Strategy


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (
            "name that one with columns={'item_id': '...'}, or columns={'action': '=view'}",
            "name that one with --column item_id=..., or --column action==view",
        ),
        ("columns= names the field 'x'", "--column names the field 'x'"),
        ("with catalog-columns={'id': 'a'}", "with --catalog-column id=a"),
        ("give format= one of jsonl", "give --format one of jsonl"),
        ("give catalog-format= one of jsonl", "give --catalog-format one of jsonl"),
        ("use strategy='open' or model='llama-cpp:PATH'", "use --strategy open or --model llama-cpp:PATH"),
        ('use strategy="anchored"', "use --strategy anchored"),
        ("nothing to change here: a=b", "nothing to change here: a=b"),
    ],
)
def test_messages_speak_of_options(told: str, shown: str) -> None:
    assert in_options(told) == shown


def test_a_message_is_one_line_without_control_characters() -> None:
    assert one_line("a\nb\r\n\tc \x1b[31md") == "a b c [31md"


def test_columns_are_pairs_of_known_fields() -> None:
    assert columns_from(["a=x", "b==y"], ["a", "b"], "--column") == {"a": "x", "b": "=y"}
    for wrong in ("a", "a=", "c=x"):
        with pytest.raises(InputError, match="--column"):
            columns_from([wrong], ["a", "b"], "--column")


def test_choices_are_those_of_the_library() -> None:
    assert [choice.value for choice in FormatChoice] == list(get_args(Format))
    assert [choice.value for choice in StrategyChoice] == list(get_args(Strategy))
    languages = get_args(Settings.model_fields["language"].annotation)
    assert [choice.value for choice in LanguageChoice] == list(languages)
