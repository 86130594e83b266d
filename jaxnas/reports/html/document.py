"""A page for a browser in one file: its frame, and drawings that stand in it."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from importlib import resources

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {scripts}; "
    "base-uri 'none'; form-action 'none'"
)
"""The page's Content-Security-Policy: nothing is fetched, and no script runs but the page's own,
which it knows by its hash. Drawings have their colours in style attributes, and rasters in them."""


def document(title: str, body: str) -> str:
    """The whole page.

    Args:
      title: as text.
      body: as HTML; the script that moves sliders comes with it where it has one.
    """
    style, script = _file("page.css"), _file("sliders.js")
    moving = 'type="range"' in body
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = POLICY.format(scripts=f"'sha256-{digest}'" if moving else "'none'")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{html.escape(title)}</title>",
            f"<style>\n{style}</style>",
            "</head>",
            "<body>",
            f"<h1>{html.escape(title)}</h1>",
            body,
            *([f"<script>{script}</script>"] if moving else []),
            "</body>",
            "</html>\n",
        ]
    )


def drawing(svg: str, name: str, caption: str) -> str:
    """An SVG of Matplotlib's as a part of a page.

    Args:
      svg: the file's text.
      name: different for every drawing of the page; its ids get it as a prefix.
      caption: what it shows, for those who do not see it.
    """
    svg = svg[svg.index("<svg") :].strip()
    # A style sheet inside would be one of the whole page, whose own has the same rule.
    svg = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", svg, flags=re.DOTALL)
    prefix = re.sub(r"[^\w-]", "_", name)
    svg = re.sub(r'(\bid="|="#|="url\(#)', rf"\g<1>{prefix}-", svg)
    label = html.escape(caption)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return f'<div class="drawing">{svg}</div>'


def _file(name: str) -> str:
    return (resources.files("jaxnas.reports.html") / name).read_text("utf-8")
