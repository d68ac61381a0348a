# Two images from one file:
#   serve   the service alone: no TensorFlow, no compiler, no pip
#   train   everything: imports, training, evaluation and the nightly job
# Both run as a user without rights and write nothing outside /data.
FROM python:3.11-slim AS base
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/slowwave/bin:$PATH \
    SLOWWAVE_HOME=/data
RUN groupadd --gid 10001 slowwave \
    && useradd --uid 10001 --gid slowwave --no-create-home --home-dir /tmp --shell /usr/sbin/nologin slowwave \
    && mkdir /data \
    && chown slowwave:slowwave /data
WORKDIR /data

# The dependencies change seldom and the sources often, so they are layers of their own: the packages
# are empty here and filled in below.
FROM base AS dependencies
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN python -m venv --without-pip /opt/slowwave \
    && mkdir service model pipelines \
    && pip --python /opt/slowwave/bin/python install --no-cache-dir -c constraints.txt .

FROM dependencies AS serve-build
COPY model model
COPY service service
COPY pipelines pipelines
RUN pip --python /opt/slowwave/bin/python install --no-cache-dir --no-deps --force-reinstall . \
    && find /opt/slowwave -type d -name tests -prune -exec rm -rf {} +

# pip stays in this one: `slowwave demo` fetches its data with it.
FROM dependencies AS train-build
RUN pip --python /opt/slowwave/bin/python install --no-cache-dir -c constraints.txt '.[train]' pip
COPY model model
COPY service service
COPY pipelines pipelines
RUN pip --python /opt/slowwave/bin/python install --no-cache-dir --no-deps --force-reinstall .

FROM base AS train
COPY --from=train-build /opt/slowwave /opt/slowwave
COPY deploy/nightly.sh /usr/local/bin/slowwave-nightly
USER slowwave
VOLUME /data
ENTRYPOINT ["slowwave"]
CMD ["--help"]

FROM base AS serve
COPY --from=serve-build /opt/slowwave /opt/slowwave
USER slowwave
VOLUME /data
ENV SLOWWAVE_PORT=8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"SLOWWAVE_PORT\"]}/health/live', timeout=2)"]
CMD ["python", "-m", "service", "--host", "0.0.0.0"]
