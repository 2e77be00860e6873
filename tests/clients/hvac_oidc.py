"""A login through a browser, with hvac: the browser is this script, which asks the provider as one would.

Arguments: the provider's URL, and the name and secret of its client. hvac itself reads VAULT_ADDR, VAULT_TOKEN and VAULT_CACERT. Prints `done` at
the end.
"""

import sys

import hvac
import requests
from checks import raises
from hvac.exceptions import InvalidRequest

BACK = "http://localhost:8250/oidc/callback"


def main():
    provider, name, secret = sys.argv[1:]
    client = hvac.Client()
    client.sys.enable_auth_method("oidc")
    oidc = client.auth.oidc
    raises(InvalidRequest, oidc.configure, oidc_discovery_url=provider, oidc_client_id=name)
    configured = oidc.configure(
        oidc_discovery_url=provider,
        oidc_client_id=name,
        oidc_client_secret=secret,
        oidc_response_mode="query",
        default_role="dev",
    )
    assert configured.status_code == 204
    shown = oidc.read_config()["data"]
    assert shown["oidc_client_id"] == name and secret not in str(shown), shown
    role = {"groups_claim": "groups", "oidc_scopes": ["groups"], "token_policies": ["reader"]}
    # hvac gives nothing back here.
    oidc.create_role("dev", "sub", [BACK], **role)
    assert oidc.read_role("dev")["data"]["allowed_redirect_uris"] == [BACK]
    assert oidc.list_roles()["data"]["keys"] == ["dev"]

    somebody = hvac.Client(token="").auth.oidc
    assert somebody.oidc_authorization_url_request("dev", "https://evil.example/")["data"]["auth_url"] == ""
    raises(InvalidRequest, somebody.oidc_authorization_url_request, "absent", BACK)
    asked = somebody.oidc_authorization_url_request("dev", BACK)
    back = requests.get(asked["data"]["auth_url"], timeout=10).json()
    assert back["redirect_uri"] == BACK
    raises(InvalidRequest, somebody.oidc_callback, back["state"][:-1], "", back["code"])
    auth = somebody.oidc_callback(back["state"], "", back["code"])["auth"]
    assert auth["policies"] == ["default", "reader"] and auth["metadata"]["role"] == "dev", auth
    assert hvac.Client(token=auth["client_token"]).auth.token.lookup_self()["data"]["display_name"] == "oidc-alice"
    # Once.
    raises(InvalidRequest, somebody.oidc_callback, back["state"], "", back["code"])
    oidc.delete_role("dev")
    print("done")


main()
