//! Rows that are deleted softly: they disappear from reads, lists and views, and come back whole. One mechanism for all of them;
//! [`Deletable`] says which table.

use crate::row_mac::MacDomain;
use crate::store::certificate_requests::{self, RequestRow};
use crate::store::certificates::{self, CertificateRow};
use crate::store::private_keys::{self, PrivateKeyRow};
use crate::store::read_as_of_now;
use crate::{Error, Result, Vault, record};
use audit_chain::Caller;
use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

/// How often a change looks again after somebody else was faster.
const ATTEMPTS: usize = 16;

/// What can be deleted by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletable {
    /// A certificate.
    Certificate,
    /// A request for one.
    CertificateRequest,
    /// A version of an asymmetric key, but the newest.
    PrivateKey,
}

impl Deletable {
    /// All of them, by the name that lists have.
    pub const ALL: [(&'static str, Self); 3] = [
        ("certificate-requests", Self::CertificateRequest),
        ("certificates", Self::Certificate),
        ("private-keys", Self::PrivateKey),
    ];

    /// Category and name of the records of it.
    fn recorded(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Certificate => ("cert_access", "certificate.delete", "certificate.restore"),
            Self::CertificateRequest => ("csr", "certificate_request.delete", "certificate_request.restore"),
            Self::PrivateKey => ("key_access", "private_key.delete", "private_key.restore"),
        }
    }
}

/// A row that can be deleted.
pub(crate) trait DeletableRow: Sized + Send + 'static {
    const TABLE: &'static str;

    fn id(&self) -> Uuid;
    fn deleted_at(&mut self) -> &mut Option<DateTime<Utc>>;
    fn revision(&mut self) -> &mut i64;
    fn row_mac(&mut self) -> &mut Vec<u8>;
    fn row_bytes(&self) -> Vec<u8>;
    /// As people see it; no blobs.
    fn data(&self) -> Value;

    /// Why it must stay.
    fn may_go(&self) -> Result<()> {
        Ok(())
    }

    fn by_id(
        connection: &mut PgConnection,
        organization_id: Uuid,
        id: Uuid,
    ) -> impl Future<Output = Result<Option<Self>, sqlx::Error>> + Send;

    fn ids(
        connection: &mut PgConnection,
        organization_id: Uuid,
        deleted: bool,
    ) -> impl Future<Output = Result<Vec<Uuid>, sqlx::Error>> + Send;

    /// Writes whether it is deleted over the revision before; `false`: somebody else was faster.
    fn mark(connection: &mut PgConnection, row: &Self) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;
}

/// Has `$run` done with the rows of a kind.
macro_rules! by_kind {
    ($kind:expr, $row:ident => $run:expr) => {
        match $kind {
            Deletable::Certificate => {
                type $row = CertificateRow;
                $run
            }
            Deletable::CertificateRequest => {
                type $row = RequestRow;
                $run
            }
            Deletable::PrivateKey => {
                type $row = PrivateKeyRow;
                $run
            }
        }
    };
}

impl Vault {
    /// What has that id, as people see it. `None`: nothing has, or it was deleted.
    pub async fn shown(&self, organization_id: Uuid, kind: Deletable, id: Uuid) -> Result<Option<Value>> {
        by_kind!(kind, R => {
            let found = self.checked::<R>(organization_id, id).await?;
            Ok(found.and_then(|mut row| row.deleted_at().is_none().then(|| row.data())))
        })
    }

    /// Ids, sorted: of what is there, or of what was deleted.
    pub async fn list_shown(&self, organization_id: Uuid, kind: Deletable, deleted: bool) -> Result<Vec<Uuid>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let ids = by_kind!(kind, R => R::ids(&mut transaction, organization_id, deleted).await?);
        transaction.rollback().await?;
        Ok(ids)
    }

    /// Deletes it softly. `false`: nothing was there.
    pub async fn delete_row(&self, caller: &Caller, kind: Deletable, id: Uuid) -> Result<bool> {
        let (category, event_type, _) = kind.recorded();
        let now = self.inner.clock.now().trunc_subsecs(6);
        by_kind!(kind, R => self.mark::<R>(caller, id, Some(now), (category, event_type)).await)
    }

    /// Brings back what was deleted.
    ///
    /// # Errors
    /// [`Error::NotFound`]: nothing of that id was deleted.
    pub async fn restore_row(&self, caller: &Caller, kind: Deletable, id: Uuid) -> Result<()> {
        let (category, _, event_type) = kind.recorded();
        if by_kind!(kind, R => self.mark::<R>(caller, id, None, (category, event_type)).await)? {
            return Ok(());
        }
        Err(Error::NotFound(format!("nothing of the id {id} was deleted")))
    }

    async fn mark<R: DeletableRow>(
        &self,
        caller: &Caller,
        id: Uuid,
        deleted_at: Option<DateTime<Utc>>,
        (category, event_type): (&'static str, &'static str),
    ) -> Result<bool> {
        let organization_id = caller.organization_id;
        for _ in 0..ATTEMPTS {
            let Some(mut row) = self.checked::<R>(organization_id, id).await? else { return Ok(false) };
            if row.deleted_at().is_some() == deleted_at.is_some() {
                return Ok(false);
            }
            row.may_go()?;
            *row.deleted_at() = deleted_at;
            *row.revision() += 1;
            *row.row_mac() = self.mac(MacDomain::SecureRow, &row.row_bytes()).await?.to_vec();
            let mut event = record::event(caller, self.inner.clock.now(), category, event_type);
            event.resource_id = Some(id.to_string());
            let (revision, mac) = (*row.revision(), row.row_mac().clone());
            event.data.insert("rows".into(), record::rows([(R::TABLE, id, revision, mac.as_slice())]));
            let marked = self.inner.audit.commit(organization_id, move |connection| {
                Box::pin(async move {
                    if R::mark(connection, &row).await? { Ok(((), event)) } else { Err(Error::Conflict) }
                })
            });
            match marked.await.map_err(Error::from) {
                Err(Error::Conflict) => {}
                other => {
                    other?;
                    self.inner.cache.clear();
                    return Ok(true);
                }
            }
        }
        Err(Error::Conflict)
    }

    /// What has that id, deleted or not, if its row is ours.
    async fn checked<R: DeletableRow>(&self, organization_id: Uuid, id: Uuid) -> Result<Option<R>> {
        let mut transaction = read_as_of_now(&self.inner.pool, organization_id).await?;
        let found = R::by_id(&mut transaction, organization_id, id).await?;
        transaction.rollback().await?;
        let Some(mut row) = found else { return Ok(None) };
        let stored = row.row_mac().clone();
        self.check_rows(organization_id, &[(R::TABLE, row.id(), row.row_bytes(), &stored)]).await?;
        Ok(Some(row))
    }
}

macro_rules! columns {
    ($table:expr) => {
        const TABLE: &'static str = $table;

        fn id(&self) -> Uuid {
            self.id
        }

        fn deleted_at(&mut self) -> &mut Option<DateTime<Utc>> {
            &mut self.deleted_at
        }

        fn revision(&mut self) -> &mut i64 {
            &mut self.revision
        }

        fn row_mac(&mut self) -> &mut Vec<u8> {
            &mut self.row_mac
        }
    };
}

impl DeletableRow for CertificateRow {
    columns!(certificates::TABLE);

    fn row_bytes(&self) -> Vec<u8> {
        Self::row_bytes(self)
    }

    fn data(&self) -> Value {
        json!({
            "id": self.id,
            "certificate_id": self.certificate_id,
            "common_name": self.common_name,
            "certificate_type": self.certificate_type,
            "certificate": self.pem_encoded_cert,
            "certificate_chain": self.certificate_chain,
            "serial_number": self.serial_number,
            "thumbprint_sha256": self.thumbprint_sha256,
            "issuer_dn": self.issuer_dn,
            "subject_dn": self.subject_dn,
            "subject_alternative_names": serde_json::from_str::<Value>(&self.subject_alternative_names).unwrap_or_default(),
            "key_algorithm": self.key_algorithm,
            "not_before": self.not_before,
            "not_after": self.not_after,
            "status": self.status,
            "revocation_reason": self.revocation_reason,
            "revoked_at": self.revoked_at,
            "owner_user_id": self.owner_user_id,
            "policy_id": self.policy_id,
            "workflow_id": self.workflow_id,
        })
    }

    async fn by_id(connection: &mut PgConnection, organization: Uuid, id: Uuid) -> Result<Option<Self>, sqlx::Error> {
        certificates::by_id(connection, organization, id).await
    }

    async fn ids(connection: &mut PgConnection, organization: Uuid, deleted: bool) -> Result<Vec<Uuid>, sqlx::Error> {
        certificates::ids(connection, organization, deleted).await
    }

    async fn mark(connection: &mut PgConnection, row: &Self) -> Result<bool, sqlx::Error> {
        certificates::mark(connection, row).await
    }
}

impl DeletableRow for RequestRow {
    columns!(certificate_requests::TABLE);

    fn row_bytes(&self) -> Vec<u8> {
        Self::row_bytes(self)
    }

    fn data(&self) -> Value {
        json!({
            "id": self.id,
            "request_id": self.request_id,
            "csr": self.pem_encoded_csr,
            "common_name": self.common_name,
            "subject_dn": self.subject_dn,
            "subject_alternative_names": serde_json::from_str::<Value>(&self.subject_alternative_names).unwrap_or_default(),
            "key_algorithm": self.key_algorithm,
            "requested_validity_days": self.requested_validity_days,
            "certificate_type": self.certificate_type,
            "status": self.status,
            "rejection_reason": self.rejection_reason,
            "issued_certificate_id": self.issued_certificate_id,
            "requester_user_id": self.requester_user_id,
            "approver_user_id": self.approver_user_id,
            "requested_at": self.requested_at,
        })
    }

    async fn by_id(connection: &mut PgConnection, organization: Uuid, id: Uuid) -> Result<Option<Self>, sqlx::Error> {
        certificate_requests::by_id(connection, organization, id).await
    }

    async fn ids(connection: &mut PgConnection, organization: Uuid, deleted: bool) -> Result<Vec<Uuid>, sqlx::Error> {
        certificate_requests::ids(connection, organization, deleted).await
    }

    async fn mark(connection: &mut PgConnection, row: &Self) -> Result<bool, sqlx::Error> {
        certificate_requests::mark(connection, row).await
    }
}

impl DeletableRow for PrivateKeyRow {
    const TABLE: &'static str = "private_keys";

    fn id(&self) -> Uuid {
        self.version.id
    }

    fn deleted_at(&mut self) -> &mut Option<DateTime<Utc>> {
        &mut self.version.deleted_at
    }

    fn revision(&mut self) -> &mut i64 {
        &mut self.version.revision
    }

    fn row_mac(&mut self) -> &mut Vec<u8> {
        &mut self.version.row_mac
    }

    fn row_bytes(&self) -> Vec<u8> {
        self.version.row_bytes()
    }

    fn may_go(&self) -> Result<()> {
        if self.version.version == self.latest_version {
            return Err(Error::Invalid("the newest version of a key stays: rotate the key first".into()));
        }
        if self.version.key_state == "destroyed" {
            return Err(Error::Invalid(
                "this version was destroyed: there is nothing to delete or to bring back".into(),
            ));
        }
        Ok(())
    }

    fn data(&self) -> Value {
        let version = &self.version;
        json!({
            "id": version.id,
            "key": self.name,
            "mount_id": self.mount_id,
            "version": version.version,
            "type": version.algorithm.name(),
            "storage": version.storage,
            "is_exportable": version.is_exportable,
            "key_state": version.key_state,
            "created_at": version.created_at,
        })
    }

    async fn by_id(connection: &mut PgConnection, organization: Uuid, id: Uuid) -> Result<Option<Self>, sqlx::Error> {
        private_keys::by_id(connection, organization, id).await
    }

    async fn ids(connection: &mut PgConnection, organization: Uuid, deleted: bool) -> Result<Vec<Uuid>, sqlx::Error> {
        private_keys::ids(connection, organization, deleted).await
    }

    async fn mark(connection: &mut PgConnection, row: &Self) -> Result<bool, sqlx::Error> {
        private_keys::mark(connection, &row.version).await
    }
}
