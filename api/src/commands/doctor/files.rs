//! Files that hold what nobody else may read.

use super::finding::Finding;
use crate::settings::{Settings, Urls, holds_password};
use keyvault::PinSource;
use secrecy::ExposeSecret;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(super) fn examine(settings: &Settings, config: Option<&Path>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut look = |check: &str, path: &Path| findings.extend(secret(check, path));
    if let Some(PinSource::File(path)) = settings.hsm.as_ref().map(|hsm| &hsm.pin) {
        look("file.pin", path);
    }
    if let Some(tls) = &settings.server.tls {
        look("file.tls_key", &tls.key);
    }
    for (check, database) in
        [("file.secure_database_url", &settings.secure_database), ("file.core_database_url", &settings.core_database)]
    {
        if let Some(path) = database.as_ref().and_then(|database| database.url_file.as_deref()) {
            look(check, path);
        }
    }
    if let Some(path) = config
        && hold_password(settings)
    {
        look("file.settings", path);
    }
    findings
}

/// Nothing to say of one that is not there: who needs it does.
fn secret(check: &str, path: &Path) -> Option<Finding> {
    let metadata = path.metadata().ok()?;
    let (mode, name) = (metadata.mode() & 0o777, path.display());
    let mend = format!("chmod 0600 {name}, and let the service's user own it");
    Some(if mode & 0o007 != 0 {
        Finding::failed(
            check,
            format!("{name} has mode {mode:04o}: every user of this machine can get at its secret; {mend}"),
        )
    } else if mode & 0o070 != 0 {
        Finding::warning(check, format!("{name} has mode {mode:04o}: its whole group can get at its secret; {mend}"))
    } else {
        Finding::ok(check, format!("{name} is its owner's alone"))
    })
}

/// Whether the settings themselves are secret.
fn hold_password(settings: &Settings) -> bool {
    let databases = [&settings.secure_database, &settings.core_database];
    let apps = databases.into_iter().flatten().flat_map(|database| [&database.url, &database.listen_url]).flatten();
    let others = [&settings.migration, &settings.auditor].into_iter().flatten();
    apps.chain(others.flat_map(|Urls { secure_url, core_url }| [secure_url, core_url]))
        .any(|url| holds_password(url.expose_secret()))
}
