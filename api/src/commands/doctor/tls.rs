//! How the service would be reached: TLS, and until when.

use super::finding::Finding;
use crate::http::tls;
use crate::settings::Settings;
use chrono::{DateTime, TimeDelta, Utc};
use clm_core::clock::{Clock, SystemClock};
use std::path::Path;
use x509_cert::Certificate;

/// Time enough to get another one.
const SOON: TimeDelta = TimeDelta::days(30);

pub(super) fn examine(settings: &Settings, clock: &SystemClock) -> Vec<Finding> {
    if let Err(error) = settings.server.check() {
        return vec![Finding::failed("server.listen", error.to_string())];
    }
    let Some(tls) = &settings.server.tls else {
        return vec![Finding::ok("server.tls", "plain HTTP, which stays on this machine or behind a proxy")];
    };
    if let Err(error) = tls::configuration(tls, settings.fips) {
        return vec![Finding::failed("server.tls", format!("{error:#}: correct the files of [server.tls]"))];
    }
    let mut findings = vec![Finding::ok("server.tls", "certificate and key are read and fit")];
    findings.push(expiry("server.tls.certificate", &tls.certificate, clock.now()));
    findings.extend(tls.client_ca.as_ref().map(|path| expiry("server.tls.client_ca", path, clock.now())));
    findings
}

/// The certificate of a file that ends first.
fn expiry(check: &str, path: &Path, now: DateTime<Utc>) -> Finding {
    let mut chain = match std::fs::read(path).map(|pem| Certificate::load_pem_chain(&pem)) {
        Ok(Ok(chain)) => chain,
        Ok(Err(error)) => {
            return Finding::failed(check, format!("{}: {error}: put a PEM certificate there", path.display()));
        }
        Err(error) => return Finding::failed(check, format!("{}: {error}: let the service read it", path.display())),
    };
    let until = |certificate: &Certificate| {
        DateTime::<Utc>::from(certificate.tbs_certificate().validity().not_after.to_system_time())
    };
    chain.sort_by_key(until);
    let Some(first) = chain.first() else {
        return Finding::failed(check, format!("{} holds no certificate: put one there", path.display()));
    };
    let from = chain
        .iter()
        .map(|certificate| DateTime::<Utc>::from(certificate.tbs_certificate().validity().not_before.to_system_time()))
        .max();
    let (subject, until) = (first.tbs_certificate().subject().to_string(), until(first));
    let renew = "put a new one there, which the next start reads";
    if until <= now {
        Finding::failed(
            check,
            format!("`{subject}` in {} ended on {until}: clients refuse it; {renew}", path.display()),
        )
    } else if from.is_some_and(|from| from > now) {
        let says = format!(
            "a certificate in {} is not good yet: wait, correct this machine's clock, or {renew}",
            path.display()
        );
        Finding::failed(check, says)
    } else if until - now < SOON {
        Finding::warning(check, format!("`{subject}` in {} ends on {until}: {renew}", path.display()))
    } else {
        Finding::ok(check, format!("good until {until}"))
    }
}
