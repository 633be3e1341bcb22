"""V2 (RPC) signatures, written apart from kmsapi/rpc2.c: what they disagree about, one of them has wrong."""
import base64
import hashlib
import hmac
import http.client
import json
import secrets
import time

from parts.times import text_of
from parts.v3 import query_string, quote


def signed(method, parameters, key_id, secret):
    """PARAMETERS (a dict) with what V2 adds, signed for METHOD."""
    every = {"Format": "JSON", "Version": "2016-01-20", "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
             "AccessKeyId": key_id, "SignatureNonce": secrets.token_hex(16),
             "Timestamp": text_of(time.time()), **parameters}
    to_sign = f"{method}&%2F&{quote(query_string(every.items()))}"
    digest = hmac.new(f"{secret}&".encode(), to_sign.encode(), hashlib.sha1).digest()
    return {**every, "Signature": base64.b64encode(digest).decode()}


def send(port, method, query, form=None):
    """(status, answer); FORM (a dict) goes as the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
    connection.request(method, "/" + ("?" + query_string(query.items()) if query else ""),
                       query_string(form.items()).encode() if form is not None else None, headers)
    answer = connection.getresponse()
    result = answer.status, json.loads(answer.read())
    connection.close()
    return result
