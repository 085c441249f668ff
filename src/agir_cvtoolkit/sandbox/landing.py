"""What a browser sees: where one is, and how a job is finished here without a page to draw on."""

from __future__ import annotations

from html import escape

from starlette.responses import Response

from .calls import Call

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>agir-cvtoolkit sandbox</title></head>
<body style="font-family: sans-serif; max-width: 45em; margin: 3em auto; line-height: 1.5">
<h1>agir-cvtoolkit sandbox</h1>
<p>This server answers like CVAT {version}, on this machine only. It has no page to draw on; the official SDK and plain
requests work. A job is finished by the request that CVAT's own page sends:</p>
<pre>curl -u {user}:PASSWORD -X PATCH {origin}/api/jobs/{job} \\
  -H "Content-Type: application/json" -d '{{"state": "completed"}}'</pre>
<p>Then: <code>agir-cvtoolkit download-cvat</code></p>
</body>
</html>
"""


def show_landing(call: Call) -> Response:
    """Answer the addresses that people open: the server, a task, a job."""
    job = call.ids[-1] if "/jobs/" in call.path and call.ids else "JOB_ID"
    page = _PAGE.format(
        version=escape(call.world.options.version),
        user=escape(call.world.options.username),
        origin=escape(call.origin),
        job=escape(job),
    )
    return Response(page, media_type="text/html")
