"""gunicorn's settings where gevent patches the first process, before the application is there."""

from gevent import monkey

monkey.patch_all()
