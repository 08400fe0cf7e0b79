import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommendations.algorithms.ranking import MAX_PARTS, WINDOW, order_series


def order(ranked, series, released=None, *, eligible=None):
    n = len(series)
    days = np.arange(n) if released is None else np.array(released)
    is_eligible = np.ones(n, dtype=bool) if eligible is None else np.array(eligible)
    return order_series(ranked, np.array(series), days, is_eligible=is_eligible)


def test_first_part_stands_in_for_a_later_one():
    # Movie 0 is the first part, 2 the third; 1 and 3 are of no series.
    assert order([2, 1, 0, 3], [7, 0, 7, 0]) == [0, 1, 2, 3]


def test_release_decides_which_part_is_the_first():
    assert order([0, 1, 2], [7, 0, 7], released=[1999, 1990, 1977]) == [2, 1, 0]


def test_series_do_not_mix():
    assert order([1, 3, 0, 2], [7, 7, 8, 8]) == [0, 2, 1, 3]


def test_series_whose_first_part_is_under_the_floor_comes_last():
    ranked = order([1, 2, 3, 0], [7, 7, 0, 0], eligible=[False, True, True, True])

    assert ranked == [2, 3, 1, 0]


def test_part_under_the_floor_does_not_hold_back_earlier_parts():
    assert order([2, 3, 0, 1], [7, 7, 7, 0], eligible=[True, False, True, True])[:2] == [0, 3]


def test_at_most_two_parts_stand_in_ten_places():
    series = [7] * 4 + [0] * 20

    ranked = order(list(range(24)), series)

    assert [place for place, index in enumerate(ranked) if series[index]] == [0, 1, 10, 11]


def test_parts_follow_each_other_if_there_is_nothing_else():
    assert order([2, 1, 0], [7, 7, 7]) == [0, 1, 2]


@given(st.lists(st.integers(0, 3), max_size=30), st.randoms(use_true_random=False))
def test_every_movie_has_one_place_and_every_series_its_sequence(series, random):
    ranked = list(range(len(series)))
    random.shuffle(ranked)
    eligible = [random.random() < 0.8 for _ in series]

    ordered = order(ranked, series, eligible=eligible)

    assert sorted(ordered) == list(range(len(series)))
    for each in {1, 2, 3}:
        parts = [index for index in ordered if series[index] == each]
        held_back = next((part for part in sorted(parts) if not eligible[part]), len(series))
        shown = [part for part in parts if part < held_back]
        assert parts[: len(shown)] == sorted(shown)


@given(st.lists(st.integers(0, 3), max_size=30), st.randoms(use_true_random=False))
def test_more_parts_stand_together_only_if_no_other_movie_is_left(series, random):
    ranked = list(range(len(series)))
    random.shuffle(ranked)

    ordered = [series[index] for index in order(ranked, series)]

    for place, each in enumerate(ordered):
        before = ordered[max(place - WINDOW + 1, 0) : place]
        if each and before.count(each) >= MAX_PARTS:
            assert all(other and before.count(other) >= MAX_PARTS for other in ordered[place:])
