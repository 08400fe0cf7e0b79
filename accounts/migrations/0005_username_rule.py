import django.db.models.functions.text
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q

import accounts.validators


class Migration(migrations.Migration):
    """One rule for usernames. 0006 applies it to the rows that exist."""

    dependencies = [
        ("accounts", "0004_remove_follow_counts"),
    ]

    operations = [
        migrations.AlterModelManagers("user", managers=[]),
        # None of them changes the database.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="user",
                    name="username",
                    field=models.CharField(
                        error_messages={"unique": "A user with that username already exists."},
                        help_text="Letters, digits and _ . + - , compared without case.",
                        max_length=150,
                        unique=True,
                        validators=[accounts.validators.validate_username],
                    ),
                ),
                migrations.AlterConstraint(
                    model_name="user",
                    name="user_username_unique_without_case",
                    constraint=models.UniqueConstraint(
                        django.db.models.functions.text.Lower("username"),
                        name="user_username_unique_without_case",
                        violation_error_message="A user with that username already exists.",
                    ),
                ),
                migrations.AlterConstraint(
                    model_name="user",
                    name="user_email_unique_without_case",
                    constraint=models.UniqueConstraint(
                        django.db.models.functions.text.Lower("email"),
                        condition=~Q(email=""),
                        name="user_email_unique_without_case",
                        violation_error_message="A user with that e-mail address already exists.",
                    ),
                ),
            ]
        ),
        AddConstraintNotValid(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=~Q(username__contains="@"),
                name="user_username_without_at",
                violation_error_message="A username cannot contain @.",
            ),
        ),
    ]
