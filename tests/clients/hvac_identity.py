"""Who somebody is, with hvac: entities, aliases, groups, and logins by JWT, as a service account of Kubernetes and by TLS certificate.

Arguments: files with an issuer's public key, a token of it, an authority's certificate, a client's certificate and its key; the URL of an API
server of Kubernetes. hvac itself reads VAULT_ADDR, VAULT_TOKEN and VAULT_CACERT. Prints `done` at the end.
"""

import sys

import hvac
from checks import raises
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest

READ_MOUNTS = 'path "sys/mounts" { capabilities = ["read"] }'


def may_read(token):
    try:
        hvac.Client(token=token).sys.list_mounted_secrets_engines()
    except Forbidden:
        return False
    return True


def entities(client):
    identity = client.secrets.identity
    made = identity.create_or_update_entity("alice", metadata={"team": "blue"}, policies=["reader"])["data"]
    assert made["name"] == "alice" and made["aliases"] is None, made
    assert identity.create_or_update_entity_by_name("alice", metadata={"team": "red"}).status_code == 204
    entity = identity.read_entity(made["id"])["data"]
    assert entity["metadata"] == {"team": "red"} and entity["policies"] == ["reader"], entity
    assert identity.read_entity_by_name("alice")["data"]["id"] == made["id"]
    assert identity.list_entities()["data"]["keys"] == [made["id"]]
    assert identity.list_entities_by_name()["data"]["keys"] == ["alice"]
    assert identity.update_entity(made["id"], metadata={"team": "green"}).status_code == 204

    accessor = client.sys.list_auth_methods()["data"]["userpass/"]["accessor"]
    alias = identity.create_or_update_entity_alias("alice", made["id"], accessor)["data"]
    assert alias["canonical_id"] == made["id"]
    assert identity.read_entity_alias(alias["id"])["data"]["mount_type"] == "userpass"
    assert identity.list_entity_aliases()["data"]["keys"] == [alias["id"]]
    found = identity.lookup_entity(alias_name="alice", alias_mount_accessor=accessor)
    assert found["data"]["id"] == made["id"]
    assert identity.lookup_entity(name="nobody").status_code == 204
    client.auth.userpass.create_or_update_user("alice", password="pw")
    auth = hvac.Client(token="").auth.userpass.login("alice", "pw", use_token=False)["auth"]
    assert auth["entity_id"] == made["id"] and auth["identity_policies"] == ["reader"], auth
    assert may_read(auth["client_token"])
    identity.update_entity(made["id"], disabled=True)
    assert not may_read(auth["client_token"])
    identity.update_entity(made["id"], disabled=False, policies=[])
    assert not may_read(auth["client_token"])
    return made["id"], auth["client_token"]


def groups(client, entity, token):
    identity = client.secrets.identity
    group = identity.create_or_update_group("team", policies=["reader"], member_entity_ids=[entity])["data"]
    assert may_read(token)
    shown = identity.read_group(group["id"])["data"]
    assert shown["type"] == "internal" and shown["member_entity_ids"] == [entity], shown
    assert identity.list_groups()["data"]["keys"] == [group["id"]]
    assert identity.list_groups_by_name()["data"]["keys"] == ["team"]
    assert identity.read_group_by_name("team")["data"]["id"] == group["id"]
    assert identity.lookup_group(name="team")["data"]["id"] == group["id"]
    identity.update_group(group["id"], "team", member_entity_ids=[])
    assert not may_read(token)
    identity.delete_group(group["id"])
    raises(InvalidPath, identity.read_group, group["id"])

    other = identity.create_or_update_entity("other")["data"]["id"]
    identity.merge_entities([other], entity)
    assert identity.read_entity(entity)["data"]["merged_entity_ids"] == [other]
    identity.delete_entity(entity)
    assert not hvac.Client(token=token).is_authenticated()


def tokens_of_an_issuer(client, key, token):
    jwt = client.auth.jwt
    client.sys.enable_auth_method("jwt")
    jwt.configure(jwt_validation_pubkeys=[key], default_role="dev")
    assert jwt.read_config()["data"]["jwt_validation_pubkeys"] == [key]
    jwt.create_role("dev", "sub", [], role_type="jwt", bound_subject="me", token_policies=["reader"])
    assert jwt.read_role("dev")["data"]["user_claim"] == "sub"
    assert jwt.list_roles()["data"]["keys"] == ["dev"]
    somebody = hvac.Client(token="")
    assert may_read(somebody.auth.jwt.jwt_login("dev", token)["auth"]["client_token"])
    raises(InvalidRequest, somebody.auth.jwt.jwt_login, "dev", token[:-8] + "AAAAAAAA")
    jwt.delete_role("dev")


def service_accounts(client, cluster):
    kubernetes = client.auth.kubernetes
    client.sys.enable_auth_method("kubernetes")
    kubernetes.configure(kubernetes_host=cluster)
    assert kubernetes.read_config()["kubernetes_host"] == cluster
    kubernetes.create_role("web", ["app"], ["prod"], policies=["reader"])
    assert kubernetes.list_roles()["keys"] == ["web"]
    assert kubernetes.read_role("web")["bound_service_account_names"] == ["app"]
    auth = hvac.Client(token="").auth.kubernetes.login("web", "a-token")["auth"]
    assert auth["metadata"]["service_account_namespace"] == "prod" and may_read(auth["client_token"])
    kubernetes.create_role("web", ["other"], ["prod"])
    raises(Forbidden, hvac.Client(token="").auth.kubernetes.login, "web", "a-token")
    kubernetes.delete_role("web")


def certificates(client, authority, certificate, key):
    client.sys.enable_auth_method("cert")
    client.auth.cert.create_ca_certificate_role("web", certificate_file=authority, token_policies=["reader"])
    assert client.auth.cert.list_certificate_roles()["data"]["keys"] == ["web"]
    assert client.auth.cert.read_ca_certificate_role("web")["data"]["display_name"] == "web"
    somebody = hvac.Client(token="", cert=(certificate, key))
    assert may_read(somebody.login("/v1/auth/cert/login", json={"name": "web"})["auth"]["client_token"])
    raises(InvalidRequest, hvac.Client(token="").login, "/v1/auth/cert/login", json={"name": "web"})
    client.auth.cert.delete_certificate_role("web")


def main():
    key, token, authority, certificate, private, cluster = sys.argv[1:]
    client = hvac.Client()
    client.sys.create_or_update_policy("reader", READ_MOUNTS)
    client.sys.enable_auth_method("userpass")
    groups(client, *entities(client))
    with open(key) as issuer, open(token) as jwt:
        tokens_of_an_issuer(client, issuer.read().strip(), jwt.read())
    service_accounts(client, cluster)
    certificates(client, authority, certificate, private)
    print("done")


main()
