//! Many new secrets at once, for those who bring them from elsewhere and for measurements: the token encrypts and makes MACs in batches, and all
//! rows are one transaction with one record that names them.

use super::data_key::{Place, bound};
use super::disable::expect_open;
use super::write::new_secret;
use super::{SecretName, rules};
use crate::key::usage::{Counted, What};
use crate::row_mac::{MacDomain, RowBytes};
use crate::store::secret_versions::{self, SecretVersionRow};
use crate::store::secrets::{self, SecretRow};
use crate::{Error, Result, Vault, record};
use audit_chain::{Caller, Value};
use chrono::SubsecRound;
use hsm_bridge::{KeyRef, Plaintext};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Secrets in one transaction.
pub const MOST_AT_ONCE: usize = 1_000;

impl Vault {
    /// Makes secrets that are not there yet, each with its first version; [`Error::Exists`]: one of them is, and none was made.
    pub async fn load_secrets(&self, caller: &Caller, mount_id: Uuid, new: &[(String, Vec<u8>)]) -> Result<()> {
        let organization_id = caller.organization_id;
        if new.len() > MOST_AT_ONCE {
            return Err(Error::Invalid(format!("at most {MOST_AT_ONCE} secrets are made at once")));
        }
        let now = self.inner.clock.now().trunc_subsecs(6);
        let key = self.newest_data_key(organization_id).await?;
        let counted =
            Counted { organization_id, version_id: key.id(), version: key.version.into(), what: What::DataKey };
        self.spend_of(&counted, new.len() as u64).await?;
        let mut rows: Vec<(SecretRow, SecretVersionRow)> = Vec::with_capacity(new.len());
        let (mut plaintexts, mut values) = (Vec::with_capacity(new.len()), Vec::with_capacity(new.len()));
        for (path, content) in new {
            let name = SecretName { mount_id, path: path.clone() };
            if let Some(reason) = rules::refuse_name(&name).or_else(|| rules::refuse_length(content.len())) {
                return Err(Error::Invalid(reason));
            }
            let secret = SecretRow { version: 1, ..new_secret(caller, &name, now) };
            let place = Place { organization_id, name: &secret.name, secret_id: secret.id, version: 1 };
            plaintexts.push(Plaintext { data: content.clone().into(), aad: bound(&place, &key), context: None });
            let value = RowBytes::new("value").id(Some(organization_id)).bytes(Some(content)).finish();
            values.push(Zeroizing::new(value));
            let version = SecretVersionRow {
                id: Uuid::now_v7(),
                organization_id,
                secret_id: secret.id,
                version: 1,
                digest: None,
                value_hmac: None,
                encryption_key_id: key.id(),
                revision: 1,
                row_mac: Vec::new(),
                created_by_user_id: caller.user_id,
                created_at: now,
                deleted_at: None,
                destroyed_at: None,
            };
            rows.push((secret, version));
        }
        let mac_key = self.deployment().await?.mac_key();
        let sealed = async {
            let key = KeyRef::Wrapped(Arc::clone(&key.key));
            Ok(self.inner.bridge.aead_encrypt_all(&key, plaintexts).await?)
        };
        let values: Vec<&[u8]> = values.iter().map(|value| value.as_slice()).collect();
        let (sealed, hmacs) = tokio::try_join!(sealed, self.macs(mac_key, MacDomain::SecretValue, &values))?;
        let ciphertexts: Vec<Vec<u8>> =
            sealed.into_iter().map(|one| [one.iv.as_slice(), &one.ciphertext_and_tag].concat()).collect();
        for (((_, version), ciphertext), hmac) in rows.iter_mut().zip(&ciphertexts).zip(hmacs) {
            version.digest = Some(Sha256::digest(ciphertext).to_vec());
            version.value_hmac = Some(hmac.to_vec());
        }
        let bytes: Vec<Vec<u8>> =
            rows.iter().flat_map(|(secret, version)| [secret.row_bytes(), version.row_bytes()]).collect();
        let bytes: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
        let macs = self.macs(mac_key, MacDomain::SecureRow, &bytes).await?;
        for ((secret, version), pair) in rows.iter_mut().zip(macs.chunks(2)) {
            (secret.row_mac, version.row_mac) = (pair[0].to_vec(), pair[1].to_vec());
        }
        let mut event = self.secret_event(caller, "secret.load", &SecretName { mount_id, path: String::new() });
        event.data.insert("count".into(), Value::Integer(i64::try_from(rows.len()).unwrap_or(i64::MAX)));
        let written = rows.iter().flat_map(|(secret, version)| {
            [
                (secrets::TABLE, secret.id, secret.revision, secret.row_mac.as_slice()),
                (secret_versions::TABLE, version.id, version.revision, version.row_mac.as_slice()),
            ]
        });
        event.data.insert("rows".into(), record::rows(written));
        let (secret_rows, version_rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        self.inner
            .audit
            .commit(organization_id, move |connection| {
                Box::pin(async move {
                    expect_open(&mut *connection, mount_id).await?;
                    if !secrets::search::insert_all(&mut *connection, &secret_rows).await? {
                        return Err(Error::Exists);
                    }
                    secret_versions::insert_all(connection, &version_rows, &ciphertexts).await?;
                    Ok(((), event))
                })
            })
            .await
            .map_err(Error::from)
    }
}
