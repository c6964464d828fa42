"""How strategies that ask choose between log-probabilities and written answers, and refuse what cannot be."""

from __future__ import annotations

import pytest

from llmrec.errors import InputError, ModelError
from llmrec.ranking.listwise import Listwise
from llmrec.ranking.pairwise import Pairwise
from llmrec.ranking.yes_no import YesNo
from tests.builders import SCORES_ONLY, scoring_model, writing_model
from tests.ranking.asking_models import LIBRARY, Judge, films, request_of, viewer

BOTH = SCORES_ONLY.model_copy(update={"generate": True, "structured": "json_schema"})


def test_log_probabilities_are_preferred_and_can_be_turned_down() -> None:
    model = Judge({0: 1.0, 1: 2.0}, capabilities=BOTH)
    assert Pairwise(model, LIBRARY).scored
    assert not Pairwise(model, LIBRARY, answers="generated").scored
    Pairwise(model, LIBRARY).score(request_of(films(2)))
    Pairwise(model, LIBRARY, answers="generated").score(request_of(films(2)))
    assert [call.kind for call in model.history] == ["score"] * 2 + ["generate"] * 2


def test_a_model_that_cannot_answer_so_is_refused_at_once() -> None:
    with pytest.raises(ModelError, match="yes_no needs log-probabilities, which scripted does not give"):
        YesNo(writing_model(), LIBRARY)
    with pytest.raises(ModelError, match="listwise needs written answers"):
        Listwise(scoring_model(), LIBRARY)
    with pytest.raises(InputError, match="listwise takes the answers auto or generated"):
        Listwise(writing_model(), LIBRARY, answers="scored")


def test_a_model_that_follows_instructions_is_shown_whole_sentences() -> None:
    profile = viewer()
    said = profile.entries[0].event.model_copy(
        update={"text": "slow films, no horror", "action": "say", "item_id": None}
    )
    entry = profile.entries[0].model_copy(update={"event": said, "item": None})
    request = request_of(
        films(1), profile=profile.model_copy(update={"entries": (entry, *profile.entries[1:])})
    )
    for follows, shown in ((True, True), (False, False)):
        model = Judge({0: 1.0}, capabilities=SCORES_ONLY.model_copy(update={"open_answers": follows}))
        YesNo(model, LIBRARY).score(request)
        assert ("horror" in model.history[0].prefix) == shown
        assert "slow films" in model.history[0].prefix


def test_a_written_answer_counts_with_second_askings_in_the_cost() -> None:
    request = request_of(films(3))
    assert Pairwise(scoring_model(), LIBRARY).cost(request).calls == 6
    written = Pairwise(writing_model(), LIBRARY).cost(request)
    assert written.calls == 6 + 3
    assert written.completion_tokens == (6 + 2 * 3) * 60
