from django.contrib.postgres.operations import AddConstraintNotValid
from django.contrib.postgres.search import SearchVectorField
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("movies", "0006_offers_and_configuration")]

    operations = [
        migrations.AddField(
            "person",
            "popularity",
            models.FloatField(default=0.0, db_default=0.0, verbose_name="TMDb's popularity"),
        ),
        migrations.AddField(
            "person", "search_vector", SearchVectorField(editable=False, null=True)
        ),
        AddConstraintNotValid(
            "person",
            models.CheckConstraint(
                condition=models.Q(popularity__gte=0, popularity__lte=1e9),
                name="person_popularity_range",
            ),
        ),
    ]
