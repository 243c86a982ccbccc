"""Signatures in the form of Standard Webhooks. Pure.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac

_PREFIX = "whsec_"


def secret_of(master: str, caller: str) -> str:
    """A caller's secret, as receivers' libraries take it: `whsec_` and the key in base64."""
    key = hmac.new(master.encode(), caller.encode(), hashlib.sha256).digest()
    return _PREFIX + base64.b64encode(key).decode()


def signed_headers(secret: str, event_id: str, timestamp: int, body: str) -> dict[str, str]:
    """The three headers by which a receiver knows who sends, when, and what was sent."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = f"{event_id}.{timestamp}.{body}".encode()
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
