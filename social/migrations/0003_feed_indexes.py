from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Apart from the columns before it, whose locks would stop reads while the indexes are made."""

    atomic = False

    dependencies = [
        ('social', '0002_people_and_diary'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='playlist',
            index=models.Index(models.F('owner'), models.OrderBy(models.F('published_at'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('visibility', 'public')), name='playlist_owner_published'),
        ),
        AddIndexConcurrently(
            model_name='rating',
            index=models.Index(models.F('user'), models.OrderBy(models.F('reviewed_at'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('hidden_at__isnull', True), ('reviewed_at__isnull', False)), name='rating_user_reviewed'),
        ),
        migrations.RunSQL(
            "UPDATE social_playlist SET published_at = created_at"
            " WHERE visibility = 'public' AND published_at IS NULL",
            migrations.RunSQL.noop,
        ),
    ]
