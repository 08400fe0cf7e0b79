"""Rename FilmFactors and two fields of Training. Tables and columns keep their names."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("recommendations", "0002_admins_trainings")]

    operations = [
        # None of them changes the database.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterModelTable("FilmFactors", "recommendations_filmfactors"),
                migrations.RenameModel("FilmFactors", "MovieFactors"),
                migrations.AlterModelOptions("MovieFactors", {"verbose_name_plural": "movie factors"}),
                migrations.AlterField(
                    "Training",
                    "film_count",
                    models.PositiveIntegerField(default=0, db_column="film_count"),
                ),
                migrations.RenameField("Training", "film_count", "movie_count"),
                migrations.AlterField(
                    "Training",
                    "films",
                    models.BinaryField("its movies' numbers", default=b"", db_column="films"),
                ),
                migrations.RenameField("Training", "films", "movies"),
                migrations.AlterField(
                    "MovieFactors",
                    "feed_targets",
                    models.BinaryField("what it speaks for in the feed of those who rated it"),
                ),
                migrations.AlterField(
                    "MovieFactors",
                    "taste",
                    models.BinaryField("the movies most like it by who liked them"),
                ),
            ]
        ),
    ]
