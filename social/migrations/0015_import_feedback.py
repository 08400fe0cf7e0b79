from django.db import migrations, models
from django.db.models import F, Value
from django.db.models.functions import Concat

NAMES = {("social", "playlist"): "Playlist ", ("accounts", "tokenfamily"): "Session "}


def remove_names_from_log(apps, schema_editor):
    """Replace the names of playlists and of members' sessions in the admin's log by ids."""
    entries = apps.get_model("admin", "LogEntry").objects
    for (app, model), prefix in NAMES.items():
        of_model = entries.filter(content_type__app_label=app, content_type__model=model)
        of_model.update(object_repr=Concat(Value(prefix), F("object_id")))


class Migration(migrations.Migration):
    dependencies = [
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("social", "0014_visible_text"),
    ]

    operations = [
        # Choices are not in the database.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="importrow",
                    name="kind",
                    field=models.CharField(
                        blank=True,
                        choices=[('rating', 'rating'), ('review', 'review'), ('viewing', 'viewing'), ('seen', 'seen'), ('watchlist', 'watchlist'), ('feedback', 'feedback'), ('playlist', 'playlist'), ('playlist_item', 'playlist_item'), ('profile', 'profile'), ('follow', 'follow'), ('block', 'block')],
                        max_length=20,
                    ),
                )
            ]
        ),
        migrations.RunPython(remove_names_from_log, migrations.RunPython.noop),
    ]
