from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class AccountsConfig(AppConfig):
    name = "accounts"


class NexusAdminConfig(admin_apps.AdminConfig):
    """Django's admin app with the site in accounts.admin_site."""

    # AdminConfig sets True, which would make this the config of "accounts".
    default = False
    default_site = "accounts.admin_site.NexusAdminSite"
