# The service of `make host`, without a database of its own: compose.yaml brings one.
FROM python:3.13.0-slim-bookworm AS packages
WORKDIR /draugar
COPY requirements-host.txt scripts/packages.py ./
RUN python -m venv /draugar/.venv-host \
    && /draugar/.venv-host/bin/python -I -m pip install --no-deps --no-compile --no-cache-dir \
        --require-hashes --requirement requirements-host.txt

FROM python:3.13.0-slim-bookworm
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent draugar \
    && install --directory --owner=draugar --mode=700 /data
WORKDIR /draugar
COPY --from=packages /draugar/.venv-host .venv-host
COPY app.py ./
COPY .chalice/config.json .chalice/config.json
COPY chalicelib chalicelib
COPY migrations migrations
COPY scripts scripts
COPY vendor vendor
COPY client/web/dist client/web/dist
COPY docs docs
USER 10001
ENV DATA_DIR=/data PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
EXPOSE 8000
VOLUME /data
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD [".venv-host/bin/python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/api/health')"]
ENTRYPOINT [".venv-host/bin/python", "-m", "scripts.host"]
