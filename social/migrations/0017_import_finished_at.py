from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('social', '0016_index_of_member_rows'),
    ]

    operations = [
        migrations.AddField(
            model_name='import',
            name='finished_at',
            field=models.DateTimeField(null=True),
        ),
    ]
