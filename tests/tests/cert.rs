//! Logging in with the client certificate of a TLS connection.
#![expect(clippy::unwrap_used, reason = "tests")]

use reqwest::{Certificate, Client, Identity};
use serde_json::{Value, json};
use std::process::Command;
use tests::{Authority, Issued, Server, Site};

/// Status and body of a login over a connection that shows this certificate.
async fn login(site: &Site, server: &Server, issued: Option<&Issued>, body: Value) -> (u16, Value) {
    let authority = std::fs::read(site.path("ca.pem")).unwrap();
    let mut builder = Client::builder().tls_certs_only([Certificate::from_pem(&authority).unwrap()]);
    if let Some(issued) = issued {
        let both = format!("{}\n{}", issued.certificate, issued.key);
        builder = builder.identity(Identity::from_pem(both.as_bytes()).unwrap());
    }
    let request =
        builder.build().unwrap().post(format!("{}/v1/auth/cert/login", server.address())).body(body.to_string());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_certificate_of_a_roles_authority_logs_in_and_no_other() {
    let site = Site::ready("").await.unwrap();
    let (people, strangers) = (Authority::create("people").unwrap(), Authority::create("people").unwrap());
    // The server's own certificate is of somebody else.
    site.protect(&Authority::create("servers").unwrap(), "").unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    assert_eq!(server.put("sys/auth/cert", json!({"type": "cert"})).await.unwrap().status, 204);
    let put = async |name: &str, role: Value| server.put(&format!("auth/cert/certs/{name}"), role).await.unwrap();
    let role = json!({"certificate": people.pem, "allowed_common_names": "*.example.org", "token_policies": "p1"});
    assert_eq!(put("web", role).await.status, 204);
    let read = server.get("auth/cert/certs/web").await.unwrap();
    assert_eq!((read.text("display_name"), read.text("certificate")), ("web", people.pem.as_str()));

    let alice = people.issue("alice.example.org").unwrap();
    for body in [json!({"name": "web"}), json!({})] {
        let (status, answer) = login(&site, &server, Some(&alice), body).await;
        assert_eq!(status, 200, "{answer}");
        let auth = &answer["auth"];
        assert_eq!(auth["policies"], json!(["default", "p1"]));
        assert_eq!(auth["metadata"]["common_name"], "alice.example.org");
        assert_eq!(auth["metadata"]["cert_name"], "web");
        assert!(!auth["entity_id"].as_str().unwrap().is_empty());
    }
    for (issued, why) in [
        (None, "client certificate must be supplied"),
        (Some(strangers.issue("alice.example.org").unwrap()), "no chain matching all constraints"),
        (Some(people.issue("alice.example.com").unwrap()), "no chain matching all constraints"),
        (Some(people.issue_expired("alice.example.org").unwrap()), "no chain matching all constraints"),
    ] {
        let (status, answer) = login(&site, &server, issued.as_ref(), json!({"name": "web"})).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer.to_string().contains(why), "{answer}");
    }

    // A client's own certificate in the place of an authority: it is believed, and vouches for nobody else.
    assert_eq!(put("alice", json!({"certificate": alice.certificate})).await.status, 204);
    assert_eq!(login(&site, &server, Some(&alice), json!({"name": "alice"})).await.0, 200);
    let bob = people.issue("bob.example.org").unwrap();
    assert_eq!(login(&site, &server, Some(&bob), json!({"name": "alice"})).await.0, 400);
    for (name, allowed, status) in [
        ("allowed_dns_sans", "alice.*", 200),
        ("allowed_dns_sans", "bob.*", 400),
        ("allowed_email_sans", "*", 400),
        ("allowed_uri_sans", "*", 400),
        ("allowed_organizational_units", "*", 400),
        ("allowed_names", "alice.example.org", 200),
    ] {
        assert_eq!(put("narrow", json!({"certificate": people.pem, name: allowed})).await.status, 204);
        let answer = login(&site, &server, Some(&alice), json!({"name": "narrow"})).await;
        assert_eq!(answer.0, status, "{name} {allowed}: {answer:?}");
        assert_eq!(server.ask(reqwest::Method::DELETE, "auth/cert/certs/narrow", None).await.unwrap().status, 204);
    }
    for wrong in [json!({"certificate": "no PEM"}), json!({})] {
        let refused = put("wrong", wrong).await;
        assert_eq!(refused.status, 400, "{refused:?}");
    }
    let extended = put("wrong", json!({"certificate": people.pem, "required_extensions": "1.2.3:*"})).await;
    assert!(extended.error().contains("not looked at"), "{extended:?}");
    let asking = put("wrong", json!({"certificate": people.pem, "ocsp_enabled": true})).await;
    assert!(asking.status == 400 && asking.error().contains("ocsp_enabled is not taken"), "{asking:?}");
    let far = json!({"certificate": people.pem, "bound_cidrs": "10.1.0.0/16", "ocsp_enabled": false});
    assert_eq!(put("far", far).await.status, 204);
    assert_eq!(login(&site, &server, Some(&alice), json!({"name": "far"})).await.0, 403);
}

/// As openssl prints it, with colons.
fn fingerprint(site: &Site, issued: &Issued) -> String {
    let file = site.path("shown.pem");
    std::fs::write(&file, &issued.certificate).unwrap();
    let shown = Command::new("openssl").args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(file).output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    shown.trim().split_once('=').unwrap().1.to_owned()
}

#[tokio::test]
async fn policies_about_secrets_are_for_whoever_logs_in_with_the_certificate_that_they_are_bound_to() {
    let site = Site::ready("").await.unwrap();
    let people = Authority::create("people").unwrap();
    site.protect(&Authority::create("servers").unwrap(), "").unwrap();
    let mut server = site.serve().await.unwrap();
    server.initialize().await.unwrap();
    let (alice, again) = (people.issue("alice").unwrap(), people.issue("alice").unwrap());
    let hex = fingerprint(&site, &alice).replace(':', "").to_lowercase();
    let document = json!({"allowed_secrets": ["prod.db.*"], "allowed_operations": ["read"]});
    let bound = |to: &str| json!({"policy_document": document, "entity_bindings": [to]});
    for (path, body) in [
        ("sys/mounts/secret", json!({"type": "kv-v2"})),
        ("sys/auth/cert", json!({"type": "cert"})),
        ("auth/cert/certs/web", json!({"certificate": people.pem, "token_policies": "makes"})),
        ("sys/policies/acl/makes", json!({"policy": "path \"auth/token/create\" { capabilities = [\"update\"] }"})),
        ("clm/access-policies/of-alice", bound(&format!("certificate:{}", fingerprint(&site, &alice)))),
    ] {
        assert_eq!(server.put(path, body).await.unwrap().status, 204, "{path}");
    }
    server.put("clm/secrets/prod.db.password", json!({"data": {"x": 1}})).await.unwrap();
    let mut reads = Vec::new();
    for issued in [&alice, &again] {
        let (status, answer) = login(&site, &server, Some(issued), json!({})).await;
        assert_eq!(status, 200, "{answer}");
        let (_, root) = server.enter("", answer["auth"]["client_token"].as_str().unwrap());
        let child = server.put("auth/token/create", json!({})).await.unwrap();
        reads.push(server.get("clm/secrets/prod.db.password").await.unwrap().status.as_u16());
        server.enter("", child.body["auth"]["client_token"].as_str().unwrap());
        reads.push(server.get("secret/data/prod/db/password").await.unwrap().status.as_u16());
        server.enter("", &root);
    }
    // Another certificate of the same name is somebody else's.
    assert_eq!(reads, [200, 200, 403, 403]);
    let shown = server.get("clm/access-policies/of-alice").await.unwrap();
    assert_eq!(shown.body["data"]["entity_bindings"], json!([format!("certificate:{hex}")]));
    for wrong in
        ["certificate:", "certificate:00", &format!("certificate:{hex}0"), &format!("certificate:{}", "g".repeat(64))]
    {
        let refused = server.put("clm/access-policies/wrong", bound(wrong)).await.unwrap();
        assert!(refused.status == 400 && refused.error().contains("no SHA-256 of a certificate"), "{refused:?}");
    }
}
