# The tracker for every service in docker-compose.yml. Build stage: the locked packages, checked against their hashes.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /source
RUN python -m venv --without-pip /opt/tracker
# Before the sources, so that a change in them does not fetch everything again. Wheels only: nothing is compiled here.
COPY requirements.lock ./
RUN pip --python /opt/tracker/bin/python install --only-binary=:all: --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY tracker tracker
COPY workers workers
COPY connectors connectors
COPY config config
RUN pip --python /opt/tracker/bin/python install --no-build-isolation --no-deps . \
    && pip --python /opt/tracker/bin/python uninstall --yes setuptools

FROM python:3.13-slim
RUN pip uninstall --yes --root-user-action=ignore pip \
    && groupadd --gid 10001 tracker \
    && useradd --uid 10001 --gid tracker --no-create-home --home-dir /data --shell /usr/sbin/nologin tracker \
    && install --directory --owner tracker --group tracker --mode 0700 /data
COPY --from=build /opt/tracker /opt/tracker
# The root file system may be read-only: nothing is written outside of /data and /tmp. SQLite sorts where there is room.
ENV PATH=/opt/tracker/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TRACKER_DATA_DIR=/data SQLITE_TMPDIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s --retries=3 CMD ["tracker", "health"]
ENTRYPOINT ["tracker"]
CMD ["serve"]
