//! What a device is, as `sys/audit` keeps it.

use crate::app::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DeviceKind {
    File,
    Socket,
    Syslog,
}

/// A device's document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceOptions {
    #[serde(rename = "type")]
    pub(crate) kind: DeviceKind,
    pub(crate) description: String,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) local: bool,
}

/// Options that each kind knows, beyond those of all.
const COMMON: [&str; 5] = ["format", "hmac_accessor", "log_raw", "prefix", "required"];

impl DeviceOptions {
    /// As asked, if it can be.
    pub(crate) fn checked(
        kind: &str,
        description: String,
        mut options: BTreeMap<String, String>,
        local: bool,
    ) -> Result<Self> {
        let kind = match kind {
            "file" => DeviceKind::File,
            "socket" => DeviceKind::Socket,
            "syslog" => DeviceKind::Syslog,
            "" => return Err(Error::invalid("missing type: file, socket or syslog")),
            other => return Err(Error::invalid(format!("unknown backend type: {other:?}: file, socket or syslog"))),
        };
        if let Some(old) = options.remove("path") {
            options.entry("file_path".into()).or_insert(old);
        }
        let own: &[&str] = match kind {
            DeviceKind::File => &["file_path", "mode"],
            DeviceKind::Socket => &["address", "socket_type", "write_timeout"],
            DeviceKind::Syslog => &["address", "facility", "tag"],
        };
        if let Some(unknown) =
            options.keys().find(|name| !COMMON.contains(&name.as_str()) && !own.contains(&name.as_str()))
        {
            return Err(Error::invalid(format!(
                "unknown option {unknown:?}: this device knows {COMMON:?} and {own:?}"
            )));
        }
        let checked = Self { kind, description, options, local };
        if checked.flag("log_raw", false)? {
            return Err(Error::invalid(
                "log_raw is not supported by this server: entries hold what is secret only as HMAC",
            ));
        }
        if checked.option("format").is_some_and(|format| format != "json") {
            return Err(Error::invalid("format: this server writes json"));
        }
        checked.flag("hmac_accessor", true)?;
        checked.flag("required", false)?;
        match kind {
            DeviceKind::File if checked.option("file_path").is_none() => Err(Error::invalid("file_path is required")),
            DeviceKind::File => checked.mode().map(|_| checked),
            DeviceKind::Socket if checked.option("address").is_none() => Err(Error::invalid("address is required")),
            DeviceKind::Socket => match checked.option("socket_type").unwrap_or("tcp") {
                "tcp" | "udp" | "unix" => Ok(checked),
                other => Err(Error::invalid(format!("socket_type {other:?}: tcp, udp or unix"))),
            },
            DeviceKind::Syslog => checked.facility().map(|_| checked),
        }
    }

    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.option(name) {
            None => Ok(default),
            Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
            Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
            Some(_) => Err(Error::invalid(format!("{name} is true or false"))),
        }
    }

    /// Whether nothing is done without it.
    pub(crate) fn required(&self) -> bool {
        self.flag("required", false).unwrap_or(true)
    }

    /// Whether accessors are told only as HMAC.
    pub(super) fn hides_accessors(&self) -> bool {
        self.flag("hmac_accessor", true).unwrap_or(true)
    }

    /// Permissions of a file, octal; 0600 unless set.
    pub(super) fn mode(&self) -> Result<u32> {
        let Some(text) = self.option("mode") else { return Ok(0o600) };
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(|mode| if mode == 0 { 0o600 } else { mode }).ok_or_else(|| Error::invalid("mode is octal, like 0600"))
    }

    /// Number of a syslog facility (RFC 5424, 6.2.1).
    pub(super) fn facility(&self) -> Result<u8> {
        const NAMES: [&str; 24] = [
            "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP",
            "NTP", "AUDIT", "ALERT", "CLOCK", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6",
            "LOCAL7",
        ];
        let name = self.option("facility").unwrap_or("AUTH").to_ascii_uppercase();
        let found = NAMES.iter().position(|known| *known == name).and_then(|number| u8::try_from(number).ok());
        found.ok_or_else(|| Error::invalid(format!("unknown syslog facility {name:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(kind: &str, options: &[(&str, &str)]) -> Result<DeviceOptions> {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        DeviceOptions::checked(kind, String::new(), options, false)
    }

    #[test]
    fn what_cannot_be_is_refused_and_says_why() {
        for (kind, options, why) in [
            ("file", &[][..], "file_path is required"),
            ("socket", &[], "address is required"),
            ("kafka", &[], "unknown backend type"),
            ("file", &[("file_path", "/f"), ("log_raw", "true")], "log_raw is not supported"),
            ("file", &[("file_path", "/f"), ("format", "jsonx")], "this server writes json"),
            ("file", &[("file_path", "/f"), ("mode", "999")], "octal"),
            ("file", &[("file_path", "/f"), ("requierd", "true")], "unknown option"),
            ("syslog", &[("facility", "NOSUCH")], "unknown syslog facility"),
            ("socket", &[("address", "a:1"), ("socket_type", "sctp")], "tcp, udp or unix"),
        ] {
            let refused = checked(kind, options).expect_err(why).to_string();
            assert!(refused.contains(why), "{refused}");
        }
        let file = checked("file", &[("path", "/f"), ("required", "true")]).expect("the old name");
        assert_eq!((file.option("file_path"), file.required(), file.mode().ok()), (Some("/f"), true, Some(0o600)));
        assert_eq!(checked("syslog", &[("facility", "local7")]).and_then(|syslog| syslog.facility()).ok(), Some(23));
    }
}
