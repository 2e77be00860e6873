//! KV engines: one type in two versions, told apart by an option.

use super::Mount;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// What it is called, whatever its version.
pub(super) const TYPE: &str = "kv";
/// Names that KV engines are mounted by.
pub(super) const TYPES: [&str; 4] = ["generic", TYPE, "kv-v1", "kv-v2"];
const VERSION: &str = "version";

/// Type and options that a mount of that name has.
pub(super) fn settle(
    mount_type: &str,
    mut options: BTreeMap<String, String>,
) -> Result<(String, BTreeMap<String, String>)> {
    if !TYPES.contains(&mount_type) {
        if options.contains_key(VERSION) {
            return Err(Error::invalid(format!("engine {mount_type} has no option `version`")));
        }
        return Ok((mount_type.to_owned(), options));
    }
    if let Some((kind, version)) = mount_type.split_once("-v") {
        options.insert(VERSION.to_owned(), version.to_owned());
        return Ok((kind.to_owned(), options));
    }
    check_version(options.get(VERSION))?;
    if mount_type == "generic" && is_second(&options) {
        return Err(Error::invalid("engine generic is version 1 of engine kv: mount kv-v2"));
    }
    Ok((mount_type.to_owned(), options))
}

/// Takes over other options; gives what is worth saying about it.
pub(super) fn tune(mount: &mut Mount, wanted: BTreeMap<String, String>) -> Result<Option<String>> {
    let options = mount.options.get_or_insert_default();
    let Some(version) = wanted.get(VERSION) else {
        options.extend(wanted);
        return Ok(None);
    };
    if mount.mount_type != "kv" {
        return Err(Error::invalid(format!("engine {} has no option `version`", mount.mount_type)));
    }
    check_version(Some(version))?;
    let was_second = is_second(options);
    if was_second && version == "1" {
        return Err(Error::invalid("cannot downgrade mount from version 2"));
    }
    options.extend(wanted);
    let upgraded = !was_second && is_second(options);
    Ok(upgraded.then(|| {
        "The mount is now one of version 2; what was kept in it is version 1 of each secret, below data/".to_owned()
    }))
}

fn check_version(version: Option<&String>) -> Result<()> {
    match version.map(String::as_str) {
        None | Some("1" | "2") => Ok(()),
        Some(other) => Err(Error::invalid(format!("engine kv has versions 1 and 2, not {other:?}"))),
    }
}

fn is_second(options: &BTreeMap<String, String>) -> bool {
    options.get(VERSION).is_some_and(|version| version == "2")
}

impl Mount {
    /// Which engine answers: the type, for KV with its version.
    pub fn engine(&self) -> &str {
        match self.mount_type.as_str() {
            "generic" => "kv-v1",
            "kv" if self.options.as_ref().is_some_and(is_second) => "kv-v2",
            "kv" => "kv-v1",
            // Two names of one login method.
            "oidc" => "jwt",
            other => other,
        }
    }

    /// Whether it keeps secrets.
    pub fn keeps_secrets(&self) -> bool {
        matches!(self.engine(), "kv-v1" | "kv-v2")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(version: &str) -> BTreeMap<String, String> {
        if version.is_empty() { BTreeMap::new() } else { BTreeMap::from([("version".into(), version.into())]) }
    }

    #[test]
    fn every_name_of_kv_becomes_a_type_and_a_version() {
        for (name, given, kind, version) in [
            ("kv", "", "kv", ""),
            ("kv", "1", "kv", "1"),
            ("kv", "2", "kv", "2"),
            ("kv-v1", "", "kv", "1"),
            ("kv-v2", "", "kv", "2"),
            ("kv-v2", "1", "kv", "2"),
            ("generic", "", "generic", ""),
            ("transit", "", "transit", ""),
        ] {
            let settled = settle(name, options(given)).expect("a type");
            assert_eq!(settled, (kind.to_owned(), options(version)), "{name} {given}");
        }
        for (name, version) in [("kv", "3"), ("kv", "two"), ("generic", "2"), ("transit", "1")] {
            assert!(settle(name, options(version)).is_err(), "{name} {version}");
        }
    }
}
