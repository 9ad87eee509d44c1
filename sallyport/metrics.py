"""A few figures for Prometheus, by hand: what a balancer's dashboard needs, and no tenant in it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.ports import Clock

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A figure that is read when somebody asks."""

    meaning: str
    read: Callable[[], float]


class HttpFigures:
    """Counts requests by route, method and status; routes are patterns, so their number is ours."""

    def __init__(self, *, clock: Clock, gauges: Mapping[str, Gauge]) -> None:
        """Take the time and what else is shown, by metric name."""
        self._clock = clock
        self._gauges = gauges
        self._started_at = clock.now()
        self._served: Counter[tuple[str, str, int]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._in_flight = 0

    def begin(self) -> float:
        """Count a request in and return when it began, for ``end``."""
        self._in_flight += 1
        return self._clock.monotonic()

    def end(self, began: float, *, method: str, route: str, status: int) -> None:
        """Count a request out."""
        self._in_flight -= 1
        # A client may make methods up: each would be a figure of its own, kept for good.
        self._served[method if method in _METHODS else "OTHER", route, status] += 1
        self._seconds[route] += self._clock.monotonic() - began

    def text(self) -> str:
        """Return every figure in Prometheus' text format."""
        lines = [
            *_head("sallyport_up", "gauge", "Whether the process is up."),
            "sallyport_up 1",
            *_head("sallyport_start_time_seconds", "gauge", "Unix time of the start."),
            f"sallyport_start_time_seconds {self._started_at.timestamp():.3f}",
            *_head("sallyport_http_requests_in_flight", "gauge", "Requests being answered now."),
            f"sallyport_http_requests_in_flight {self._in_flight}",
            *_head("sallyport_http_requests_total", "counter", "Requests answered."),
            *(
                f"sallyport_http_requests_total{_labels(method=method, route=route, status=status)}"
                f" {count}"
                for (method, route, status), count in sorted(self._served.items())
            ),
            *_head("sallyport_http_request_seconds_total", "counter", "Time spent on requests."),
            *(
                f"sallyport_http_request_seconds_total{_labels(route=route)} {seconds:.6f}"
                for route, seconds in sorted(self._seconds.items())
            ),
        ]
        for name, gauge in self._gauges.items():
            lines += [*_head(name, "gauge", gauge.meaning), f"{name} {gauge.read():g}"]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, meaning: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _labels(**labels: object) -> str:
    told = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{{{told}}}"
