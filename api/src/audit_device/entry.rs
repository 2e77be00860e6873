//! Entries as Vault's audit devices write them: one JSON object a request and one an answer, with what is secret as `hmac-sha256:…`.

use audit_chain::{MatchedRule, without_tokens};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use clm_core::Namespace;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// A request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: Uuid,
    pub(crate) time: DateTime<Utc>,
    pub(crate) operation: &'static str,
    /// Where it acted; none: in the root namespace.
    pub(crate) namespace: Option<Arc<Namespace>>,
    pub(crate) path: Arc<str>,
    pub(crate) mount: Option<MountPoint>,
    pub(crate) fields: Map<String, Value>,
    pub(crate) token: Option<Arc<str>>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) wrap_ttl: Option<u64>,
    /// By name, in lower case; whether only their HMAC is told.
    pub(crate) headers: BTreeMap<String, (Vec<String>, bool)>,
    pub(crate) by: Option<AskedBy>,
    /// Why it was refused before anything was done.
    pub(crate) refused: Option<String>,
}

/// The mount that was asked.
#[derive(Clone, Debug)]
pub(crate) struct MountPoint {
    pub(crate) path: String,
    pub(crate) mount_type: String,
    pub(crate) accessor: String,
    pub(crate) class: &'static str,
    /// Fields whose values are told as they are.
    pub(crate) clear_request: Vec<String>,
    pub(crate) clear_response: Vec<String>,
}

/// Whose token it was.
#[derive(Debug)]
pub(crate) struct AskedBy {
    pub(crate) accessor: Arc<str>,
    pub(crate) display_name: Arc<str>,
    /// The token's own.
    pub(crate) policies: Vec<String>,
    /// Who bears it, and the policies that it has because of that.
    pub(crate) entity_id: Option<Uuid>,
    pub(crate) identity_policies: Vec<String>,
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    pub(crate) token_type: &'static str,
    pub(crate) ttl: u64,
    pub(crate) issue_time: DateTime<Utc>,
    pub(crate) allowed: bool,
    /// The organization whose policies those are; none: `root`.
    pub(crate) home: Option<Uuid>,
    /// The rule that let it pass.
    pub(crate) rule: Option<Arc<MatchedRule>>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) asked: Arc<Asked>,
    pub(crate) time: DateTime<Utc>,
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// What an answer says of why it is a refusal, without any token.
pub(crate) fn reason(body: &[u8], status: u16) -> String {
    let told: Value = serde_json::from_slice(body).unwrap_or_default();
    let texts: Vec<&str> = told["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if texts.is_empty() { format!("status {status}") } else { without_tokens(&texts.join(", ")).into_owned() }
}

/// An entry before what is secret in it was replaced.
pub(super) struct Draft {
    entry: Value,
    clear_request: Vec<String>,
    clear_response: Vec<String>,
    hides_accessors: bool,
}

impl Draft {
    pub(super) fn of_request(asked: &Asked, hides_accessors: bool) -> Self {
        let mut entry = json!({
            "time": shown(asked.time),
            "type": "request",
            "auth": auth(asked),
            "request": request(asked),
        });
        if let Some(error) = &asked.refused {
            entry["error"] = error.as_str().into();
        }
        Self::new(entry, asked, hides_accessors)
    }

    pub(super) fn of_answer(answered: &Answered, hides_accessors: bool) -> Self {
        let asked = &answered.asked;
        let mut entry = json!({
            "time": shown(answered.time),
            "type": "response",
            "auth": auth(asked),
            "request": request(asked),
            "response": response(asked, &answered.body),
        });
        if answered.status >= 400 {
            entry["error"] = reason(&answered.body, answered.status).into();
        }
        Self::new(entry, asked, hides_accessors)
    }

    fn new(entry: Value, asked: &Asked, hides_accessors: bool) -> Self {
        let (clear_request, clear_response) = asked
            .mount
            .as_ref()
            .map(|mount| (mount.clear_request.clone(), mount.clear_response.clone()))
            .unwrap_or_default();
        Self { entry, clear_request, clear_response, hides_accessors }
    }

    /// What must not be told, in the order in which [`Self::line`] wants the HMACs.
    pub(super) fn secrets(&mut self) -> Vec<String> {
        let mut secrets = Vec::new();
        self.each_secret(&mut |text| secrets.push(text.clone()));
        secrets
    }

    /// The line, with `hashes` in place of the secrets.
    pub(super) fn line(mut self, hashes: &mut impl Iterator<Item = String>, prefix: &str) -> Vec<u8> {
        self.each_secret(&mut |text| *text = hashes.next().unwrap_or_default());
        // `null` as in the reference's entries: left out.
        prune(&mut self.entry);
        format!("{prefix}{}\n", self.entry).into_bytes()
    }

    fn each_secret(&mut self, act: &mut impl FnMut(&mut String)) {
        let entry = &mut self.entry;
        let hides = self.hides_accessors;
        for (pointer, is_accessor) in [
            ("/auth/client_token", false),
            ("/auth/accessor", true),
            ("/request/client_token", false),
            ("/request/client_token_accessor", true),
            ("/response/auth/client_token", false),
            ("/response/auth/accessor", true),
            ("/response/wrap_info/token", false),
            ("/response/wrap_info/accessor", true),
            ("/response/wrap_info/wrapped_accessor", true),
        ] {
            if !is_accessor || hides {
                text_at(entry, pointer, act);
            }
        }
        each_text(entry.pointer_mut("/request/data"), &self.clear_request, act);
        each_text(entry.pointer_mut("/response/data"), &self.clear_response, act);
        // Headers whose names are marked; the marks are taken out by `prune`.
        if let Some(Value::Object(headers)) = entry.pointer_mut("/request/headers") {
            for (name, values) in headers {
                if let (true, Value::Array(values)) = (name.starts_with(HIDDEN), values) {
                    values.iter_mut().for_each(|value| texts_below(value, act));
                }
            }
        }
    }
}

/// In front of the name of a header whose values are told only as HMAC.
const HIDDEN: char = '\u{0}';

fn auth(asked: &Asked) -> Value {
    let Some(by) = &asked.by else { return json!({}) };
    let mut all = [&*by.policies, &*by.identity_policies].concat();
    all.sort_unstable();
    all.dedup();
    json!({
        "client_token": asked.token.as_deref().filter(|token| !token.is_empty()),
        "accessor": Some(&*by.accessor).filter(|accessor| !accessor.is_empty()),
        "display_name": &*by.display_name,
        "policies": all,
        "token_policies": by.policies,
        "identity_policies": Some(&by.identity_policies).filter(|policies| !policies.is_empty()),
        "entity_id": by.entity_id.map(|id| id.to_string()),
        "policy_results": policy_results(by),
        "metadata": by.metadata,
        "token_type": by.token_type,
        "token_ttl": by.ttl,
        "token_issue_time": shown(by.issue_time),
    })
}

/// Which policies let it pass, as the reference names them.
fn policy_results(by: &AskedBy) -> Value {
    let namespace_id = by.home.map_or_else(|| "root".to_owned(), |id| id.to_string());
    let rule = by.rule.iter().filter(|_| by.allowed);
    let granting: Vec<Value> = rule
        .flat_map(|rule| &rule.policies)
        .map(|name| json!({ "name": &**name, "namespace_id": namespace_id, "type": "acl" }))
        .collect();
    if granting.is_empty() {
        return json!({ "allowed": by.allowed });
    }
    json!({ "allowed": by.allowed, "granting_policies": granting })
}

fn request(asked: &Asked) -> Value {
    let mut request = json!({
        "id": asked.id.to_string(),
        "operation": asked.operation,
        "client_token": asked.token.as_deref().filter(|token| !token.is_empty()),
        "client_token_accessor": asked.by.as_ref().map(|by| &*by.accessor).filter(|accessor| !accessor.is_empty()),
        "namespace": asked.namespace.as_ref().map_or_else(
            || json!({ "id": "root" }),
            |namespace| json!({ "id": namespace.id, "path": &*namespace.path }),
        ),
        "path": &*asked.path,
        "data": if asked.fields.is_empty() { Value::Null } else { asked.fields.clone().into() },
        "remote_address": asked.source.map(|source| source.to_string()),
        "wrap_ttl": asked.wrap_ttl,
    });
    if let Some(mount) = &asked.mount {
        request["mount_point"] = mount.path.clone().into();
        request["mount_type"] = mount.mount_type.clone().into();
        request["mount_accessor"] = mount.accessor.clone().into();
        request["mount_class"] = mount.class.into();
    }
    if !asked.headers.is_empty() {
        let headers = asked.headers.iter().map(|(name, (values, hidden))| {
            (if *hidden { format!("{HIDDEN}{name}") } else { name.clone() }, json!(values))
        });
        request["headers"] = headers.collect::<Map<_, _>>().into();
    }
    request
}

/// What the answer held, as far as it is JSON.
fn response(asked: &Asked, body: &[u8]) -> Value {
    let mut answer: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let mut response = json!({});
    if let Some(mount) = &asked.mount {
        response["mount_point"] = mount.path.clone().into();
        response["mount_type"] = mount.mount_type.clone().into();
        response["mount_accessor"] = mount.accessor.clone().into();
        response["mount_class"] = mount.class.into();
    }
    if answer.contains_key("errors") {
        return response;
    }
    if !answer.contains_key("request_id") {
        // Without the envelope.
        response["data"] = answer.into();
        return response;
    }
    for name in ["auth", "data", "wrap_info", "warnings"] {
        response[name] = answer.shift_remove(name).unwrap_or_default();
    }
    if let Some(lease) = answer.get("lease_id").and_then(Value::as_str).filter(|lease| !lease.is_empty()) {
        response["secret"] = json!({ "lease_id": lease });
    }
    response
}

fn text_at(entry: &mut Value, pointer: &str, act: &mut impl FnMut(&mut String)) {
    if let Some(Value::String(text)) = entry.pointer_mut(pointer) {
        act(text);
    }
}

fn each_text(data: Option<&mut Value>, clear: &[String], act: &mut impl FnMut(&mut String)) {
    if let Some(Value::Object(fields)) = data {
        for (_, value) in fields.iter_mut().filter(|(name, _)| !clear.contains(name)) {
            texts_below(value, act);
        }
    }
}

fn texts_below(value: &mut Value, act: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => act(text),
        Value::Array(values) => values.iter_mut().for_each(|value| texts_below(value, act)),
        Value::Object(fields) => fields.values_mut().for_each(|value| texts_below(value, act)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Takes out `null` (but not in what callers sent and got), and the marks of headers.
fn prune(entry: &mut Value) {
    let Some(entry) = entry.as_object_mut() else { return };
    for part in ["auth", "request", "response"] {
        if let Some(Value::Object(fields)) = entry.get_mut(part) {
            fields.retain(|_, value| !value.is_null());
            if let Some(Value::Object(headers)) = fields.get_mut("headers") {
                *headers = std::mem::take(headers)
                    .into_iter()
                    .map(|(name, values)| (name.trim_start_matches(HIDDEN).to_owned(), values))
                    .collect();
            }
        }
    }
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked {
            id: Uuid::nil(),
            time: DateTime::UNIX_EPOCH,
            operation: "update",
            namespace: None,
            path: "kv/a".into(),
            mount: Some(MountPoint {
                path: "kv/".into(),
                mount_type: "kv".into(),
                accessor: "kv_1".into(),
                class: "secret",
                clear_request: vec!["open".into()],
                clear_response: Vec::new(),
            }),
            fields: json!({"hidden": "s1", "open": "told", "deep": [{"x": "s2"}], "n": 7})
                .as_object()
                .cloned()
                .unwrap_or_default(),
            token: Some("hvs.token".into()),
            source: None,
            wrap_ttl: None,
            headers: BTreeMap::from([
                ("x-open".to_owned(), (vec!["told".to_owned()], false)),
                ("x-hidden".to_owned(), (vec!["s3".to_owned()], true)),
            ]),
            by: Some(AskedBy {
                accessor: "accessor".into(),
                display_name: "token".into(),
                policies: vec!["default".into()],
                entity_id: None,
                identity_policies: Vec::new(),
                metadata: None,
                token_type: "service",
                ttl: 60,
                issue_time: DateTime::UNIX_EPOCH,
                allowed: true,
                home: None,
                rule: None,
            }),
            refused: None,
        }
    }

    fn line(mut draft: Draft) -> (Vec<String>, String) {
        let secrets = draft.secrets();
        let mut hashes = (0..secrets.len()).map(|number| format!("hash{number}"));
        let line = draft.line(&mut hashes, "");
        (secrets, String::from_utf8(line).expect("UTF-8"))
    }

    #[test]
    fn what_is_secret_is_in_no_line_and_what_is_not_is() {
        let (secrets, line) = line(Draft::of_request(&asked(), true));
        assert_eq!(secrets, ["hvs.token", "accessor", "hvs.token", "accessor", "s1", "s2", "s3"]);
        for secret in ["hvs.token", "s1", "s2", "s3", "\"accessor\":\"accessor\"", "null", "\\u0000"] {
            assert!(!line.contains(secret), "{secret}: {line}");
        }
        let entry: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            entry["request"]["data"],
            json!({"hidden": "hash4", "open": "told", "deep": [{"x": "hash5"}], "n": 7})
        );
        assert_eq!(entry["request"]["headers"], json!({"x-open": ["told"], "x-hidden": ["hash6"]}));
        assert_eq!(entry["type"], "request");
    }

    #[test]
    fn an_answer_tells_tokens_and_values_only_as_hmac() {
        let body = json!({"request_id": "r", "lease_id": "", "data": {"value": "v1", "count": 3}, "warnings": null,
            "wrap_info": {"token": "w1", "accessor": "w2", "ttl": 5}, "auth": {"client_token": "t1", "accessor": "t2", "policies": ["p"]}});
        let answered = Answered {
            asked: Arc::new(asked()),
            time: DateTime::UNIX_EPOCH,
            status: 200,
            body: body.to_string().into(),
        };
        let (secrets, shown) = line(Draft::of_answer(&answered, true));
        for secret in ["v1", "w1", "w2", "t1", "t2"] {
            assert!(
                secrets.iter().any(|known| known == secret) && !shown.contains(&format!("\"{secret}\"")),
                "{secret}: {shown}"
            );
        }
        assert!(shown.contains("\"count\":3") && shown.contains("\"policies\":[\"p\"]"), "{shown}");
        let (secrets, shown) = line(Draft::of_answer(&answered, false));
        assert!(!secrets.contains(&"t2".to_owned()) && shown.contains("\"accessor\":\"t2\""), "{shown}");
        let refused =
            Answered { status: 403, body: json!({"errors": ["permission denied"]}).to_string().into(), ..answered };
        assert!(line(Draft::of_answer(&refused, true)).1.contains("\"error\":\"permission denied\""));
    }
}
