# The service as a small image. PostgreSQL and Valkey are not part of it.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
COPY requirements.lock .
RUN python -m venv /venv && \
    /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock

FROM ${BASE}
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PRODUCTION=1
# implicit, which a training uses, is linked against libgomp.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && \
    rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /venv /venv
COPY . .
# The user that runs the service can write neither files nor bytecode here. collectstatic needs valid
# settings but connects to no server. The image does not store these values.
RUN python -m compileall -q . && \
    SECRET_KEY=build JWT_SIGNING_KEYS=only-for-collecting-static-files \
    DATABASE_URL=postgres://build@localhost/build REDIS_URL=redis://localhost \
    python manage.py collectstatic --no-input
# A number, because Kubernetes' runAsNonRoot cannot check a name. The image needs no entry for it.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ.get(\"PORT\", 8000)}/health/live/', timeout=4)"]
# Migrations run once per release (render.yaml: preDeployCommand), not on every start.
CMD ["gunicorn", "nexus.wsgi"]
