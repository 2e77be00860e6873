//! What a certificate says (RFC 5280).

use crate::error::{Error, Result};
use der::{Decode, Tag, Tagged, asn1};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, BasicConstraints, SubjectAltName, SubjectKeyIdentifier};

/// What roles ask about, and what tokens are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) common_name: String,
    pub(super) organizational_units: Vec<String>,
    pub(super) dns: Vec<String>,
    pub(super) email: Vec<String>,
    pub(super) uri: Vec<String>,
    /// Lower case hexadecimal with colons.
    pub(super) serial_number: String,
    pub(super) subject_key_id: String,
    pub(super) authority_key_id: String,
    /// Of all of it, lower case hexadecimal.
    pub(super) sha256: String,
    /// It may vouch for others.
    pub(super) is_authority: bool,
    /// Seconds since 1970.
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

const COMMON_NAME: &str = "2.5.4.3";
const ORGANIZATIONAL_UNIT: &str = "2.5.4.11";

pub(super) fn facts(der: &[u8]) -> Result<Facts> {
    let certificate = Certificate::from_der(der).map_err(|_| Error::invalid("the certificate cannot be read"))?;
    let certificate = certificate.tbs_certificate();
    let mut facts = Facts {
        serial_number: with_colons(certificate.serial_number().as_bytes()),
        sha256: hex::encode(Sha256::digest(der)),
        not_before: certificate.validity().not_before.to_unix_duration().as_secs(),
        not_after: certificate.validity().not_after.to_unix_duration().as_secs(),
        ..Facts::default()
    };
    for attribute in certificate.subject().iter() {
        let Some(text) = text(attribute) else { continue };
        match attribute.oid.to_string().as_str() {
            // Of several the last, which is the most specific one.
            COMMON_NAME => facts.common_name = text,
            ORGANIZATIONAL_UNIT => facts.organizational_units.push(text),
            _ => {}
        }
    }
    if let Ok(Some((_, names))) = certificate.get_extension::<SubjectAltName>() {
        for name in names.0 {
            match name {
                GeneralName::DnsName(name) => facts.dns.push(name.to_string()),
                GeneralName::Rfc822Name(name) => facts.email.push(name.to_string()),
                GeneralName::UniformResourceIdentifier(name) => facts.uri.push(name.to_string()),
                _ => {}
            }
        }
    }
    if let Ok(Some((_, constraints))) = certificate.get_extension::<BasicConstraints>() {
        facts.is_authority = constraints.ca;
    }
    if let Ok(Some((_, id))) = certificate.get_extension::<SubjectKeyIdentifier>() {
        facts.subject_key_id = with_colons(id.0.as_bytes());
    }
    if let Ok(Some((_, AuthorityKeyIdentifier { key_identifier: Some(id), .. }))) = certificate.get_extension() {
        facts.authority_key_id = with_colons(id.as_bytes());
    }
    Ok(facts)
}

fn with_colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn text(attribute: &AttributeTypeAndValue) -> Option<String> {
    let value = &attribute.value;
    match value.tag() {
        Tag::Utf8String => value.decode_as::<asn1::Utf8StringRef<'_>>().ok().map(|text| text.as_str().to_owned()),
        Tag::PrintableString => {
            value.decode_as::<asn1::PrintableStringRef<'_>>().ok().map(|text| text.as_str().to_owned())
        }
        Tag::Ia5String => value.decode_as::<asn1::Ia5StringRef<'_>>().ok().map(|text| text.as_str().to_owned()),
        _ => None,
    }
}
