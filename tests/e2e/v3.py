"""V3 signatures, written apart from kmsapi/acs3.c: what they disagree about, one of them has wrong."""
import hashlib
import hmac
import http.client
import json
import secrets
import time
import urllib.parse

EMPTY = hashlib.sha256(b"").hexdigest()


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def query_string(query):
    return "&".join(f"{quote(name)}={quote(value)}" for name, value in sorted(query))


def sign(method, host, headers, query, body, key_id, secret):
    """The Authorization header for HEADERS (a dict, all of them to be signed)."""
    lower = {"host": host, **{name.lower(): value.strip() for name, value in headers.items()}}
    names = sorted(lower)
    canonical = "\n".join([method, "/", query_string(query),
                           *(f"{name}:{lower[name]}" for name in names), "", ";".join(names),
                           hashlib.sha256(body).hexdigest()])
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={';'.join(names)},Signature={signature}"


class Request:
    """A signed request whose parts can be changed afterwards."""

    def __init__(self, host, operation, query=(), method="POST", body=b"", key_id=None, secret=None,
                 moment=None, content_type=None):
        self.method, self.body, self.host = method, body, host
        self.query = list(query)
        self.headers = {
            "x-acs-action": operation,
            "x-acs-version": "2016-01-20",
            "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)),
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        }
        if content_type:
            self.headers["content-type"] = content_type
        self.unsigned = {"accept": "application/json", "user-agent": "test/1"}
        self.authorization = sign(method, host, self.headers, self.query, body, key_id, secret)

    def send(self, port, url=None):
        """(status, answer)"""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.putrequest(self.method, url or "/?" + query_string(self.query), skip_host=True,
                              skip_accept_encoding=True)
        headers = {"Host": self.host, **self.headers, **self.unsigned}
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(self.body)))
        connection.endheaders(self.body)
        answer = connection.getresponse()
        result = answer.status, json.loads(answer.read())
        connection.close()
        return result
