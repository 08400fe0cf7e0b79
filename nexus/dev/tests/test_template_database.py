"""Test databases are copies of a template, which has all migrations."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from nexus.dev.template_database import PREFIX, prepare_template


@pytest.mark.django_db
def test_test_databases_are_copies_with_all_migrations():
    executor = MigrationExecutor(connection)

    template = connection.settings_dict["TEST"]["TEMPLATE"]

    assert template.startswith(PREFIX)
    assert template == prepare_template()
    assert executor.migration_plan(executor.loader.graph.leaf_nodes()) == []
