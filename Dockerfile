# The service in a container: `docker build -t notifications .`; compose.yaml starts it with a database.

FROM python:3.13-slim AS build
WORKDIR /app
COPY requirements.txt requirements-celery.txt ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir -r requirements.txt -r requirements-celery.txt

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home notifications
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py gunicorn.conf.py ./
COPY project project
COPY notifications notifications
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=8000 NOTIFICATIONS_LOG_FILE=/data/log.txt
RUN mkdir /data && chown notifications /data
VOLUME /data
USER notifications
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:8000' + os.environ.get('SCRIPT_NAME', '') + '/livez', timeout=2)"]
CMD ["gunicorn", "project.wsgi"]
