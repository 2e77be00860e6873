"""What an operator does with hvac: new shares, audit devices, rate limits, leases.

Run as `hvac_system.py FILE`, where an audit device may write; hvac itself reads VAULT_ADDR. The service is not initialised yet and has the seal shamir.
Prints `done` at the end.
"""

import json
import sys

import hvac
from checks import raises
from hvac.exceptions import InvalidRequest, RateLimitExceeded


def initialised(client):
    made = client.sys.initialize(secret_shares=3, secret_threshold=2)
    client.sys.submit_unseal_keys(made["keys"][:2])
    client.token = made["root_token"]
    return made["keys"]


def rekeyed(client, keys):
    assert client.sys.read_rekey_progress()["started"] is False
    started = client.sys.start_rekey(secret_shares=3, secret_threshold=2)
    assert (started["started"], started["t"], started["n"], started["required"]) == (True, 2, 3, 2), started
    assert client.sys.cancel_rekey().status_code == 204
    started = client.sys.start_rekey(secret_shares=4, secret_threshold=2, require_verification=True)
    assert client.sys.rekey(key=keys[0], nonce=started["nonce"])["progress"] == 1
    done = client.sys.rekey(key=keys[1], nonce=started["nonce"])
    assert done["complete"] is True and len(done["keys"]) == len(done["keys_base64"]) == 4
    nonce = done["verification_nonce"]
    assert client.sys.read_rekey_verify_progress()["nonce"] == nonce
    again = client.sys.cancel_rekey_verify()
    assert again["nonce"] != nonce and again["progress"] == 0, again
    verified = client.sys.rekey_verify_multi(keys=done["keys"][:2], nonce=again["nonce"])
    assert verified["complete"] is True, verified
    assert client.sys.read_seal_status()["n"] == 4
    client.sys.seal()
    assert client.sys.submit_unseal_keys(done["keys"][2:])["sealed"] is False
    raises(InvalidRequest, client.sys.read_backup_keys)


def audited(client, file):
    options = {"file_path": file}
    assert client.sys.enable_audit_device("file", path="told", options=options).status_code == 204
    assert client.sys.list_enabled_audit_devices()["data"]["told/"]["options"] == options
    raises(InvalidRequest, client.sys.enable_audit_device, "file", path="told", options=options)
    hashed = client.sys.calculate_hash(path="told", input_to_hash=client.token)["data"]["hash"]
    assert hashed.startswith("hmac-sha256:"), hashed
    client.sys.list_policies()
    assert client.sys.disable_audit_device("told").status_code == 204
    with open(file, encoding="utf-8") as lines:
        entries = [json.loads(line) for line in lines]
    asked = [entry for entry in entries if entry["request"]["path"] == "sys/policy"]
    assert [entry["type"] for entry in asked] == ["request", "response"], asked
    assert asked[0]["auth"]["client_token"] == hashed


def limited(client):
    assert client.sys.create_or_update_quota(name="few", path="cubbyhole", rate=1.0, interval="1h").status_code == 204
    seen = client.sys.read_quota(name="few")["data"]
    assert (seen["name"], seen["path"], seen["rate"]) == ("few", "cubbyhole/", 1), seen
    assert client.sys.list_quotas()["data"]["keys"] == ["few"]
    assert client.read("cubbyhole/none") is None
    errors = raises(RateLimitExceeded, client.read, "cubbyhole/none")
    assert errors == ['request path "cubbyhole/none": rate limit quota exceeded'], errors
    assert client.sys.delete_quota(name="few").status_code == 204
    assert client.read("cubbyhole/none") is None


def leased(client):
    made = client.auth.token.create(policies=["default"], ttl="1h")["auth"]
    key = client.sys.list_leases(prefix="auth/token/create")["data"]["keys"][-1]
    lease = f"auth/token/create/{key}"
    seen = client.sys.read_lease(lease_id=lease)["data"]
    assert seen["id"] == lease and 3500 < seen["ttl"] <= 3600, seen
    raises(InvalidRequest, client.sys.renew_lease, lease_id=lease)
    assert client.sys.revoke_lease(lease_id=lease).status_code == 204
    assert hvac.Client(token=made["client_token"]).is_authenticated() is False
    second = client.auth.token.create(policies=["default"], ttl="1h")["auth"]["client_token"]
    assert client.sys.revoke_prefix(prefix="auth/token/create").status_code == 204
    assert hvac.Client(token=second).is_authenticated() is False
    assert client.sys.revoke_force(prefix="auth/none").status_code == 204


def main():
    client = hvac.Client()
    keys = initialised(client)
    rekeyed(client, keys)
    audited(client, sys.argv[1])
    limited(client)
    leased(client)
    print("done")


main()
