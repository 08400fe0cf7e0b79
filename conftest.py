"""The fixture that replaces one of pytest-django. nexus.dev.pytest_plugin defines all others."""

import pytest


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Make each test database a copy of a migrated one."""
    from django.db import connection

    from nexus.dev.template_database import prepare_template

    connection.settings_dict["TEST"]["TEMPLATE"] = prepare_template()
