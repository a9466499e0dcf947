# The collector, dbt and the scripts in one image. Any script is a command of it:
#   docker run IMAGE scripts/migrate
FROM python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/headwater headwater

WORKDIR /app
# Without what only tests and linters use.
COPY requirements.lock requirements-uv.lock ./
COPY scripts/install scripts/
# Compiled here, since who runs it may not write: dbt starts a second sooner.
RUN PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 scripts/install \
    && .venv/bin/pip uninstall --quiet --yes uv setuptools pip
COPY . .

# Everything that is written goes to the user's home; /app stays as it was built.
ENV HOST=0.0.0.0 \
    PORT=3000 \
    HEADWATER_DATA=/var/lib/headwater \
    DBT_TARGET_PATH=/var/lib/headwater/target \
    DBT_LOG_PATH=/var/lib/headwater/logs
USER headwater
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=2)"]
CMD ["scripts/serve"]
