"""Secrets with hvac: kv version 2 and version 1, and what Ansible's modules do with them.

hvac itself reads VAULT_ADDR, VAULT_TOKEN and VAULT_CACERT. Prints `done` at the end.
"""

import warnings

import hvac
from checks import raises
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest


def configuration(kv):
    assert kv.configure(max_versions=10, cas_required=False, delete_version_after="30m").status_code == 204
    shown = kv.read_configuration()["data"]
    assert shown["max_versions"] == 10 and shown["delete_version_after"] == "30m0s", shown
    kv.configure(delete_version_after="0s")


def versions(kv):
    raises(InvalidPath, kv.read_secret_version, "app/a", raise_on_deleted_version=True)
    for number in range(1, 4):
        written = kv.create_or_update_secret("app/a", secret={"n": number, "deep": {"x": [1, None, "ü"]}})
        assert written["data"]["version"] == number, written
    read = kv.read_secret_version("app/a", raise_on_deleted_version=True)["data"]
    assert read["data"] == {"n": 3, "deep": {"x": [1, None, "ü"]}} and read["metadata"]["version"] == 3
    assert kv.read_secret_version("app/a", version=1, raise_on_deleted_version=True)["data"]["data"]["n"] == 1

    assert kv.delete_secret_versions("app/a", versions=[1, 2]).status_code == 204
    raises(InvalidPath, kv.read_secret_version, "app/a", version=1, raise_on_deleted_version=True)
    deleted = kv.read_secret_version("app/a", version=1, raise_on_deleted_version=False)["data"]
    assert deleted["data"] is None and deleted["metadata"]["deletion_time"] != "", deleted
    assert kv.undelete_secret_versions("app/a", versions=[1]).status_code == 204
    assert kv.read_secret_version("app/a", version=1, raise_on_deleted_version=True)["data"]["data"]["n"] == 1
    assert kv.destroy_secret_versions("app/a", versions=[1]).status_code == 204
    shown = kv.read_secret_metadata("app/a")["data"]
    assert shown["versions"]["1"]["destroyed"] is True and shown["versions"]["2"]["deletion_time"] != ""
    assert shown["current_version"] == 3 and shown["oldest_version"] == 0

    assert kv.delete_latest_version_of_secret("app/a").status_code == 204
    gone = kv.read_secret_version("app/a", raise_on_deleted_version=False)["data"]["metadata"]
    assert gone["version"] == 3 and gone["deletion_time"] != ""
    kv.undelete_secret_versions("app/a", versions=[3])


def check_and_set(kv):
    mismatch = ["check-and-set parameter did not match the current version"]
    assert raises(InvalidRequest, kv.create_or_update_secret, "app/a", secret={}, cas=0) == mismatch
    assert kv.create_or_update_secret("app/a", secret={"pssst": "this is secret"}, cas=3)["data"]["version"] == 4
    with warnings.catch_warnings():
        # hvac's own call is a deprecated one.
        warnings.simplefilter("ignore", DeprecationWarning)
        assert kv.patch("app/a", secret={"more": 1})["data"]["version"] == 5
        assert raises(InvalidPath, kv.patch, "app/none", secret={}) is not None
    data = kv.read_secret_version("app/a", raise_on_deleted_version=True)["data"]["data"]
    assert data == {"pssst": "this is secret", "more": 1}


def metadata(kv):
    assert kv.update_metadata("app/a", max_versions=2, cas_required=True, custom_metadata={"owner": "me"}).status_code == 204
    shown = kv.read_secret_metadata("app/a")["data"]
    assert (shown["max_versions"], shown["cas_required"], shown["custom_metadata"]) == (2, True, {"owner": "me"})
    required = ["check-and-set parameter required for this call"]
    assert raises(InvalidRequest, kv.create_or_update_secret, "app/a", secret={}) == required
    kv.create_or_update_secret("app/a", secret={}, cas=5)
    assert kv.read_secret_metadata("app/a")["data"]["oldest_version"] == 5
    kv.create_or_update_secret("app/sub/b", secret={"x": 1})
    assert kv.list_secrets("app")["data"]["keys"] == ["a", "sub/"]
    assert kv.list_secrets("")["data"]["keys"] == ["app/"]
    raises(InvalidPath, kv.list_secrets, "none")
    assert kv.delete_metadata_and_all_versions("app/a").status_code == 204
    raises(InvalidPath, kv.read_secret_metadata, "app/a")


def first_version(client):
    kv = client.secrets.kv.v1
    client.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
    where = {"mount_point": "old"}
    raises(InvalidPath, kv.read_secret, "a", **where)
    assert kv.create_or_update_secret("a", secret={"pssst": "x"}, **where).status_code == 204
    read = kv.read_secret("a", **where)
    assert read["data"] == {"pssst": "x"} and read["lease_duration"] == 2764800
    kv.create_or_update_secret("dir/b", secret={"y": 1}, **where)
    assert kv.list_secrets("", **where)["data"]["keys"] == ["a", "dir/"]
    assert kv.list_secrets("dir", **where)["data"]["keys"] == ["b"]
    # A path that looks like an address: hvac's own test of it.
    kv.create_or_update_secret("some/http://test", secret={"z": 1}, **where)
    assert kv.read_secret("some/http://test", **where)["data"] == {"z": 1}
    assert kv.delete_secret("a", **where).status_code == 204
    raises(InvalidPath, kv.read_secret, "a", **where)
    assert client.sys.tune_mount_configuration("old", options={"version": "2"})["warnings"]
    upgraded = client.secrets.kv.v2.read_secret_version("dir/b", raise_on_deleted_version=True, **where)["data"]
    assert upgraded["data"] == {"y": 1} and upgraded["metadata"]["version"] == 1
    client.sys.disable_secrets_engine("old")


def ansible(client):
    """community.hashi_vault: vault_kv2_write, vault_kv2_get, vault_read, vault_list, vault_kv2_delete, with the rights that its pages name."""
    rules = 'path "secret/data/play/*" { capabilities = ["create", "read", "update", "delete"] } path "secret/metadata/play/*" { capabilities = ["list"] }'
    client.sys.create_or_update_policy("play", rules)
    play = hvac.Client(token=client.auth.token.create(policies=["play"])["auth"]["client_token"])
    assert play.auth.token.lookup_self()["data"]["policies"] == ["default", "play"]
    kv = play.secrets.kv.v2
    raises(InvalidPath, kv.read_secret_version, "play/a", raise_on_deleted_version=True)
    assert kv.create_or_update_secret("play/a", secret={"user": "u"}, cas=0)["data"]["version"] == 1
    old = kv.read_secret_version("play/a", raise_on_deleted_version=True)["data"]
    changed = kv.create_or_update_secret("play/a", secret={**old["data"], "pass": "p"}, cas=old["metadata"]["version"])
    assert changed["data"]["version"] == 2
    assert play.read("secret/data/play/a")["data"]["data"] == {"user": "u", "pass": "p"}
    assert play.read("secret/data/play/none") is None
    assert play.list("secret/metadata/play")["data"]["keys"] == ["a"]
    kv.delete_latest_version_of_secret("play/a")
    raises(InvalidPath, kv.read_secret_version, "play/a", raise_on_deleted_version=True)
    raises(Forbidden, kv.read_secret_version, "other/a", raise_on_deleted_version=True)


def main():
    client = hvac.Client()
    client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    assert client.sys.list_mounted_secrets_engines()["data"]["secret/"]["options"] == {"version": "2"}
    kv = client.secrets.kv.v2
    configuration(kv)
    versions(kv)
    check_and_set(kv)
    metadata(kv)
    first_version(client)
    ansible(client)
    print("done")


main()
