//! Rows that carry their MAC, of tables that no route writes yet: encoded and bound here as docs/ARCHITECTURE.md says, apart from the service's own code.

use crate::Site;
use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use hsm_bridge::{Bridge, HashAlgorithm, KeyRef, KeyType, TokenKey};
use uuid::Uuid;

/// When the rows begin, microseconds since 1970.
const BEGINS: i64 = 1_760_000_000_000_000;
/// And end.
const ENDS: i64 = 2_000_000_000_000_000;

/// Fields behind kind and length.
struct Bytes(Vec<u8>);

impl Bytes {
    fn field(mut self, kind: u8, value: &[u8]) -> Self {
        self.0.push(kind);
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value);
        self
    }

    fn text(self, text: &str) -> Self {
        self.field(b't', text.as_bytes())
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        self.field(b'b', bytes)
    }

    fn absent(self, columns: usize) -> Self {
        (0..columns).fold(self, |row, _| row.field(b'n', &[]))
    }

    fn integer(self, number: i64) -> Self {
        self.field(b'i', &number.to_le_bytes())
    }

    fn time(self, micros: i64) -> Self {
        self.bytes(&micros.to_le_bytes())
    }
}

impl Site {
    /// A certificate in force, `CN=bound`, of that organization.
    pub async fn insert_certificate(&self, organization: Uuid, id: Uuid) -> Result<()> {
        let name = id.to_string();
        let bytes = Bytes(Vec::new())
            .text("certificates")
            .bytes(id.as_bytes())
            .integer(1)
            .bytes(organization.as_bytes())
            .absent(1)
            .text(&name)
            .bytes(b"bound")
            .absent(2)
            .text("server")
            .absent(1)
            .bytes(b"pem")
            .bytes(b"der")
            .integer(0)
            .text("01")
            .bytes(thumbprint(id).as_bytes())
            .absent(3)
            .text("CN=authority")
            .text("CN=bound")
            .text("[]")
            .integer(0)
            .text("ECDSA")
            .integer(256)
            .text("ecdsa-with-SHA256")
            .time(BEGINS)
            .time(ENDS)
            .text("active")
            .absent(3)
            .field(b'f', &[0])
            .absent(6)
            .text("{}")
            .absent(1)
            .time(BEGINS);
        sqlx::query(
            "INSERT INTO certificates (id, organization_id, certificate_id, common_name, certificate_type, pem_encoded_cert, der_encoded_cert, serial_number, \
             thumbprint_sha256, issuer_dn, subject_dn, key_algorithm, key_size, signature_algorithm, not_before, not_after, status, revision, row_mac, created_at) \
             VALUES ($1, $2, $3, 'bound', 'server', 'pem', 'der', '01', $4, 'CN=authority', 'CN=bound', 'ECDSA', 256, 'ecdsa-with-SHA256', \
             to_timestamp($5::float8 / 1000000), to_timestamp($6::float8 / 1000000), 'active', 1, $7, to_timestamp($5::float8 / 1000000))",
        )
        .bind(id)
        .bind(organization)
        .bind(name)
        .bind(thumbprint(id))
        .bind(BEGINS)
        .bind(ENDS)
        .bind(self.secure_mac(&bytes.0).await?)
        .execute(&mut self.secure.superuser().await?)
        .await?;
        Ok(())
    }

    /// A request for a certificate that waits for a decision.
    pub async fn insert_request(&self, organization: Uuid, id: Uuid) -> Result<()> {
        let name = id.to_string();
        let bytes = Bytes(Vec::new())
            .text("certificate_requests")
            .bytes(id.as_bytes())
            .integer(1)
            .bytes(organization.as_bytes())
            .text(&name)
            .text("pem")
            .bytes(b"der")
            .bytes(b"bound")
            .text("CN=bound")
            .text("[]")
            .text("ECDSA")
            .integer(256)
            .integer(90)
            .text("server")
            .text("pending")
            .absent(6)
            .time(BEGINS)
            .absent(2);
        sqlx::query(
            "INSERT INTO certificate_requests (id, organization_id, request_id, pem_encoded_csr, der_encoded_csr, common_name, subject_dn, key_algorithm, \
             key_size, requested_validity_days, certificate_type, status, revision, row_mac, requested_at) \
             VALUES ($1, $2, $3, 'pem', 'der', 'bound', 'CN=bound', 'ECDSA', 256, 90, 'server', 'pending', 1, $4, to_timestamp($5::float8 / 1000000))",
        )
        .bind(id)
        .bind(organization)
        .bind(name)
        .bind(self.secure_mac(&bytes.0).await?)
        .bind(BEGINS)
        .execute(&mut self.secure.superuser().await?)
        .await?;
        Ok(())
    }

    /// What the token's MAC key makes of a row of `clm_secure_db`.
    async fn secure_mac(&self, row: &[u8]) -> Result<Vec<u8>> {
        let bridge = Bridge::open(self.hsm()?).await?;
        bridge.ready().await?;
        let found = bridge.find_objects("clm-mac-v1").await?;
        let id = found.iter().find_map(|object| object.id).context("the token has a MAC key")?;
        let key = KeyRef::Token(TokenKey { id, key_type: KeyType::Hmac(32) });
        let input = [b"clm-mac-v1 secure row ".as_slice(), digest(&SHA256, row).as_ref()].concat();
        bridge.hmac(&key, HashAlgorithm::Sha2_256, vec![input]).await?.pop().context("one MAC")
    }
}

fn thumbprint(id: Uuid) -> String {
    format!("{0}{0}", id.simple())
}
