"""The WSGI application that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nexus.settings")
# Sets the time limits of requests (nexus.settings).
os.environ.setdefault("SERVING", "1")

application = get_wsgi_application()
