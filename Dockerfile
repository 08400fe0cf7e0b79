# The service as a small image. PostgreSQL and Valkey are not part of it.
FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir -r requirements.txt

FROM python:3.13-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PRODUCTION=1
RUN useradd --system --no-create-home nexus
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
# collectstatic needs valid settings but connects to no server. The image does not store these values.
RUN SECRET_KEY=build JWT_SIGNING_KEYS=only-for-collecting-static-files \
    DATABASE_URL=postgres://build@localhost/build REDIS_URL=redis://localhost \
    python manage.py collectstatic --no-input
USER nexus
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 8000)}/health/live/', timeout=4)"]
# Migrations run once per release (render.yaml: preDeployCommand), not on every start.
CMD ["gunicorn", "nexus.wsgi"]
