"""What a service does with hvac: from sys/init to signatures that openssl verifies.

Run as `hvac_main_job.py SEAL`; hvac itself reads VAULT_ADDR and VAULT_CACERT. Prints `done` at the end.
"""

import base64
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

import hvac
from checks import b64, raises
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest

POLICY = 'path "transit/sign/orders" { capabilities = ["update"] }'
MESSAGE = b"pay 100 to Alice"


def openssl_verifies(public_key, signature, message, *options):
    with tempfile.TemporaryDirectory() as directory:
        key, blob = Path(directory, "key.pem"), Path(directory, "signature")
        key.write_text(public_key)
        blob.write_bytes(base64.b64decode(signature.rsplit(":", 1)[1]))
        command = ["openssl", "dgst", "-sha256", "-verify", str(key), "-signature", str(blob)]
        for option in options:
            command += ["-sigopt", option]
        return subprocess.run(command, input=message, capture_output=True).returncode == 0


def initialize(client, seal):
    assert client.sys.is_initialized() is False
    assert client.sys.read_health_status(method="GET").status_code == 501
    if seal == "shamir":
        made = client.sys.initialize(secret_shares=3, secret_threshold=2)
        assert len(made["keys"]) == len(made["keys_base64"]) == 3
        assert client.sys.is_sealed() is True
        assert client.sys.submit_unseal_keys(made["keys"][:2])["sealed"] is False
    else:
        made = client.sys.initialize(recovery_shares=3, recovery_threshold=2)
        assert made["keys"] == [] and len(made["recovery_keys"]) == 3
    client.token = made["root_token"]
    assert client.sys.is_initialized() is True
    assert client.is_authenticated() is True
    status = client.sys.read_seal_status()
    assert (status["sealed"], status["type"]) == (False, seal), status
    assert status["version"].split(".")[0].isdigit()
    assert client.sys.read_health_status().status_code == 200
    assert client.sys.read_health_status(method="GET")["initialized"] is True
    assert client.sys.read_leader_status()["ha_enabled"] is False


def mounts_and_policies(client):
    assert client.sys.enable_secrets_engine("transit", description="keys").status_code == 204
    assert client.sys.enable_secrets_engine("transit", path="second").status_code == 204
    errors = raises(InvalidRequest, client.sys.enable_secrets_engine, "transit")
    assert "path is already in use" in errors[0], errors
    mounts = client.sys.list_mounted_secrets_engines()["data"]
    assert mounts["transit/"]["type"] == "transit" and mounts["transit/"]["description"] == "keys"
    assert client.sys.tune_mount_configuration("second", default_lease_ttl="1h").status_code == 204
    assert client.sys.read_mount_configuration("second")["data"]["default_lease_ttl"] == 3600
    assert client.sys.disable_secrets_engine("second").status_code == 204
    assert "second/" not in client.sys.list_mounted_secrets_engines()["data"]

    assert client.sys.create_or_update_policy("signer", POLICY).status_code == 204
    assert client.sys.read_policy("signer")["data"]["rules"] == POLICY
    assert client.sys.read_acl_policy("signer")["data"]["policy"] == POLICY
    rules = {"path": {"transit/keys/*": {"capabilities": ["read", "list"]}}}
    assert client.sys.create_or_update_acl_policy("reader", rules).status_code == 204
    names = client.sys.list_policies()["data"]["policies"]
    assert {"default", "reader", "root", "signer"} <= set(names), names
    assert set(client.sys.list_acl_policies()["data"]["keys"]) == set(names)
    assert client.sys.delete_acl_policy("reader").status_code == 204
    raises(InvalidPath, client.sys.read_acl_policy, "reader")
    raises(InvalidRequest, client.sys.create_or_update_acl_policy, "bad", 'path "x" {')


def keys(client):
    transit = client.secrets.transit
    raises(InvalidPath, transit.list_keys)
    raises(InvalidPath, transit.read_key, "orders")
    raises(InvalidRequest, transit.sign_data, "orders", hash_input=b64(MESSAGE))
    types = {"orders": "ecdsa-p256", "wide": "ecdsa-p384", "widest": "ecdsa-p521", "letters": "rsa-2048", "edwards": "ed25519"}
    for name, key_type in types.items():
        transit.create_key(name, key_type=key_type)
    assert transit.list_keys()["data"]["keys"] == sorted(types)
    for name, key_type in types.items():
        shown = transit.read_key(name)["data"]
        assert (shown["name"], shown["type"], shown["latest_version"]) == (name, key_type, 1), shown
        assert shown["supports_signing"] is True and shown["exportable"] is False

    transit.rotate_key("wide")
    assert transit.read_key("wide")["data"]["latest_version"] == 2
    transit.update_key_configuration("wide", min_decryption_version=2, deletion_allowed=True)
    shown = transit.read_key("wide")["data"]
    assert shown["min_decryption_version"] == 2 and list(shown["keys"]) == ["2"], shown
    raises(InvalidRequest, transit.delete_key, "orders")
    assert transit.delete_key("wide").status_code == 204
    raises(InvalidPath, transit.read_key, "wide")


def signatures(client):
    transit = client.secrets.transit
    digest = b64(hashlib.sha256(MESSAGE).digest())

    def public_key(name):
        return transit.read_key(name)["data"]["keys"]["1"]["public_key"]

    def sign(name, data=None, **options):
        return transit.sign_data(name, hash_input=data or b64(MESSAGE), **options)["data"]["signature"]

    def verify(name, signature, data=None, **options):
        return transit.verify_signed_data(name, data or b64(MESSAGE), signature=signature, **options)["data"]["valid"]

    for name, options, openssl in [
        ("orders", {}, []),
        ("orders", {"hash_algorithm": "sha2-256"}, []),
        ("widest", {"hash_algorithm": "sha2-256"}, []),
        ("letters", {"signature_algorithm": "pkcs1v15"}, []),
        ("letters", {"signature_algorithm": "pss"}, ["rsa_padding_mode:pss"]),
        ("letters", {"signature_algorithm": "pss", "salt_length": "hash"}, ["rsa_padding_mode:pss", "rsa_pss_saltlen:digest"]),
    ]:
        plain = sign(name, **options)
        assert plain.startswith("vault:v1:")
        assert openssl_verifies(public_key(name), plain, MESSAGE, *openssl), (name, options)
        assert not openssl_verifies(public_key(name), plain, b"pay 900 to Mallory", *openssl)
        assert verify(name, plain, **options) is True
        assert verify(name, plain, b64(b"pay 900 to Mallory"), **options) is False
        # Hashed by the client: the same signatures.
        prehashed = dict(options, prehashed=True)
        assert verify(name, plain, digest, **prehashed) is True, (name, options)
        hashed = sign(name, digest, **prehashed)
        assert verify(name, hashed, **options) is True
        assert openssl_verifies(public_key(name), hashed, MESSAGE, *openssl)

    pss = sign("letters", signature_algorithm="pss")
    assert verify("letters", pss, signature_algorithm="pkcs1v15") is False

    jws = sign("orders", marshaling_algorithm="jws")
    assert len(base64.urlsafe_b64decode(jws.rsplit(":", 1)[1] + "==")) == 64
    assert verify("orders", jws, marshaling_algorithm="jws") is True

    edwards = sign("edwards")
    assert len(base64.b64decode(edwards.rsplit(":", 1)[1])) == 64
    assert len(base64.b64decode(public_key("edwards"))) == 32
    assert verify("edwards", edwards) is True
    assert verify("edwards", edwards, b64(b"x")) is False

    batch = [{"input": b64(MESSAGE), "reference": "a"}, {"input": b64(b"x")}, {"input": "no base64!"}]
    results = transit.sign_data("orders", batch_input=batch)["data"]["batch_results"]
    assert results[0]["reference"] == "a" and verify("orders", results[0]["signature"]) is True
    assert verify("orders", results[1]["signature"], b64(b"x")) is True
    assert results[2]["error"]

    transit.rotate_key("orders")
    assert sign("orders").startswith("vault:v2:") and sign("orders", key_version=1).startswith("vault:v1:")
    raises(InvalidRequest, sign, "orders", key_version=9)
    raises(InvalidRequest, verify, "orders", "no signature")


def tokens(client):
    made = client.auth.token.create(policies=["signer"], ttl="1h", display_name="teller", meta={"desk": "7"})["auth"]
    assert made["policies"] == ["default", "signer"] and made["lease_duration"] == 3600
    teller = hvac.Client(token=made["client_token"])
    seen = teller.auth.token.lookup_self()["data"]
    assert seen["display_name"] == "token-teller" and seen["meta"] == {"desk": "7"} and 0 < seen["ttl"] <= 3600
    assert client.auth.token.lookup_accessor(made["accessor"])["data"]["id"] == ""
    assert teller.auth.token.renew_self(increment="30m")["auth"]["lease_duration"] == 1800

    signed = teller.secrets.transit.sign_data("orders", hash_input=b64(MESSAGE))["data"]["signature"]
    valid = client.secrets.transit.verify_signed_data("orders", b64(MESSAGE), signature=signed)["data"]["valid"]
    assert valid is True
    assert "permission denied" in raises(Forbidden, teller.secrets.transit.read_key, "orders")[0]
    raises(Forbidden, teller.secrets.transit.sign_data, "letters", hash_input=b64(MESSAGE))
    raises(Forbidden, teller.sys.list_mounted_secrets_engines)
    capabilities = teller.sys.get_capabilities(["transit/sign/orders", "sys/mounts"])["data"]
    assert capabilities["transit/sign/orders"] == ["update"] and capabilities["sys/mounts"] == ["deny"]

    assert teller.auth.token.revoke_self().status_code == 204
    assert teller.is_authenticated() is False
    raises(Forbidden, teller.secrets.transit.sign_data, "orders", hash_input=b64(MESSAGE))
    raises(Forbidden, hvac.Client(token="hvs.nobody").auth.token.lookup_self)
    assert client.read("nosuch/path") is None


def main():
    client = hvac.Client()
    initialize(client, sys.argv[1])
    mounts_and_policies(client)
    keys(client)
    signatures(client)
    tokens(client)
    print("done")


main()
