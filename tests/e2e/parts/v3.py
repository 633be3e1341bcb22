"""V3 and V4 signatures, written apart from kmsapi/acs3.c and acs4.c: what they disagree about, one of them has wrong."""
import hashlib
import hmac
import http.client
import json
import secrets
import urllib.parse

from parts.times import text_of

EMPTY = hashlib.sha256(b"").hexdigest()


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def query_string(query):
    return "&".join(f"{quote(name)}={quote(value)}" for name, value in sorted(query))


def sign(method, host, headers, query, body, key_id, secret, scope=None):
    """The Authorization header for HEADERS (a dict, all of them to be signed): V3, or V4 with SCOPE, (date, region, product)."""
    lower = {"host": host, **{name.lower(): value.strip() for name, value in headers.items()}}
    names = sorted(lower)
    canonical = "\n".join([method, "/", query_string(query),
                           *(f"{name}:{lower[name]}" for name in names), "", ";".join(names),
                           hashlib.sha256(body).hexdigest()])
    algorithm, key, credential = "ACS3-HMAC-SHA256", secret.encode(), key_id
    if scope:
        algorithm, key = "ACS4-HMAC-SHA256", b"aliyun_v4" + key
        for word in (*scope, "aliyun_v4_request"):
            key = hmac.digest(key, word.encode(), "sha256")
            credential += "/" + word
    to_sign = algorithm + "\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{algorithm} Credential={credential},SignedHeaders={';'.join(names)},Signature={signature}"


class Request:
    """A signed request whose parts can be changed afterwards."""

    def __init__(self, host, operation, query=(), method="POST", body=b"", key_id=None, secret=None,
                 moment=None, content_type=None, scope=None, token=None):
        self.method, self.body, self.host = method, body, host
        self.query = list(query)
        self.headers = {
            "x-acs-action": operation,
            "x-acs-version": "2016-01-20",
            "x-acs-date": text_of(moment),
            "x-acs-signature-nonce": secrets.token_hex(16),
            "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        }
        if content_type:
            self.headers["content-type"] = content_type
        if token is not None:
            self.headers["x-acs-security-token"] = token
        self.unsigned = {"accept": "application/json", "user-agent": "test/1"}
        self.authorization = sign(method, host, self.headers, self.query, body, key_id, secret, scope)

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
