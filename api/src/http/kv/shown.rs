//! How secrets are shown.

use crate::app::secrets::Read;
use crate::http::answer::Answer;
use chrono::{DateTime, SecondsFormat, Utc};
use hyper::StatusCode;
use keyvault::secret::{SecretMetadata, SecretSettings, SecretVersion};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A version, its data under `name`; a deleted or destroyed one is shown without, under 404.
pub(super) fn read(name: &str, read: Read, data: impl FnOnce(Map<String, Value>) -> Value) -> Answer {
    let status = if read.data.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    Answer::data(json!({ name: read.data.map(data), "metadata": version(&read.version) })).with_status(status)
}

/// A version without what it holds.
pub(in crate::http) fn version(version: &SecretVersion) -> Value {
    json!({
        "created_time": time(version.created_at),
        "custom_metadata": texts(&version.custom_metadata),
        "deletion_time": version.deleted_at.map(time).unwrap_or_default(),
        "destroyed": version.destroyed,
        "version": version.version,
    })
}

pub(in crate::http) fn metadata(metadata: &SecretMetadata) -> Value {
    let versions: Map<String, Value> = metadata
        .versions
        .iter()
        .map(|version| {
            let shown = json!({
                "created_time": time(version.created_at),
                "deletion_time": version.deleted_at.map(time).unwrap_or_default(),
                "destroyed": version.destroyed,
            });
            (version.version.to_string(), shown)
        })
        .collect();
    json!({
        "cas_required": metadata.settings.cas_required,
        "created_time": time(metadata.created_at),
        "current_version": metadata.current_version,
        "custom_metadata": texts(&metadata.custom_metadata),
        "delete_version_after": duration(metadata.settings.delete_version_after),
        "max_versions": metadata.settings.max_versions,
        "oldest_version": metadata.oldest_version,
        "updated_time": time(metadata.written_at),
        "versions": versions,
    })
}

pub(super) fn settings(settings: SecretSettings) -> Value {
    json!({
        "cas_required": settings.cas_required,
        "delete_version_after": duration(settings.delete_version_after),
        "max_versions": settings.max_versions,
    })
}

/// Names of fields alone; what is deeper than `depth` (0: nothing) is not shown.
pub(super) fn subkeys(data: &Map<String, Value>, depth: u64) -> Value {
    let shown = |value: &Value| match value {
        Value::Object(inner) if !inner.is_empty() && depth != 1 => subkeys(inner, depth.saturating_sub(1)),
        _ => Value::Null,
    };
    Value::Object(data.iter().map(|(name, value)| (name.clone(), shown(value))).collect())
}

pub(in crate::http) fn texts(texts: &BTreeMap<String, String>) -> Value {
    if texts.is_empty() { Value::Null } else { json!(texts) }
}

/// RFC 3339 with nanoseconds.
pub(in crate::http) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// As Go writes durations: `1h0m0s`.
fn duration(seconds: i64) -> String {
    let (sign, seconds) = (if seconds < 0 { "-" } else { "" }, seconds.unsigned_abs());
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{rest}s"),
        (0, _) => format!("{sign}{minutes}m{rest}s"),
        _ => format!("{sign}{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        for (seconds, text) in [
            (0, "0s"),
            (-1, "-1s"),
            (59, "59s"),
            (90, "1m30s"),
            (1_800, "30m0s"),
            (3_600, "1h0m0s"),
            (90_061, "25h1m1s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn subkeys_show_names_and_no_values() {
        let data = json!({"a": {"b": {"c": 1, "e": {}}, "d": [1, 2]}, "s": "x"});
        let shown = |depth| subkeys(data.as_object().expect("an object"), depth);
        assert_eq!(shown(0), json!({"a": {"b": {"c": null, "e": null}, "d": null}, "s": null}));
        assert_eq!(shown(1), json!({"a": null, "s": null}));
        assert_eq!(shown(2), json!({"a": {"b": null, "d": null}, "s": null}));
        assert_eq!(shown(9), shown(0));
    }
}
