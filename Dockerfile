# syntax=docker/dockerfile:1
# One image for every process of Songline: SONGLINE_PROCESS says which one runs; a command of the container replaces it.
# It needs no writable root: only /data (an outbox, names of owners) and /tmp.

FROM python:3.13-slim@sha256:6771159cd4fa5d9bba1258caf0b82e6b73458c694d178ad97c5e925c2d0e1a91 AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /builder && python -m venv --without-pip /opt/songline
COPY requirements/ requirements/
RUN /builder/bin/pip install --require-hashes -r requirements/build.txt \
    && /builder/bin/pip --python /opt/songline/bin/python install --require-hashes --only-binary :all: -r requirements/run.txt
COPY . .
RUN /builder/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /builder/bin/pip --python /opt/songline/bin/python install --no-deps /wheels/*.whl

FROM python:3.13-slim@sha256:6771159cd4fa5d9bba1258caf0b82e6b73458c694d178ad97c5e925c2d0e1a91
LABEL org.opencontainers.image.title="Songline" \
      org.opencontainers.image.description="Event-sourced backend of a music-sharing application" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/songline /opt/songline
ENV PATH=/opt/songline/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
RUN groupadd --gid 10001 songline \
    && useradd --uid 10001 --gid songline --no-create-home --home-dir /data --shell /usr/sbin/nologin songline \
    && install --directory --owner songline --group songline --mode 0700 /data
WORKDIR /data
USER 10001:10001
CMD ["python", "-m", "songline.deployment.start"]
