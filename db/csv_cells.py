"""Values as cells of a CSV file that a spreadsheet may open."""

from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""With these a text becomes a formula when a spreadsheet opens a CSV file. Source: OWASP, CSV Injection."""


def csv_cell(value: Any) -> Any:
    """A value for a CSV file: empty where unknown, lists joined by semicolons, texts that no spreadsheet computes."""
    text = ";".join(value) if isinstance(value, list) else value
    if isinstance(text, str):
        # Control characters steer terminals; a text that a spreadsheet would take for a formula gets a quote in front.
        clean = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
        return ("'" if len(clean) > 1 and text.startswith(FORMULA_STARTS) else "") + clean
    return "" if text is None or text != text else text
