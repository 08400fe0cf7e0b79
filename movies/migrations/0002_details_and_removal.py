"""What is held of a film beyond an entry of a list, and that its source has it no longer.

Both columns come without a rewrite of the table: one has a constant default, one is null.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("movies", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="movie",
            name="details_missing",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name="movie",
            name="removed_at_source",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
