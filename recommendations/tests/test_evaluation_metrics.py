"""Each measure against a table worked by hand."""

import math

import numpy as np
import pytest

from recommendations.evaluation import metrics

YES, NO = True, False


def test_ndcg_of_a_hand_worked_list_is_its_discounted_hits_over_the_ideal():
    hits = np.array([[YES, NO, YES, NO]])

    value = metrics.ndcg(hits, np.array([3]), at=4)

    # Hits at places 1 and 3: 1 + 1/2. Ideal, three hits first: 1 + 1/log2(3) + 1/2.
    assert value == pytest.approx([1.5 / (1.5 + 1 / math.log2(3))])


def test_ndcg_of_a_perfect_list_is_one_and_of_no_hit_zero():
    hits = np.array([[YES, YES, NO], [NO, NO, NO], [YES, YES, YES]])

    value = metrics.ndcg(hits, np.array([2, 2, 7]), at=3)

    assert value == pytest.approx([1.0, 0.0, 1.0])


def test_ndcg_and_recall_of_a_member_with_nothing_relevant_are_unknown():
    hits = np.array([[NO, NO]])

    assert np.isnan(metrics.ndcg(hits, np.array([0]), at=2)).all()
    assert np.isnan(metrics.recall(hits, np.array([0]), at=2)).all()


def test_recall_divides_by_what_fits_in_the_list():
    hits = np.array([[YES, NO, YES, NO], [YES, YES, NO, NO]])

    assert metrics.recall(hits, np.array([5, 2]), at=2) == pytest.approx([0.5, 1.0])
    assert metrics.recall(hits, np.array([5, 2]), at=4) == pytest.approx([0.5, 1.0])
    assert metrics.recall(hits, np.array([3, 4]), at=4) == pytest.approx([2 / 3, 0.5])


def test_coverage_counts_each_movie_once_and_no_empty_place():
    lists = np.array([[0, 1, 2], [2, 1, -1]])

    assert metrics.coverage(lists, movies=12) == 0.25


def test_novelty_is_the_mean_surprise_in_bits():
    lists = np.array([[0, 1], [0, -1]])

    # Seen by half, a quarter: 1, 2 and 1 bits.
    assert metrics.novelty(lists, np.array([0.5, 0.25])) == pytest.approx(4 / 3)


def test_novelty_of_a_movie_nobody_rated_is_finite():
    assert metrics.novelty(np.array([[1]]), np.array([0.5, 0.0])) == 2.0


def test_auc_counts_pairs_in_order_and_ties_by_half():
    liked = np.array([YES, NO, YES, NO])

    # Pairs: .9 > .5, .9 > .1, .5 = .5 (half), .5 > .1: 3.5 of 4.
    assert metrics.auc(liked, np.array([0.9, 0.5, 0.5, 0.1])) == 3.5 / 4


@pytest.mark.parametrize(
    ("probabilities", "expected"), [([0, 0, 1, 1], 1), ([1, 1, 0, 0], 0), ([3] * 4, 0.5)]
)
def test_auc_of_perfect_reversed_and_constant_probabilities_is_one_zero_and_a_half(
    probabilities, expected
):
    liked = np.array([NO, NO, YES, YES])

    assert metrics.auc(liked, np.array(probabilities, dtype=float)) == expected


def test_auc_with_one_kind_only_or_nothing_is_unknown():
    assert math.isnan(metrics.auc(np.array([YES, YES]), np.array([0.1, 0.2])))
    assert math.isnan(metrics.auc(np.zeros(0, dtype=bool), np.zeros(0)))


def test_mean_auc_looks_within_members_only():
    members = np.array([0, 1, 0, 1, 2])
    liked = np.array([YES, YES, NO, NO, YES])
    # Within each member in order, but the second's liked movie is below the first's other one.
    probabilities = np.array([0.9, 0.2, 0.8, 0.1, 0.5])

    assert metrics.mean_auc(members, liked, probabilities) == 1.0
    assert metrics.auc(liked[:4], probabilities[:4]) == 0.75
    assert np.isnan(metrics.auc_by_member(members, liked, probabilities)[2])


def test_log_loss_and_brier_of_a_hand_worked_table():
    liked, probabilities = np.array([YES, NO]), np.array([0.8, 0.4])

    assert metrics.log_loss(liked, probabilities) == pytest.approx(
        -(math.log(0.8) + math.log(0.6)) / 2
    )
    assert metrics.brier(liked, probabilities) == pytest.approx((0.04 + 0.16) / 2)


def test_log_loss_of_a_certainty_that_was_wrong_is_finite():
    assert metrics.log_loss(np.array([YES]), np.array([0.0])) == pytest.approx(math.log(1e6))


def test_ece_is_the_distance_of_said_from_true_weighed_by_ratings():
    liked = np.array([YES, NO, YES, YES])
    probabilities = np.array([0.1, 0.1, 0.9, 0.9])

    # First bin: said .1, true .5; second: said .9, true 1. Two ratings of four each.
    assert metrics.ece(liked, probabilities, bins=2) == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)
    assert metrics.reliability(liked, probabilities, bins=2) == pytest.approx(
        np.array([[2, 0.1, 0.5], [2, 0.9, 1.0]])
    )


def test_a_constant_chance_at_the_share_of_likes_is_calibrated():
    liked = np.array([YES, NO, NO, NO])

    assert metrics.ece(liked, np.full(4, 0.25)) == 0.0


def test_a_chance_of_one_falls_into_the_last_bin():
    table = metrics.reliability(np.array([YES]), np.array([1.0]), bins=3)

    assert table[2].tolist() == [1.0, 1.0, 1.0]
    assert np.isnan(table[:2, 1:]).all()


def test_the_standard_error_of_a_mean_is_the_textbook_one_when_each_group_is_a_member():
    values = np.arange(20.0)

    error = metrics.standard_error(lambda keep: float(values[keep].mean()), np.arange(20))

    assert error == pytest.approx(values.std(ddof=1) / math.sqrt(20))


def test_the_standard_error_with_one_member_is_unknown():
    assert math.isnan(metrics.standard_error(lambda keep: 1.0, np.array([3, 3])))


def test_ece_by_chance_is_the_ece_of_right_probabilities():
    rng = np.random.default_rng(1)
    probabilities = rng.beta(3, 2, 4000)
    drawn = [metrics.ece(rng.random(4000) < probabilities, probabilities) for _ in range(200)]

    assert metrics.ece_by_chance(probabilities) == pytest.approx(np.mean(drawn), rel=0.05)
    assert metrics.ece_by_chance(probabilities[:1000]) > 1.8 * metrics.ece_by_chance(probabilities)
