"""The model as a judge of labels: how much likelier each is after a text than after none."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llmrec.interests.extraction import ExtractionTools
from llmrec.interests.subjects import Subject
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.llm.base import LanguageModel
from llmrec.llm.cache import naming_prompt

PRIOR_EXPONENT = 0.65
"""How much of a label's likelihood without the text is divided out. All of it would leave labels that are
rare in language too likely; none of it, those that are common."""


class LabelJudge:
    """Asks the model about the labels of a vocabulary, in the language of the tools."""

    def __init__(self, tools: ExtractionTools, vocabulary: Vocabulary) -> None:
        self._tools = tools
        self._vocabulary = vocabulary
        self._priors: dict[tuple[bool, tuple[str, ...], tuple[str, ...]], list[float]] = {}
        self.prompts: dict[str, str] = {}
        """The fingerprint of each template that was used, by name."""

    def preferences(
        self,
        subject: Subject,
        nodes: Sequence[VocabularyNode],
        above: Sequence[str] = (),
        *,
        prior_exponent: float = PRIOR_EXPONENT,
    ) -> list[float]:
        """How much the model prefers each label for a subject, in nats, in the order of the nodes.

        (log p(label | text) - x log p(label | no text)) / sqrt(tokens of the label), x being
        `prior_exponent`: the pointwise mutual information with part of the prior left in (as in
        Holtzman et al. 2021, "Surface Form Competition", with x = 1). `above` are the ids of the broader
        interests that the labels stand below, from the top down.
        """
        if not nodes:
            return []
        labels = [self._vocabulary[node_id].label(self._tools.language) for node_id in above]
        keywords = [*labels[:1], *(label.lower() for label in labels[1:])]
        key = (bool(subject.description), tuple(above), tuple(node.id for node in nodes))
        given = self._score(nodes, keywords, subject.title, subject.description, self._tools.model)
        if key not in self._priors:
            # The neutral prompt has the shape of the subject's.
            about = "-" if subject.description else ""
            neutral = self._score(nodes, keywords, "", about, self._tools.priors.model)
            self._priors[key] = [logprob for logprob, _ in neutral]
        return [
            (logprob - prior_exponent * prior) / math.sqrt(max(tokens, 1))
            for (logprob, tokens), prior in zip(given, self._priors[key], strict=True)
        ]

    def _score(
        self,
        nodes: Sequence[VocabularyNode],
        keywords: list[str],
        title: str,
        description: str,
        model: LanguageModel,
    ) -> list[tuple[float, int]]:
        prompt = self._tools.library.render(
            "interests/label", self._tools.language, title=title, description=description, keywords=keywords
        )
        self.prompts[f"{prompt.name}.{prompt.language}"] = prompt.fingerprint
        with naming_prompt(prompt.fingerprint):
            scores = model.score(prompt.text, [self._text(node) for node in nodes])
        return [(score.logprob, score.tokens) for score in scores]

    def _text(self, node: VocabularyNode) -> str:
        label = node.label(self._tools.language)
        return label if self._tools.language == "zh" else f" {label.lower()}"
