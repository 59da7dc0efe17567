"""What may stand in a drawing: SVG traces, and no markup but the page's own."""

import json
import re

OWN = re.compile(r"<extra></extra>|</?b>|<br>")
MARKUP = "<img src=x onerror=alert(1)>"
TEMPLATE = "%{x} <b>bold</b>"


def texts(data):
    """All texts in JSON data, those of keys left out."""
    if isinstance(data, dict):
        for value in data.values():
            yield from texts(value)
    elif isinstance(data, list):
        for value in data:
            yield from texts(value)
    elif isinstance(data, str):
        yield data


def check_drawing(figure):
    """Assert that a figure has only SVG traces, that foreign text in it is escaped, and that a template in it is none.

    Returns:
        All texts of the drawing.
    """
    data = json.loads(figure.draw().to_json())
    assert {trace["type"] for trace in data["data"]} <= {"scatter", "bar", "box", "heatmap"}
    found = list(texts(data["data"])) + list(texts(data["layout"]))
    for text in found:
        assert "<" not in OWN.sub("", text).replace("%{text}", ""), text
    templates = [trace.get("hovertemplate", "") for trace in data["data"]]
    assert not any("%{x} &lt;" in text for text in templates)
    return found
