from django.db import migrations

from nexus.core.visible_text import find_url_problem, remove_invisible

# Model, column, and whether it is one line.
TEXTS = (
    ("accounts", "User", "display_name", True),
    ("accounts", "User", "bio", False),
    ("social", "Playlist", "name", True),
    ("social", "Playlist", "description", False),
    ("social", "PlaylistItem", "note", False),
    ("social", "Rating", "review", False),
    ("social", "ReviewReport", "comment", False),
)
# PostgreSQL finds the few rows that may need it; remove_invisible() decides.
CANDIDATES = (
    r"[\u0001-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U000e0000-\U000e007f]"
)
CHUNK_SIZE = 1000


def clean_texts(apps, schema_editor):
    for app, model, name, is_line in TEXTS:
        objects = apps.get_model(app, model).objects
        candidates = objects.filter(**{f"{name}__regex": CANDIDATES})
        for pk, text in candidates.values_list("pk", name).iterator(chunk_size=CHUNK_SIZE):
            cleaned = remove_invisible(text, is_line=is_line)
            if model == "Playlist" and name == "name":
                cleaned = cleaned or "Untitled"
            if cleaned != text:
                objects.filter(pk=pk).update(**{name: cleaned})


def remove_unsafe_urls(apps, schema_editor):
    users = apps.get_model("accounts", "User").objects
    urls = users.exclude(avatar_url="").values_list("pk", "avatar_url")
    for pk, url in urls.iterator(chunk_size=CHUNK_SIZE):
        if find_url_problem(url):
            users.filter(pk=pk).update(avatar_url="")


class Migration(migrations.Migration):
    """Apply the rules for texts and URLs to what was written before."""

    # Each row is changed in a transaction of its own. The migration can run again.
    atomic = False

    dependencies = [("accounts", "0008_visible_text"), ("social", "0017_import_finished_at")]

    operations = [
        migrations.RunPython(clean_texts, migrations.RunPython.noop),
        migrations.RunPython(remove_unsafe_urls, migrations.RunPython.noop),
    ]
