"""Trainings and feedback in the admin: looked at, and nothing else."""

import pytest
from django.test import Client

from recommendations.models import Feedback, Training

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(make_user):
    client = Client()
    client.force_login(make_user("boss", is_staff=True, is_superuser=True))
    return client


def test_a_training_shows_its_figures_and_the_way_back(staff):
    training = Training.objects.create(
        state="ready",
        active=True,
        algorithm="edlae-1",
        metrics={"held_out": {"members": 12, "auc": 0.8123}},
    )
    assert b"AUC 0.812" in staff.get("/admin/recommendations/training/").content
    page = staff.get(f"/admin/recommendations/training/{training.pk}/change/").content
    assert b"0.8123" in page
    assert b"train_recommender --rollback" in page


def test_a_training_shows_its_reliability_diagram_and_rounded_numbers(staff):
    training = Training.objects.create(
        algorithm="edlae-1",
        duration_s=16.3712,
        metrics={
            "held_out": {"members": 1200, "ndcg_at_10": 0.38461},
            "reliability": [[40, 0.25, 0.2], [60, 0.75, 0.8]],
        },
    )

    page = staff.get(f"/admin/recommendations/training/{training.pk}/change/").content.decode()

    assert 'aria-label="share liked by predicted probability"' in page
    assert "<td>1,200</td>" in page
    assert "16.4 s" in page


def test_nothing_of_it_is_added_changed_or_deleted(staff, make_user, make_movie):
    training = Training.objects.create(algorithm="edlae-1")
    now = training.created_at
    said = Feedback.objects.create(
        user=make_user("ann"),
        movie=make_movie("Alien"),
        kind="hide",
        created_at=now,
        updated_at=now,
    )
    assert b"Alien" in staff.get("/admin/recommendations/feedback/").content
    for name, pk in (("training", training.pk), ("feedback", said.pk)):
        for tail in ("add/", f"{pk}/delete/"):
            assert staff.post(f"/admin/recommendations/{name}/{tail}", {}).status_code == 403
        assert staff.post(f"/admin/recommendations/{name}/{pk}/change/", {}).status_code == 403
