//! Whether a role's authority vouches for a certificate (RFC 5280, 6).

use super::facts;
use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The certificates of a PEM; at least one.
pub(super) fn trusted(pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let refused = || Error::invalid("failed to parse certificate: one or more in PEM");
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.ok().filter(|found| !found.is_empty()).ok_or_else(refused)?;
    for certificate in &found {
        facts::facts(certificate)?;
        anchor_from_trusted_cert(certificate).map_err(|_| refused())?;
    }
    Ok(found)
}

/// Whether the chain that the client showed leads to one of those, at `now`. The client's own certificate may be one of them.
pub(super) fn is_vouched_for(
    chain: &[CertificateDer<'static>],
    trusted: &[CertificateDer<'static>],
    now: DateTime<Utc>,
) -> bool {
    let Some((own, intermediates)) = chain.split_first() else { return false };
    let Ok(seconds) = u64::try_from(now.timestamp()) else { return false };
    // An anchor is believed whatever it says; that its own time is over counts here all the same.
    let lives = |certificate: &CertificateDer<'static>| {
        facts::facts(certificate).is_ok_and(|facts| facts.not_before <= seconds && seconds <= facts.not_after)
    };
    let trusted: Vec<_> = trusted.iter().filter(|certificate| lives(certificate)).collect();
    if trusted.contains(&own) {
        return true;
    }
    let Ok(end) = EndEntityCert::try_from(own) else { return false };
    // A client's own certificate vouches for itself alone.
    let is_authority =
        |certificate: &&&CertificateDer<'static>| facts::facts(certificate).is_ok_and(|facts| facts.is_authority);
    let authorities = trusted.iter().filter(is_authority);
    let anchors: Vec<_> = authorities.filter_map(|certificate| anchor_from_trusted_cert(certificate).ok()).collect();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let usage = KeyUsage::client_auth();
    end.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, intermediates, time, usage, None, None).is_ok()
}
