//! TLS 1.2 and 1.3. Client certificates are asked for, and nobody needs one.

use crate::settings::{Tls, TlsVersion};
use anyhow::{Context, Result, ensure};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use rustls::{NamedGroup, RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;

/// Reads the files and says what does not fit. `fips`: only what SP 800-52r2 (3.3.1) and SP 800-56A approve.
pub(crate) fn configuration(tls: &Tls, fips: bool) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(provider(fips));
    let versions: &[&rustls::SupportedProtocolVersion] = match tls.min_version {
        TlsVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        TlsVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .context("server.tls.min_version")?;
    let builder = match &tls.client_ca {
        None => builder.with_client_cert_verifier(Arc::new(AnyClient(provider))),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path).context("server.tls.client_ca")? {
                roots.add(certificate).context("server.tls.client_ca")?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .context("server.tls.client_ca")?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = certificates(&tls.certificate).context("server.tls.certificate")?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .with_context(|| format!("server.tls.key: {} holds no private key in PEM", tls.key.display()))?;
    let mut configuration =
        builder.with_single_cert(chain, key).context("server.tls.certificate and server.tls.key do not fit")?;
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(configuration))
}

/// Asks for a client certificate, needs none, and has the client prove that it has the key. Whether the certificate means anything, the
/// login method `cert` decides by the authority of each of its roles: by the handshake alone nobody may do anything.
#[derive(Debug)]
struct AnyClient(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn provider(fips: bool) -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if fips {
        provider.cipher_suites.retain(|suite| !format!("{:?}", suite.suite()).contains("CHACHA20"));
        provider.kx_groups.retain(|group| matches!(group.name(), NamedGroup::secp256r1 | NamedGroup::secp384r1));
    }
    provider
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .with_context(|| format!("{} cannot be read as PEM", path.display()))?;
    ensure!(!certificates.is_empty(), "{} holds no certificate", path.display());
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fips_leaves_only_approved_suites_and_groups_and_some_of_each_version() {
        let approved = provider(true);
        let suites: Vec<String> = approved.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect();
        assert!(suites.iter().all(|suite| suite.contains("_AES_")), "{suites:?}");
        for version in ["TLS13_AES", "TLS_ECDHE_ECDSA_WITH_AES", "TLS_ECDHE_RSA_WITH_AES"] {
            assert!(suites.iter().any(|suite| suite.starts_with(version)), "{version}: {suites:?}");
        }
        assert_eq!(approved.kx_groups.len(), 2);
        assert!(provider(false).cipher_suites.len() > approved.cipher_suites.len());
    }
}
