from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Replace the index by movie, of all ratings, by one of the counted ratings."""

    atomic = False

    dependencies = [('social', '0007_counted_ratings')]

    operations = [
        AddIndexConcurrently(
            'rating',
            models.Index(
                fields=['movie'],
                include=('score', 'created_at'),
                condition=models.Q(is_counted=True),
                name='rating_movie_counted',
            ),
        ),
        RemoveIndexConcurrently('rating', 'rating_movie_newest'),
    ]
