"""Asking people: ask, decide, route, grant, expire."""
