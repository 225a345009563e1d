"""Posts to the events service: one request, and what was answered."""

from flagkeep._runtime.http_threads import Http
from flagkeep.config import EventSettings
from flagkeep.errors import UpstreamUnavailable
from flagkeep.events import wire
from flagkeep.events.delivery import Payload
from flagkeep.protocol.http import Requester, diagnostic_url, display, events_url

Answer = tuple[int | None, str]
"""A status, None if there was no answer, and what happened in words."""


class EventPosts:
    """The events service, as one client sees it.

    Attributes:
        server_time_ms: what time it was for the service when it last answered; 0: it never did.
    """

    def __init__(self, settings: EventSettings, http: Http) -> None:
        self._settings = settings
        self._http = http
        self.server_time_ms = 0

    def analytics(self, asker: Requester, payload: Payload, timeout: float) -> Answer:
        """Post analytics events, for `timeout` seconds at most."""
        url = events_url(self._settings.base_uri)
        headers = {**asker.headers(), **wire.analytics_headers(payload.id)}
        return self._post(url, headers, payload.body(), timeout)

    def diagnostic(self, asker: Requester, body: bytes, timeout: float) -> Answer:
        """Post a diagnostic event, for `timeout` seconds at most."""
        url = diagnostic_url(self._settings.base_uri)
        headers = {**asker.headers(), **wire.diagnostic_headers()}
        return self._post(url, headers, body, timeout)

    def _post(self, url: str, headers: dict[str, str], body: bytes, timeout: float) -> Answer:
        if self._settings.compress:
            headers = {**headers, "Content-Encoding": "gzip"}
            body = wire.compressed(body)
        try:
            answer = self._http.request("POST", url, headers, body, timeout=timeout)
        except UpstreamUnavailable as exc:
            return None, str(exc)
        self.server_time_ms = wire.server_time_ms(answer.headers) or self.server_time_ms
        status = answer.status
        return status, f"{display(url)} answered {status}"
