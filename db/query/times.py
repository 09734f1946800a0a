"""Times as filters and results write them: RFC 3339 in UTC, to the second, so that texts sort as times do."""

from datetime import UTC, datetime


def time_text(seconds: float) -> str:
    """The text of a time.

    Args:
        seconds: since 1970 UTC; a fraction is cut off.
    """
    return datetime.fromtimestamp(seconds // 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def whole_seconds(text: str) -> int:
    """Seconds since 1970 UTC of a text that `time_text` wrote."""
    return round(datetime.fromisoformat(text).timestamp())


def normalized_time(text: str) -> str:
    """A time in the spelling of `time_text`; without a zone it is taken as UTC.

    Args:
        text: RFC 3339, e.g. 2026-01-31T12:00:00+01:00, or a date alone.

    Raises:
        ValueError: the text is no time, or one that no database holds.
    """
    time = datetime.fromisoformat(text)
    try:
        return time_text((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except OverflowError as error:
        raise ValueError(str(error)) from None
