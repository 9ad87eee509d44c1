"""Where a command's logs go, so that standard output holds its answer alone."""

import logging
import sys

import structlog


def log_to_stderr() -> None:
    """Log warnings and worse on standard error."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
