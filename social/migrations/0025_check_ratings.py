from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("social", "0024_reviews_without_a_score")]

    operations = [
        ValidateConstraint("rating", "rating_score_or_review"),
        ValidateConstraint("rating", "rating_counted_has_score"),
    ]
