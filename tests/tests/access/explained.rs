//! `clm policy explain`, and the path that it asks.

use super::{by, policy, started, token};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Output, Stdio};
use tests::{Server, Site};

/// `clm policy explain`, as the root token; what stands on standard input.
fn explain(site: &Site, server: &Server, arguments: &[&str], input: &str) -> Output {
    let mut command = site.command(&[&["policy", "explain"], arguments].concat()).unwrap();
    command.env("VAULT_ADDR", server.address()).env("VAULT_TOKEN", &server.token);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn said(output: &Output) -> (bool, String) {
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), String::from_utf8(output.stdout.clone()).unwrap())
}

#[tokio::test]
async fn the_command_says_which_rule_decides_as_the_service_then_does() {
    let (site, mut server) = started().await;
    server.put("transit/keys/k", json!({"type": "ecdsa-p256"})).await.unwrap();
    policy(&server, "wide", "path \"transit/sign/*\" { capabilities = [\"update\"] }").await;
    policy(&server, "narrow", "path \"transit/sign/k\" { capabilities = [\"read\"] }").await;
    let (wide, wide_accessor) = token(&server, &["wide"]).await;
    let (both, both_accessor) = token(&server, &["narrow", "wide"]).await;
    let sign = json!({"input": "YQ=="});

    let (allowed, text) = said(&explain(&site, &server, &["transit/sign/k", "update", "--as", &wide_accessor], ""));
    assert!(
        allowed && text.starts_with("allowed: \"transit/sign/*\" of wide is the only rule that matches: granted"),
        "{text}"
    );
    assert_eq!(by(&mut server, &wide, "transit/sign/k", sign.clone()).await.status, 200);

    let (allowed, text) = said(&explain(&site, &server, &["transit/sign/k", "update", "--as", &both_accessor], ""));
    let because = "denied: \"transit/sign/k\" of narrow is the most specific of 2 rules that match, and decides alone: the rule does not grant the operation";
    assert!(!allowed && text.starts_with(because), "{text}");
    assert!(text.contains("\"transit/sign/*\" of wide (update), decides alone; behind the first: it has a wildcard, the other is exact"), "{text}");
    assert_eq!(by(&mut server, &both, "transit/sign/k", sign).await.status, 403);

    // The token itself comes from a file or from standard input, and by policies nobody needs one.
    let (_, from_input) = said(&explain(&site, &server, &["transit/sign/k", "update", "--token-file", "-"], &both));
    std::fs::write(site.path("token"), format!("{both}\n")).unwrap();
    let file = site.path("token").display().to_string();
    let (_, from_file) = said(&explain(&site, &server, &["transit/sign/k", "update", "--token-file", &file], ""));
    let (_, by_policies) =
        said(&explain(&site, &server, &["transit/sign/k", "update", "--policies", "wide,narrow"], ""));
    assert_eq!((&from_input, &from_file, &by_policies), (&text, &text, &text));
    let (_, missing) = said(&explain(&site, &server, &["x", "read", "--policies", "nosuch"], ""));
    assert!(
        missing.contains("no rule speaks of \"x\"") && missing.ends_with("for somebody else: nosuch\n"),
        "{missing}"
    );
    let json = said(&explain(&site, &server, &["transit/sign/k", "update", "--policies", "narrow", "--json"], "")).1;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["rule"], json!({"path": "transit/sign/k", "policies": ["narrow"], "capabilities": ["read"]}));
    let root = said(&explain(&site, &server, &["x", "delete", "--policies", "root"], ""));
    assert!(root.0 && root.1.contains("a token with the policy root may do everything"), "{}", root.1);

    let wrong = explain(&site, &server, &["x", "sign", "--policies", "wide"], "");
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("operation \"sign\" is none"));
    let nobody = explain(&site, &server, &["x", "read", "--as", "nosuch"], "");
    assert!(!nobody.status.success() && String::from_utf8_lossy(&nobody.stderr).contains("invalid accessor"));
    assert!(!explain(&site, &server, &["x", "read"], "").status.success(), "whose request it would be has to be said");
}

#[tokio::test]
async fn policies_about_secrets_are_explained_with_their_denials_and_conditions() {
    let (_site, mut server) = started().await;
    assert_eq!(server.put("sys/mounts/secret", json!({"type": "kv-v2"})).await.unwrap().status, 204);
    let document = |operations: &[&str]| json!({"allowed_secrets": ["prod.*"], "allowed_operations": operations});
    let mut reads = json!({ "policy_document": document(&["read"]) });
    reads["policy_document"]["conditions"] = json!({"source_cidrs": ["10.0.0.0/8"]});
    assert_eq!(server.put("clm/access-policies/reads", reads).await.unwrap().status, 204);
    let never = json!({ "policy_document": document(&["rotate"]), "deny_policy": true });
    assert_eq!(server.put("clm/access-policies/never", never).await.unwrap().status, 204);
    policy(&server, "all", "path \"secret/*\" { capabilities = [\"read\", \"update\"] }").await;

    let ask = async |server: &Server, body: Value| {
        let answer = server.put("clm/access/explain", body).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["data"].clone()
    };
    let by_name = json!({"path": "clm/secrets/prod.db/rotate", "operation": "update", "policies": ["all", "never"]});
    let told = ask(&server, by_name).await;
    assert_eq!((&told["allowed"], &told["deciding_path"]), (&json!(false), &json!("secret/rotate/prod/db")));
    assert!(
        told["because"].as_str().unwrap().contains("of never denies, and the denial of a policy about secrets"),
        "{told}"
    );

    let mut conditional = json!({"path": "secret/data/prod/db", "operation": "read", "policies": ["reads"]});
    let told = ask(&server, conditional.clone()).await;
    assert_eq!(told["allowed"], false);
    let why =
        json!([{"policy": "reads", "effect": "grant", "why": "source_cidrs: the request does not come from there"}]);
    assert_eq!(told["not_counting"], why);
    conditional["source"] = json!("10.1.2.3");
    let told = ask(&server, conditional.clone()).await;
    assert_eq!((&told["allowed"], &told["not_counting"]), (&json!(true), &json!([])));
    assert!(
        told["because"].as_str().unwrap().ends_with("grants by itself, as each policy about secrets does"),
        "{told}"
    );

    // Whoever may not ask learns nothing, and nobody asks about two at once.
    let (nobody, _) = token(&server, &["all"]).await;
    assert_eq!(by(&mut server, &nobody, "clm/access/explain", conditional.clone()).await.status, 403);
    conditional["token"] = json!("x");
    let refused = server.put("clm/access/explain", conditional).await.unwrap();
    assert!(refused.status == 400 && refused.error().contains("exactly one of"), "{refused:?}");
}
