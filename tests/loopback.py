"""An HTTP client for this machine: it trusts nobody's certificates, and so need not read them all.

Reading what the system trusts takes 40 ms a client, which is more than most tests.
"""

import ssl
from functools import partial

import httpx2

http_client = partial(httpx2.AsyncClient, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
