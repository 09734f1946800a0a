"""Health check of a server: ends with 0 when the address answers 200 within five seconds, with 1 otherwise.

`python deploy/answers.py http://127.0.0.1:4200/api/admin/version`; the image has no curl. Prefect asks for credentials
at that address, unlike at /api/health: the check also shows that both sides have the same auth string.
"""

import base64
import os
import sys
import urllib.request

if __name__ == "__main__":
    request = urllib.request.Request(sys.argv[1])  # noqa: S310  whoever writes the check writes the address
    credentials = os.environ.get("PREFECT_API_AUTH_STRING")
    if credentials:
        request.add_header("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310  likewise
            sys.exit(answer.status != 200)
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: {error}")
