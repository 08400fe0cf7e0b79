from django.db import migrations, models
from django.db.models import Value


class Migration(migrations.Migration):
    dependencies = [("social", "0025_check_ratings")]

    operations = [
        migrations.AddField(
            model_name="import",
            name="left_out",
            field=models.JSONField(
                db_default=Value([], output_field=models.JSONField()), default=list
            ),
        ),
    ]
