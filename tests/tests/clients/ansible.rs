//! Ansible's collection `community.hashi_vault` (7.2 on hvac 2.4): each task of a play is a process that logs in by AppRole, asks, and ends. The bytes
//! are those that its modules put on the wire; in the answers is looked for what they look for.

use super::wire::{Answer, Wire};
use serde_json::json;
use tests::{Server, Site};

/// What a play is told of the server, and of itself.
struct Play<'s> {
    server: &'s Server,
    login: String,
}

/// A task that has logged in.
struct Task {
    wire: Wire,
    token: String,
}

impl Play<'_> {
    /// `authenticator.authenticate(client)`, before anything else.
    fn task(&self) -> Task {
        let mut task = Task { wire: Wire::to(self.server), token: String::new() };
        let answer = task.call("POST", "auth/approle/login", Some(&self.login));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["auth"]["client_token"].as_str().unwrap().clone_into(&mut task.token);
        task
    }

    /// A lookup whose token is given: it logs in nowhere, and with `token_validate` asks whether the token is one.
    fn lookup(&self, token: &str, validate: bool) -> Task {
        let mut task = Task { wire: Wire::to(self.server), token: token.to_owned() };
        if validate {
            let own = task.call("GET", "auth/token/lookup-self", None);
            assert!(own.data()["id"] == token && own.data().get("meta").is_some(), "{own:?}");
        }
        task
    }
}

impl Task {
    /// The bytes of requests: a body is `json.dumps` of Python, a deletion says that it has none.
    fn call(&mut self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let mut head = format!(
            "{method} /v1/{path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: python-requests/2.34.2\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\n\
             Connection: keep-alive\r\nX-Vault-Request: true\r\n",
            self.wire.host
        );
        if !self.token.is_empty() {
            head += &format!("X-Vault-Token: {}\r\n", self.token);
        }
        match body {
            Some(body) => head += &format!("Content-Length: {}\r\nContent-Type: application/json\r\n", body.len()),
            None if method == "DELETE" => head += "Content-Length: 0\r\n",
            None => {}
        }
        self.wire.ask(&(head + "\r\n" + body.unwrap_or_default()))
    }
}

/// `secret/`, `kv/`, and a role that may do with what lies below `ansible/` what a play does.
async fn started() -> (Site, Server, String) {
    let (site, server) = Site::started("").await.unwrap();
    let policy = "path \"secret/data/ansible/*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\"] } \
                  path \"secret/delete/ansible/*\" { capabilities = [\"update\"] } path \"secret/metadata/ansible/*\" { capabilities = [\"list\"] } \
                  path \"kv/ansible/*\" { capabilities = [\"create\", \"read\", \"update\"] }";
    for (path, body) in [
        ("sys/mounts/secret", json!({"type": "kv-v2"})),
        ("sys/mounts/kv", json!({"type": "kv-v1"})),
        ("sys/auth/approle", json!({"type": "approle"})),
        ("sys/policies/acl/plays", json!({"policy": policy})),
        ("auth/approle/role/plays", json!({"token_policies": "plays", "token_ttl": "10m"})),
    ] {
        assert_eq!(server.put(path, body).await.unwrap().status, 204, "{path}");
    }
    let role_id = server.get("auth/approle/role/plays/role-id").await.unwrap().text("role_id").to_owned();
    let made = server.put("auth/approle/role/plays/secret-id", json!({})).await.unwrap();
    let login = format!("{{\"role_id\": \"{role_id}\", \"secret_id\": \"{}\"}}", made.text("secret_id"));
    (site, server, login)
}

#[tokio::test]
async fn a_play_writes_reads_changes_and_deletes_secrets_of_both_versions() {
    let (_site, server, login) = started().await;
    let play = Play { server: &server, login };
    // vault_login: what the next tasks could be given.
    let token = play.task().token;

    // vault_kv2_write.
    let body = "{\"options\": {}, \"data\": {\"foo\": \"bar\", \"list\": [1, 2], \"n\": 7}}";
    let written = play.task().call("POST", "secret/data/ansible/hello", Some(body));
    assert_eq!((&written.data()["version"], &written.data()["destroyed"]), (&json!(1), &json!(false)));
    // The same with read_before_write and cas.
    let mut task = play.task();
    let before = task.call("GET", "secret/data/ansible/hello", None);
    assert_eq!(before.data()["data"], json!({"foo": "bar", "list": [1, 2], "n": 7}));
    let body = "{\"options\": {\"cas\": 1}, \"data\": {\"foo\": \"baz\"}}";
    assert_eq!(task.call("POST", "secret/data/ansible/hello", Some(body)).data()["version"], 2);
    // A play that ran before on what is no more: InvalidRequest, which the module fails with.
    let refused = play.task().call("POST", "secret/data/ansible/hello", Some(body));
    assert_eq!(refused.refusal(), (400, "check-and-set parameter did not match the current version"));
    // read_before_write of what is not there: InvalidPath, taken for {}.
    assert_eq!(play.task().call("GET", "secret/data/ansible/none", None).status, 404);

    // vault_kv2_get, the newest and one by its version; vault_read of the path that it makes.
    for (query, foo, version) in [("", "baz", 2), ("?version=1", "bar", 1)] {
        let read = play.task().call("GET", &format!("secret/data/ansible/hello{query}"), None);
        assert_eq!((&read.data()["data"]["foo"], &read.data()["metadata"]["version"]), (&json!(foo), &json!(version)));
    }
    // vault_write and vault_kv1_get.
    let written = play.task().call("POST", "kv/ansible/new", Some("{\"a\": \"b\"}"));
    assert_eq!((written.status, &written.body), (204, &json!(null)));
    assert_eq!(play.task().call("GET", "kv/ansible/new", None).data(), &json!({"a": "b"}));
    // vault_list: a capital letter in the flag, no slash behind the folder.
    let body = "{\"options\": {}, \"data\": {}}";
    play.task().call("POST", "secret/data/ansible/team/deep", Some(body)).data();
    let listed = play.task().call("GET", "secret/metadata/ansible?list=True", None);
    assert_eq!(listed.data(), &json!({"keys": ["hello", "team/"]}));

    // The lookups hashi_vault and vault_kv2_get, with a token.
    for validate in [false, true] {
        let read = play.lookup(&token, validate).call("GET", "secret/data/ansible/hello", None);
        assert_eq!(read.data()["data"]["foo"], "baz");
    }
    // A token that is none: Forbidden, which the lookup tells as such.
    let refused = play.lookup("hvs.gone", false).call("GET", "secret/data/ansible/hello", None);
    assert_eq!(refused.status, 403, "{refused:?}");
    let validated = play.lookup("hvs.gone", false).call("GET", "auth/token/lookup-self", None);
    assert_eq!(validated.status, 403, "{validated:?}");

    // vault_kv2_delete of versions, then of the newest: 204 without a body, of which hvac gives the response itself.
    let mut task = play.task();
    assert_eq!(task.call("POST", "secret/delete/ansible/hello", Some("{\"versions\": [1]}")).status, 204);
    let gone = play.task().call("GET", "secret/data/ansible/hello?version=1", None);
    assert_eq!(gone.status, 404, "{gone:?}");
    assert_ne!(gone.body["data"]["metadata"]["deletion_time"], "", "{gone:?}");
    assert_eq!(play.task().call("GET", "secret/data/ansible/hello", None).data()["data"]["foo"], "baz");
    assert_eq!(play.task().call("DELETE", "secret/data/ansible/hello", None).status, 204);
    assert_eq!(play.task().call("GET", "secret/data/ansible/hello", None).status, 404);

    // Nothing beside its folder.
    assert_eq!(play.task().call("GET", "secret/data/other", None).status, 403);
}
