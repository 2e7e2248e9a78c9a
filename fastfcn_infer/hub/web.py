"""Ask a web server for a file, or for the rest of one.

Failures are of two kinds: `Interrupted` is worth another try, `DownloadError` is not.

Source: RFC 9110, section 14 (ranges) and 15.4 (redirects).
"""

import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

from fastfcn_infer.errors import DownloadError
from fastfcn_infer.system import version

_PIECE = 1 << 18  # bytes
_SLOWEST = 1024  # bytes that must come within one time-out


class Interrupted(Exception):  # noqa: N818 - another attempt may do
    """This attempt failed; another one may not."""


class RangeRefused(Interrupted):
    """The file has no byte where the range was to begin."""


def ask(url: str, start: int, timeout: float) -> http.client.HTTPResponse:
    """Ask for a file.

    Args:
        url: http or https; redirects stay within these, and https stays https.
        start: the first byte wanted; the server may send the whole file all the same.
        timeout: seconds, to connect and for each answer.

    Returns:
        The answer, with status 200 or 206 and an unread body; the caller closes it.

    Raises:
        DownloadError: the address is refused, or the server says that there is no such file.
        Interrupted: the server did not answer, or said that it is in trouble.
    """
    check_address(url, url)
    headers = {
        "User-Agent": f"fastfcn-infer/{version.__version__}",
        "Accept-Encoding": "identity",  # or lengths and ranges would be those of something else
    }
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        response: http.client.HTTPResponse = _opener().open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        what = f"the server answered {error.code} {error.reason}"
        if error.code == 416:
            raise RangeRefused(what) from error
        if error.code in (408, 429) or error.code >= 500:
            raise Interrupted(what) from error
        raise DownloadError(what) from error
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(_say(error, timeout)) from error
    return response


def pieces(response: http.client.HTTPResponse, timeout: float) -> Iterator[bytes]:
    """Read the body; a sender that drips is as good as one that has stopped.

    Args:
        response: from `ask`.
        timeout: seconds in which a kilobyte must come.

    Raises:
        Interrupted: the connection broke, or too little came.
    """
    since, came = time.monotonic(), 0
    while piece := _read(response, timeout):
        yield piece
        came += len(piece)
        if came >= _SLOWEST:
            since, came = time.monotonic(), 0
        elif time.monotonic() - since > timeout:
            raise Interrupted(_say(TimeoutError(), timeout))


def check_address(url: str, origin: str) -> None:
    """Refuse addresses that are no web addresses, and the way from https to http.

    Args:
        url: the address.
        origin: the address that leads there; `url` itself where the user gave it.

    Raises:
        DownloadError: refused.
    """
    allowed = ("https",) if origin.lower().startswith("https:") else ("http", "https")
    parts = urllib.parse.urlsplit(url)
    if parts.scheme.lower() not in allowed or not parts.hostname:
        what = "it is no" if url == origin else f"{origin} leads to {url}, which is no"
        raise DownloadError(f"{what} {' or '.join(allowed)} address")


def _opener() -> urllib.request.OpenerDirector:
    # Not `build_opener`: it also opens file:, ftp: and data: addresses.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects whose address is checked first."""

    def http_error_302(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any
    ) -> Any:
        """Check where it goes, and go."""
        place = urllib.parse.urljoin(req.full_url, headers.get("Location", ""))
        try:
            check_address(place, req.full_url)
        except DownloadError:
            fp.close()
            raise
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _read(response: http.client.HTTPResponse, timeout: float) -> bytes:
    try:
        return response.read1(_PIECE)
    except (OSError, http.client.HTTPException) as error:
        raise Interrupted(_say(error, timeout)) from error


def _say(error: Exception, timeout: float) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"nothing, or next to nothing, came for {timeout:g} s"
    return str(cause) or type(cause).__name__
