"""A login in two steps, with hvac, which has words for the first and for logins in general; the others go through its adapter.

hvac itself reads VAULT_ADDR, VAULT_TOKEN and VAULT_CACERT. Prints `done` at the end.
"""

import base64
import hashlib
import hmac
import struct
import time
from urllib.parse import parse_qs, urlsplit

import hvac
from checks import raises
from hvac.exceptions import Forbidden, InvalidRequest


def code(url, steps=0):
    """What an authenticator program shows (RFC 6238)."""
    secret = parse_qs(urlsplit(url).query)["secret"][0]
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(time.time()) // 30 + steps), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def main():
    client = hvac.Client()
    adapter = client.adapter
    client.sys.enable_auth_method("userpass")
    client.auth.userpass.create_or_update_user("ann", password="pw")
    method = client.write_data("identity/mfa/method/totp", data={"issuer": "Ours", "method_name": "app"})["data"]["method_id"]
    assert client.read(f"identity/mfa/method/totp/{method}")["data"]["name"] == "app"
    assert client.list("identity/mfa/method/totp")["data"]["keys"] == [method]

    somebody = hvac.Client(token="")
    login = somebody.auth.userpass.login
    entity = login("ann", "pw", use_token=False)["auth"]["entity_id"]
    path = "identity/mfa/method/totp/admin-generate"
    url = client.write_data(path, data={"method_id": method, "entity_id": entity})["data"]["url"]
    rule = {"mfa_method_ids": [method], "auth_method_types": ["userpass"]}
    adapter.post("/v1/identity/mfa/login-enforcement/people", json=rule)
    assert client.read("identity/mfa/login-enforcement/people")["data"]["mfa_method_ids"] == [method]

    auth = login("ann", "pw", use_token=False)["auth"]
    assert auth["client_token"] == "", auth
    told = auth["mfa_requirement"]
    assert told["mfa_constraints"]["people"]["any"][0]["id"] == method
    asked = {"mfa_request_id": told["mfa_request_id"], "mfa_payload": {method: ["000000"]}}
    raises(Forbidden, somebody.adapter.post, "/v1/sys/mfa/validate", json=asked)
    asked["mfa_payload"] = {method: [code(url)]}
    given = somebody.adapter.post("/v1/sys/mfa/validate", json=asked)["auth"]
    assert hvac.Client(token=given["client_token"]).auth.token.lookup_self()["data"]["display_name"] == "userpass-ann"
    raises(InvalidRequest, somebody.adapter.post, "/v1/sys/mfa/validate", json=asked)
    # In one step.
    headers = {"X-Vault-MFA": f"{method}:{code(url, 1)}"}
    given = somebody.adapter.post("/v1/auth/userpass/login/ann", json={"password": "pw"}, headers=headers)["auth"]
    assert hvac.Client(token=given["client_token"]).is_authenticated()

    raises(InvalidRequest, client.delete, f"identity/mfa/method/totp/{method}")
    client.delete("identity/mfa/login-enforcement/people")
    client.delete(f"identity/mfa/method/totp/{method}")
    assert client.read(f"identity/mfa/method/totp/{method}") is None
    assert client.list("identity/mfa/method/totp") is None
    assert login("ann", "pw", use_token=False)["auth"]["client_token"]
    print("done")


main()
