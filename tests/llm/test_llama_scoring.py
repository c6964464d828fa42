"""How continuations are laid out in batches: every property that scores depend on, without a model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.llm.llama_scoring import (
    BatchLimits,
    PathGroup,
    TokenPath,
    log_normalizers,
    plan_groups,
    rows_of_texts,
)

AMPLE = BatchLimits(rows=10_000, logits=10_000, branches=10_000)

# Few tokens, so that paths begin alike; leads as of prefixes that differ towards their ends.
TEXTS = st.lists(st.integers(0, 2), max_size=7).map(tuple)
ANY_PATHS = st.lists(
    st.builds(
        lambda tokens, lead: TokenPath(tokens, min(lead, max(len(tokens) - 1, 0))), TEXTS, st.integers(0, 6)
    ),
    max_size=24,
    unique=True,
)
FAMILIES = st.builds(
    lambda leads, tails: list(
        dict.fromkeys(TokenPath(lead + tail, len(lead)) for lead in leads for tail in tails)
    ),
    st.lists(TEXTS, min_size=1, max_size=4, unique=True),
    st.lists(TEXTS.filter(len), min_size=1, max_size=8, unique=True),
)
PATHS = ANY_PATHS | FAMILIES
LIMITS = st.builds(
    BatchLimits, rows=st.integers(1, 40), logits=st.integers(1, 20), branches=st.integers(1, 7)
)


def plan(
    paths: Sequence[TokenPath], limits: BatchLimits = AMPLE, *, shares_rows: bool = True
) -> list[PathGroup]:
    return list(plan_groups(paths, limits, shares_rows=shares_rows))


def rows_by_path(group: PathGroup) -> dict[int, list[int]]:
    """The rows of each path, in the order of evaluation."""
    return {
        place: [row for row, members in enumerate(group.branches) if branch in members]
        for branch, place in enumerate(group.paths, start=1)
    }


class TestEveryPlan:
    @given(PATHS, LIMITS, st.booleans())
    def test_every_path_that_needs_rows_is_in_one_group(
        self, paths: list[TokenPath], limits: BatchLimits, shares: bool
    ) -> None:
        placed = [place for group in plan(paths, limits, shares_rows=shares) for place in group.paths]
        assert sorted(placed) == [place for place, path in enumerate(paths) if len(path.tokens) > 1]

    @given(PATHS, LIMITS, st.booleans())
    def test_the_rows_of_a_path_are_its_tokens_one_after_the_other(
        self, paths: list[TokenPath], limits: BatchLimits, shares: bool
    ) -> None:
        for group in plan(paths, limits, shares_rows=shares):
            assert len(group.tokens) == len(group.depths) == len(group.branches) == len(group.wanted)
            for place, rows in rows_by_path(group).items():
                # Rows are found in the order they are evaluated in, so a parent comes before its child.
                assert [group.tokens[row] for row in rows] == list(paths[place].tokens[:-1])
                assert [group.depths[row] for row in rows] == list(range(len(rows)))

    @given(PATHS, LIMITS)
    def test_a_row_belongs_to_all_paths_of_its_group_that_begin_like_it(
        self, paths: list[TokenPath], limits: BatchLimits
    ) -> None:
        for group in plan(paths, limits):
            beginnings = {}
            for place, rows in rows_by_path(group).items():
                beginnings.update({row: paths[place].tokens[: at + 1] for at, row in enumerate(rows)})
            assert len(beginnings) == len(group.tokens)
            assert len(set(beginnings.values())) == len(beginnings), "a beginning has two rows"
            for row, beginning in beginnings.items():
                alike = [
                    branch
                    for branch, place in enumerate(group.paths, start=1)
                    if paths[place].tokens[:-1][: len(beginning)] == beginning
                ]
                assert sorted(group.branches[row]) == alike

    @given(PATHS, LIMITS)
    def test_where_rows_cannot_be_shared_each_has_one_path(
        self, paths: list[TokenPath], limits: BatchLimits
    ) -> None:
        groups = plan(paths, limits, shares_rows=False)
        assert all(len(members) == 1 for group in groups for members in group.branches)
        assert sum(len(group.tokens) for group in groups) == sum(path.rows for path in paths)
        lengths = [len(paths[place].tokens) for group in groups for place in group.paths]
        assert lengths == sorted(lengths)

    @given(PATHS, LIMITS, st.booleans())
    def test_each_token_after_the_lead_is_read_once_and_after_the_right_row(
        self, paths: list[TokenPath], limits: BatchLimits, shares: bool
    ) -> None:
        for group in plan(paths, limits, shares_rows=shares):
            expected = {
                (rows[depth - 1], paths[place].tokens[depth], place)
                for place, rows in rows_by_path(group).items()
                # What comes first of all is known of the trunk, without a row.
                for depth in range(max(paths[place].lead, 1), len(paths[place].tokens))
            }
            assert len(group.reads) == len(set(group.reads))
            assert set(group.reads) == expected
            assert [row for row, wanted in enumerate(group.wanted) if wanted] == sorted(
                {row for row, _, _ in group.reads}
            )

    @given(PATHS, LIMITS, st.booleans())
    def test_limits_are_kept_but_by_a_single_longer_path(
        self, paths: list[TokenPath], limits: BatchLimits, shares: bool
    ) -> None:
        for group in plan(paths, limits, shares_rows=shares):
            assert len(group.paths) <= limits.branches
            if len(group.paths) > 1:
                assert len(group.tokens) <= limits.rows
                assert sum(group.wanted) <= limits.logits

    @given(st.data(), PATHS, LIMITS, st.booleans())
    def test_the_order_of_the_paths_does_not_matter(
        self, data: st.DataObject, paths: list[TokenPath], limits: BatchLimits, shares: bool
    ) -> None:
        shuffled = data.draw(st.permutations(paths))

        def shape(given: Sequence[TokenPath]) -> list[object]:
            return [
                (
                    group.tokens,
                    group.depths,
                    group.branches,
                    group.wanted,
                    [given[place] for place in group.paths],
                    [(row, token, given[place]) for row, token, place in group.reads],
                )
                for group in plan(given, limits, shares_rows=shares)
            ]

        assert shape(shuffled) == shape(paths)

    @given(PATHS, LIMITS, st.booleans())
    def test_two_neighbouring_groups_would_not_fit_in_one_half(
        self, paths: list[TokenPath], limits: BatchLimits, shares: bool
    ) -> None:
        """Else there would be groups for nothing; whole bundles of one lead may leave a group half empty."""
        groups = plan(paths, limits, shares_rows=shares)
        for one, other in itertools.pairwise(groups):
            together = [paths[place] for place in [*one.paths, *other.paths]]
            leads = {path.tokens[: path.lead] for path in together}
            if len(leads) > 1:
                continue
            (merged,) = plan(together, AMPLE, shares_rows=shares)
            assert (
                len(merged.paths) > limits.branches
                or len(merged.tokens) > limits.rows
                or len(merged.tokens) > limits.logits
            )


class TestPacking:
    def test_no_path_no_group(self) -> None:
        assert plan([]) == []
        assert plan([TokenPath(()), TokenPath((5,)), TokenPath((6,), 0)]) == []

    def test_what_fits_is_one_group(self) -> None:
        paths = [TokenPath((1, 2, number, 9)) for number in range(40)]
        (group,) = plan(paths, BatchLimits(rows=512, logits=128, branches=63))
        assert len(group.tokens) == 2 + 40
        assert group.branches[0] == list(range(1, 41))

    def test_paths_with_one_lead_stay_together_where_they_fit(self) -> None:
        """A lead that is torn apart is evaluated twice."""
        paths = [
            TokenPath((*(lead,) * 10, tail, tail, tail), lead=10)
            for lead in range(5)
            for tail in range(20, 24)
        ]
        groups = plan(paths, BatchLimits(rows=60, logits=40, branches=63))
        assert [sorted({place // 4 for place in group.paths}) for group in groups] == [[0, 1], [2, 3], [4]]
        assert sum(len(group.tokens) for group in groups) == 5 * (10 + 4 * 2)

    def test_a_row_that_leads_to_one_path_and_is_read_for_another_counts(self) -> None:
        paths = [TokenPath((1, 2, 3, 4), lead=3), TokenPath((1, 2, 3, 5), lead=0)]
        for limit, groups in ((2, 2), (6, 1)):
            found = plan(paths, BatchLimits(rows=9, logits=limit, branches=9))
            assert len(found) == groups

    def test_a_bundle_that_fits_nowhere_fills_what_is_left(self) -> None:
        paths = [TokenPath((1, number, number, number)) for number in range(100)]
        groups = plan(paths, BatchLimits(rows=50, logits=50, branches=63))
        assert [len(group.paths) for group in groups[:-1]] == [24] * (len(groups) - 1)

    @pytest.mark.parametrize("length", [2, 129, 600])
    def test_a_path_longer_than_every_limit_is_alone(self, length: int) -> None:
        paths = [TokenPath((1,) * length), TokenPath((2, 3)), TokenPath((0, 3))]
        groups = plan(paths, BatchLimits(rows=1, logits=1, branches=9))
        assert sorted(len(group.tokens) for group in groups) == [1, 1, length - 1]

    def test_no_row_of_a_lead_is_wanted_but_its_last(self) -> None:
        (group,) = plan([TokenPath((1, 2, 3, 4, 5), lead=3)])
        assert group.wanted == [False, False, True, True]
        assert group.reads == [(2, 4, 0), (3, 5, 0)]


class TestRowsOfTexts:
    @given(st.lists(TEXTS, max_size=12))
    def test_they_are_the_distinct_beginnings(self, texts: list[tuple[int, ...]]) -> None:
        beginnings = {text[:end] for text in texts for end in range(1, len(text))}
        assert rows_of_texts(texts, shares_rows=True) == len(beginnings)

    @given(st.lists(TEXTS, max_size=12))
    def test_unshared_each_text_has_its_own(self, texts: list[tuple[int, ...]]) -> None:
        assert rows_of_texts(texts, shares_rows=False) == sum(max(len(text) - 1, 0) for text in texts)

    @given(st.lists(TEXTS, max_size=12, unique=True))
    def test_they_are_what_a_plan_without_bounds_has(self, texts: list[tuple[int, ...]]) -> None:
        groups = plan([TokenPath(text) for text in texts])
        assert rows_of_texts(texts, shares_rows=True) == sum(len(group.tokens) for group in groups)


class TestLogNormalizers:
    @pytest.mark.parametrize(("rows", "vocabulary"), [(0, 7), (1, 1), (5, 300), (3, 150_000)])
    @pytest.mark.parametrize("spread", [0.0, 1.0, 30.0])
    def test_they_are_those_of_double_precision(self, rows: int, vocabulary: int, spread: float) -> None:
        logits = np.random.default_rng(3).normal(-4, spread, (rows, vocabulary)).astype(np.float32)
        found = log_normalizers(logits)
        exact = logits.astype(np.float64)
        top = exact.max(axis=1, keepdims=True)
        expected = (top + np.log(np.exp(exact - top).sum(axis=1, keepdims=True)))[:, 0]
        assert found.dtype == np.float32
        assert found.shape == (rows,)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-5)

    @pytest.mark.parametrize("height", [-1e30, -1e4, 1e4, 1e30])
    def test_heights_do_not_overflow(self, height: float) -> None:
        assert log_normalizers(np.full((1, 4), height, np.float32)) == pytest.approx(
            [height + np.log(4)], rel=1e-6
        )

    def test_an_impossible_token_weighs_nothing(self) -> None:
        logits = np.array([[-np.inf, 2.0, -np.inf, 2.0]], np.float32)
        assert log_normalizers(logits) == pytest.approx([2 + np.log(2)])

    @pytest.mark.parametrize(
        "row", [[np.nan, 1.0, 2.0], [1.0, 2.0, np.nan], [np.inf, 1.0, 2.0], [-np.inf, -np.inf, -np.inf]]
    )
    def test_what_is_no_number_is_told_by_its_row_alone(self, row: list[float]) -> None:
        found = log_normalizers(np.array([[1.0, 2.0, 3.0], row, [3.0, 2.0, 1.0]], np.float32))
        assert list(np.isfinite(found)) == [True, False, True]

    def test_the_logits_are_left_as_they_are(self) -> None:
        logits = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
        before = logits.copy()
        log_normalizers(logits)
        assert np.array_equal(logits, before)
