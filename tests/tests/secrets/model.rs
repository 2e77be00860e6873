//! What an engine of version 2 promises, as a pure model: no time, no network. Answers are a status and what matters of the body.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Configure {
        max: Option<i64>,
        cas: Option<bool>,
        after: Option<i64>,
    },
    Delete {
        path: &'static str,
    },
    DeleteSecret {
        path: &'static str,
    },
    List {
        folder: &'static str,
    },
    Metadata {
        path: &'static str,
        max: Option<i64>,
        cas: Option<bool>,
        after: Option<i64>,
        custom: Option<Map<String, Value>>,
    },
    Patch {
        path: &'static str,
        data: Map<String, Value>,
        cas: Option<i64>,
    },
    PatchMetadata {
        path: &'static str,
        custom: Option<Map<String, Value>>,
        no_max: bool,
    },
    Read {
        path: &'static str,
        version: i64,
    },
    ReadMetadata {
        path: &'static str,
    },
    Subkeys {
        path: &'static str,
    },
    Versions {
        path: &'static str,
        verb: &'static str,
        versions: Vec<i64>,
    },
    Write {
        path: &'static str,
        data: Map<String, Value>,
        cas: Option<i64>,
    },
}

/// When a version is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deletion {
    Ahead,
    Never,
    Past,
}

#[derive(Clone, Debug)]
struct Version {
    data: Map<String, Value>,
    deletion: Deletion,
    destroyed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    max: i64,
    cas: bool,
    after: i64,
}

#[derive(Clone, Debug, Default)]
struct Secret {
    settings: Settings,
    custom: BTreeMap<String, Value>,
    current: i64,
    oldest: i64,
    versions: BTreeMap<i64, Version>,
}

/// A mount.
#[derive(Debug, Default)]
pub(super) struct Model {
    settings: Settings,
    secrets: BTreeMap<&'static str, Secret>,
}

const MISMATCH: &str = "check-and-set parameter did not match the current version";
const REQUIRED: &str = "check-and-set parameter required for this call";

impl Settings {
    fn change(&mut self, max: Option<i64>, cas: Option<bool>, after: Option<i64>) {
        self.max = max.unwrap_or(self.max);
        self.cas = cas.unwrap_or(self.cas);
        self.after = after.unwrap_or(self.after);
    }
}

impl Version {
    fn is_readable(&self) -> bool {
        !self.destroyed && self.deletion != Deletion::Past
    }
}

impl Secret {
    fn shown(&self, number: i64) -> Value {
        let version = &self.versions[&number];
        json!({
            "custom_metadata": self.shown_custom(),
            "deletion_time": deletion(version.deletion),
            "destroyed": version.destroyed,
            "version": number,
        })
    }

    fn shown_custom(&self) -> Value {
        if self.custom.is_empty() { Value::Null } else { json!(self.custom) }
    }

    fn add(&mut self, data: Map<String, Value>, mount: Settings) -> (u16, Value) {
        self.current += 1;
        let afters = [mount.after, self.settings.after];
        let deletion = if afters.iter().any(|after| *after < 0) || afters.iter().all(|after| *after == 0) {
            Deletion::Never
        } else {
            Deletion::Ahead
        };
        self.versions.insert(self.current, Version { data, deletion, destroyed: false });
        let kept = [self.settings.max, mount.max, 10].into_iter().find(|kept| *kept > 0).unwrap();
        while self.versions.len() as i64 > kept {
            let (first, _) = self.versions.pop_first().unwrap();
            self.oldest = first + 1;
        }
        (200, self.shown(self.current))
    }
}

fn deletion(deletion: Deletion) -> &'static str {
    match deletion {
        Deletion::Ahead => "ahead",
        Deletion::Never => "",
        Deletion::Past => "past",
    }
}

fn merge(data: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        if value.is_null() {
            data.shift_remove(name);
        } else if let Value::Object(inner) = value {
            let mut old = data.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
            merge(&mut old, inner);
            data.insert(name.clone(), Value::Object(old));
        } else {
            data.insert(name.clone(), value.clone());
        }
    }
}

fn names(data: &Map<String, Value>) -> Value {
    let inner = |value: &Value| value.as_object().filter(|inner| !inner.is_empty()).map_or(Value::Null, names);
    Value::Object(data.iter().map(|(name, value)| (name.clone(), inner(value))).collect())
}

impl Model {
    /// Status and what is told.
    pub(super) fn step(&mut self, step: &Step) -> (u16, Value) {
        let nothing = |status| (status, Value::Null);
        match step.clone() {
            Step::Configure { max, cas, after } => {
                self.settings.change(max, cas, after);
                nothing(204)
            }
            Step::Write { path, data, cas } => match self.refuses(path, cas) {
                Some(refused) => (400, refused.into()),
                None => self.secrets.entry(path).or_default().add(data, self.settings),
            },
            Step::Patch { path, data, cas } => {
                if self.secrets.get(path).is_none_or(|secret| secret.current == 0) {
                    return nothing(404);
                }
                if let Some(refused) = self.refuses(path, cas) {
                    return (400, refused.into());
                }
                let secret = self.secrets.get_mut(path).unwrap();
                let newest = &secret.versions[&secret.current];
                if !newest.is_readable() {
                    return (404, secret.shown(secret.current));
                }
                let mut merged = newest.data.clone();
                merge(&mut merged, &data);
                secret.add(merged, self.settings)
            }
            Step::Read { path, version } => self.read(path, version, "data", |data| Value::Object(data.clone())),
            Step::Subkeys { path } => self.read(path, 0, "subkeys", names),
            Step::Delete { path } => {
                let newest = self.secrets.get(path).map_or(0, |secret| secret.current);
                self.change(path, "delete", &[newest]);
                nothing(204)
            }
            Step::Versions { path, verb, versions } => {
                self.change(path, verb, &versions);
                nothing(204)
            }
            Step::DeleteSecret { path } => {
                self.secrets.remove(path);
                nothing(204)
            }
            Step::Metadata { path, max, cas, after, custom } => {
                let secret = self.secrets.entry(path).or_default();
                secret.settings.change(max, cas, after);
                if let Some(custom) = custom {
                    secret.custom = custom.into_iter().filter(|(_, text)| !text.is_null()).collect();
                }
                // It is said that the mount's word counts.
                nothing(if cas == Some(false) && self.settings.cas { 200 } else { 204 })
            }
            Step::PatchMetadata { path, custom, no_max } => {
                let Some(secret) = self.secrets.get_mut(path) else { return nothing(404) };
                if no_max {
                    secret.settings.max = 0;
                }
                for (name, text) in custom.into_iter().flatten() {
                    if text.is_null() {
                        secret.custom.remove(&name);
                    } else {
                        secret.custom.insert(name, text);
                    }
                }
                nothing(204)
            }
            Step::ReadMetadata { path } => {
                let Some(secret) = self.secrets.get(path) else { return nothing(404) };
                let versions: Map<String, Value> = secret
                    .versions
                    .iter()
                    .map(|(number, version)| {
                        let shown =
                            json!({"deletion_time": deletion(version.deletion), "destroyed": version.destroyed});
                        (number.to_string(), shown)
                    })
                    .collect();
                let shown = json!({
                    "cas_required": secret.settings.cas, "current_version": secret.current, "custom_metadata": secret.shown_custom(),
                    "max_versions": secret.settings.max, "oldest_version": secret.oldest, "versions": versions,
                });
                (200, shown)
            }
            Step::List { folder } => {
                let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
                let names: BTreeSet<String> = self
                    .secrets
                    .keys()
                    .filter_map(|path| path.strip_prefix(&prefix))
                    .map(|rest| rest.split_once('/').map_or_else(|| rest.to_owned(), |(name, _)| format!("{name}/")))
                    .collect();
                if names.is_empty() { nothing(404) } else { (200, json!({ "keys": names })) }
            }
        }
    }

    fn refuses(&self, path: &str, cas: Option<i64>) -> Option<&'static str> {
        let secret = self.secrets.get(path);
        let current = secret.map_or(0, |secret| secret.current);
        match cas {
            Some(cas) => (cas != current).then_some(MISMATCH),
            None => (self.settings.cas || secret.is_some_and(|secret| secret.settings.cas)).then_some(REQUIRED),
        }
    }

    fn read(&self, path: &str, version: i64, name: &str, shown: impl Fn(&Map<String, Value>) -> Value) -> (u16, Value) {
        let Some(secret) = self.secrets.get(path) else { return (404, Value::Null) };
        let number = if version < 1 { secret.current } else { version };
        let Some(version) = secret.versions.get(&number) else { return (404, Value::Null) };
        let (status, data) = if version.is_readable() { (200, shown(&version.data)) } else { (404, Value::Null) };
        (status, json!({ name: data, "metadata": secret.shown(number) }))
    }

    fn change(&mut self, path: &str, verb: &str, versions: &[i64]) {
        let Some(secret) = self.secrets.get_mut(path) else { return };
        for number in versions {
            let Some(version) = secret.versions.get_mut(number).filter(|version| !version.destroyed) else { continue };
            match verb {
                "delete" => version.deletion = Deletion::Past,
                "undelete" => version.deletion = Deletion::Never,
                _ => version.destroyed = true,
            }
        }
    }
}
