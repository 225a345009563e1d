"""PLACEHOLDER to unblock integration; the owner HTTP overwrites this file."""
from flagkeep.errors import UpstreamUnavailable
from flagkeep._runtime.http_response import HttpResponse

class AsyncHttp:
    def __init__(self, settings):
        import httpx2
        self._s = settings
        self.max_response_bytes = settings.max_response_bytes
        self._h = httpx2
        self._c = httpx2.AsyncClient(verify=settings.verify, proxy=settings.proxy, timeout=httpx2.Timeout(settings.read_timeout, connect=settings.connect_timeout))
    async def request(self, method, url, headers, body=None, *, timeout=None):
        try:
            r = await self._c.request(method, url, headers=headers, content=body, follow_redirects=True)
        except self._h.HTTPError as exc:
            raise UpstreamUnavailable("server", str(exc)) from None
        return HttpResponse(r.status_code, {k.lower(): v for k, v in r.headers.items()}, r.content)
    def stream(self, url, headers, *, silence):
        return AsyncHttpStream(self, url, headers, silence)
    async def aclose(self):
        await self._c.aclose()
    def after_fork(self):
        pass
class AsyncHttpStream:
    def __init__(self, http, url, headers, silence):
        self._http, self._url, self._headers, self._silence = http, url, headers, silence
        self._r = None; self._task = None
    async def open(self):
        h = self._http._h
        try:
            c = self._http._c
            req = c.build_request("GET", self._url, headers=self._headers, timeout=h.Timeout(self._silence, connect=self._http._s.connect_timeout))
            self._r = await c.send(req, stream=True, follow_redirects=True)
            self.status = self._r.status_code
            self.headers = {k.lower(): v for k, v in self._r.headers.items()}
            self._it = self._r.aiter_raw().__aiter__()
        except h.HTTPError as exc:
            raise UpstreamUnavailable("server", str(exc)) from None
    async def read(self):
        import asyncio
        self._task = asyncio.current_task()
        try:
            return await anext(self._it, b"")
        except self._http._h.HTTPError as exc:
            raise UpstreamUnavailable("server", str(exc)) from None
        finally:
            self._task = None
    def stop(self):
        if self._r is not None:
            t = self._r.extensions["network_stream"].get_extra_info("socket")
            import socket
            try: t.shutdown(socket.SHUT_RDWR)
            except OSError: pass
    async def aclose(self):
        if self._r is not None:
            await self._r.aclose()
