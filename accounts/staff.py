"""Django's admin as an app with this service's site.

Not in accounts.apps, where Django would take AdminConfig for the app's own.
"""

from django.contrib.admin.apps import AdminConfig


class StaffAdminConfig(AdminConfig):
    default_site = "accounts.admin_site.StaffSite"
