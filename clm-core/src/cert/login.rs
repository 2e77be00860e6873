//! Logging in.

use super::facts::{self, Facts};
use super::{CertRole, verify};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::Claim;
use crate::login::{Admitted, Basis, Login, Visitor};
use crate::mount::Mount;
use crate::roles::RoleKey;
use crate::token::Warning;
use rustls_pki_types::CertificateDer;
use std::collections::BTreeMap;

/// What tokens are told of the certificate, by which policies about secrets are bound to it.
pub(crate) const FINGERPRINT: &str = "certificate_sha256";
/// Roles that are tried when the client names none.
const TRIED: usize = 100;

/// What the connection shows.
#[derive(Clone, Debug)]
pub struct CertLogin {
    /// The role; none: any that fits.
    pub name: Option<String>,
    /// DER: the client's own certificate, and what it showed beside that. The handshake has proved that it has the key.
    pub chain: Vec<Vec<u8>>,
}

impl Core {
    /// Gives a token for the connection's client certificate. A refusal is counted.
    pub async fn login_cert(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        login: CertLogin,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let given = self.try_cert(visitor, mount, login).await;
        self.counted(visitor, given).await
    }

    async fn try_cert(&self, visitor: &Visitor, mount: &Mount, login: CertLogin) -> Result<(Admitted, Vec<Warning>)> {
        let chain: Vec<_> = login.chain.into_iter().map(CertificateDer::from).collect();
        let Some(own) = chain.first() else { return Err(Error::invalid("client certificate must be supplied")) };
        let facts = facts::facts(own)?;
        let names = match login.name.filter(|name| !name.is_empty()) {
            Some(name) => vec![name],
            None => self.list_login_roles(mount).await?,
        };
        for name in names.into_iter().take(TRIED) {
            let Some((role, basis)) = self.role_and_basis::<CertRole>(&RoleKey::new(mount, &name)).await? else {
                continue;
            };
            let trusted = verify::trusted(&role.certificate)?;
            if role.fits(&facts) && verify::is_vouched_for(&chain, &trusted, self.now()) {
                return self.give_cert(visitor, mount, (name, role, basis), facts).await;
            }
        }
        Err(Error::invalid("no chain matching all constraints could be found for this login certificate"))
    }

    async fn give_cert(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        (name, role, basis): (String, CertRole, Basis),
        facts: Facts,
    ) -> Result<(Admitted, Vec<Warning>)> {
        if !crate::cidr::permits(&role.token.bound_cidrs, visitor.source) {
            return Err(Error::Forbidden("permission denied".into()));
        }
        if facts.common_name.is_empty() {
            return Err(Error::invalid("the certificate has no common name, by which its bearer would be known"));
        }
        let metadata = BTreeMap::from([
            ("authority_key_id".to_owned(), facts.authority_key_id),
            ("cert_name".to_owned(), name.clone()),
            (FINGERPRINT.to_owned(), facts.sha256),
            ("common_name".to_owned(), facts.common_name.clone()),
            ("serial_number".to_owned(), facts.serial_number.clone()),
            ("subject_key_id".to_owned(), facts.subject_key_id),
        ]);
        let claim = Claim { name: facts.common_name.clone(), metadata, ..Claim::default() };
        let login = Login::new(visitor, (mount, role.token), "login.cert", claim)
            .called(&role.display_name)
            .recorded([("role", &name), ("common_name", &facts.common_name), ("serial_number", &facts.serial_number)])
            .resting_on(basis);
        self.give(visitor, login).await
    }
}
