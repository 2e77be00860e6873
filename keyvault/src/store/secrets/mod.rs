//! Table `secrets`.

pub(crate) mod search;

use crate::row_mac::RowBytes;
use crate::secret::{Generator, Rotation, SecretName, SecretProfile, SecretSettings};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "secrets";
/// Above every path: one has at most 500 characters.
const ABOVE_ALL: char = '\u{10ffff}';

/// A row as it is stored; nothing of it is believed before its MAC is checked.
#[derive(Clone, Debug)]
pub(crate) struct SecretRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) name: SecretName,
    /// The newest; 0: none yet.
    pub(crate) version: i32,
    pub(crate) oldest_version: i32,
    pub(crate) settings: SecretSettings,
    pub(crate) custom_metadata: BTreeMap<String, String>,
    pub(crate) profile: SecretProfile,
    pub(crate) revision: i64,
    pub(crate) row_mac: Vec<u8>,
    pub(crate) created_by_user_id: Option<Uuid>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) written_at: DateTime<Utc>,
    pub(crate) deleted_at: Option<DateTime<Utc>>,
}

impl SecretRow {
    pub(crate) fn row_bytes(&self) -> Vec<u8> {
        let mut bytes = RowBytes::new(TABLE)
            .id(Some(self.id))
            .integer(self.revision)
            .id(Some(self.organization_id))
            .id(Some(self.name.mount_id))
            .text(&self.name.path)
            .integer(self.version.into())
            .integer(self.oldest_version.into())
            .integer(self.settings.max_versions.into())
            .flag(self.settings.cas_required)
            .integer(self.settings.delete_version_after)
            .integer(i64::try_from(self.custom_metadata.len()).unwrap_or(i64::MAX));
        for (key, value) in &self.custom_metadata {
            bytes = bytes.text(key).text(value);
        }
        bytes = bytes
            .id(self.created_by_user_id)
            .time(Some(self.created_at))
            .time(Some(self.written_at))
            .time(self.deleted_at);
        self.profile.bind(bytes).finish()
    }

    fn metadata(&self) -> String {
        serde_json::to_string(&self.custom_metadata).expect("texts always have a JSON form")
    }

    fn description(&self) -> Option<&str> {
        Some(self.profile.description.as_str()).filter(|description| !description.is_empty())
    }

    fn generator(&self) -> Option<String> {
        self.profile.rotation.generator.as_ref().map(Generator::text)
    }
}

/// Who reads rows that are not what the service wrote gives them no meaning: metadata that are no texts are none, and the MAC does not fit.
fn texts(json: &str) -> BTreeMap<String, String> {
    serde_json::from_str(json).unwrap_or_default()
}

/// As PostgreSQL gives it.
struct Stored {
    id: Uuid,
    organization_id: Uuid,
    mount_id: Uuid,
    secret_path: String,
    version: i32,
    oldest_version: i32,
    max_versions: i32,
    cas_required: bool,
    delete_version_after_seconds: i64,
    metadata: String,
    description: Option<String>,
    tags: Vec<String>,
    expires_at: Option<DateTime<Utc>>,
    public_key: Option<String>,
    rotation_enabled: bool,
    rotation_schedule: Option<String>,
    generator: Option<String>,
    last_rotated_at: Option<DateTime<Utc>>,
    next_rotation_at: Option<DateTime<Utc>>,
    revision: i64,
    row_mac: Vec<u8>,
    created_by_user_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    written_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
}

impl From<Stored> for SecretRow {
    fn from(row: Stored) -> Self {
        Self {
            id: row.id,
            organization_id: row.organization_id,
            name: SecretName { mount_id: row.mount_id, path: row.secret_path },
            version: row.version,
            oldest_version: row.oldest_version,
            settings: SecretSettings {
                max_versions: row.max_versions,
                cas_required: row.cas_required,
                delete_version_after: row.delete_version_after_seconds,
            },
            custom_metadata: texts(&row.metadata),
            profile: SecretProfile {
                description: row.description.unwrap_or_default(),
                tags: row.tags,
                expires_at: row.expires_at,
                public_key: row.public_key,
                rotation: Rotation {
                    enabled: row.rotation_enabled,
                    schedule: row.rotation_schedule,
                    generator: row.generator.and_then(|text| serde_json::from_str(&text).ok()),
                    last_at: row.last_rotated_at,
                    next_at: row.next_rotation_at,
                },
            },
            revision: row.revision,
            row_mac: row.row_mac,
            created_by_user_id: row.created_by_user_id,
            created_at: row.created_at,
            written_at: row.written_at,
            deleted_at: row.deleted_at,
        }
    }
}

pub(crate) async fn by_name(
    connection: &mut PgConnection,
    organization_id: Uuid,
    name: &SecretName,
) -> Result<Option<SecretRow>, sqlx::Error> {
    let row = sqlx::query_as!(
        Stored,
        "SELECT id, organization_id, mount_id, secret_path, version, oldest_version, max_versions, cas_required, delete_version_after_seconds, metadata::text AS \"metadata!\", \
         description, tags, expires_at, public_key, rotation_enabled, rotation_schedule, generator::text, last_rotated_at, next_rotation_at, \
         revision, row_mac, created_by_user_id, created_at, written_at, deleted_at FROM secrets \
         WHERE organization_id = $1 AND mount_id = $2 AND secret_path = $3 AND deleted_at IS NULL",
        organization_id,
        name.mount_id,
        name.path
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(SecretRow::from))
}

/// Some of a mount's whose paths come after a path, in the order of their bytes.
pub(crate) async fn after(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    path: &str,
    limit: i64,
) -> Result<Vec<SecretRow>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Stored,
        "SELECT id, organization_id, mount_id, secret_path, version, oldest_version, max_versions, cas_required, delete_version_after_seconds, \
         metadata::text AS \"metadata!\", description, tags, expires_at, public_key, rotation_enabled, rotation_schedule, generator::text, last_rotated_at, next_rotation_at, \
         revision, row_mac, created_by_user_id, created_at, written_at, deleted_at FROM secrets \
         WHERE organization_id = $1 AND mount_id = $2 AND deleted_at IS NULL AND secret_path COLLATE \"C\" > $3 ORDER BY secret_path COLLATE \"C\" LIMIT $4",
        organization_id,
        mount_id,
        path,
        limit
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(SecretRow::from).collect())
}

/// Mounts that have secrets, and how many.
pub(crate) async fn mounts(
    connection: &mut PgConnection,
    organization_id: Uuid,
) -> Result<Vec<(Uuid, i64)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT mount_id, count(*) AS "secrets!" FROM secrets WHERE organization_id = $1 AND deleted_at IS NULL GROUP BY mount_id ORDER BY mount_id"#,
        organization_id
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.mount_id, row.secrets)).collect())
}

/// Names of those that are not deleted.
pub(crate) async fn names_of(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, SecretName)>, sqlx::Error> {
    let rows =
        sqlx::query!("SELECT id, mount_id, secret_path FROM secrets WHERE id = ANY($1) AND deleted_at IS NULL", ids)
            .fetch_all(connection)
            .await?;
    let name = |mount_id, path| SecretName { mount_id, path };
    Ok(rows.into_iter().map(|row| (row.id, name(row.mount_id, row.secret_path))).collect())
}

/// Whether there is one of that name; what it is is not looked at.
pub(crate) async fn exists(
    connection: &mut PgConnection,
    organization_id: Uuid,
    name: &SecretName,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM secrets WHERE organization_id = $1 AND mount_id = $2 AND secret_path = $3 AND deleted_at IS NULL) AS "exists!""#,
        organization_id,
        name.mount_id,
        name.path
    )
    .fetch_one(connection)
    .await
}

/// Names below `prefix` (empty, or ending in `/`) in the order of their bytes; what lies deeper as `name/`. It jumps from name to name: what
/// it costs grows with the names, not with what lies below them.
pub(crate) async fn names(
    connection: &mut PgConnection,
    organization_id: Uuid,
    mount_id: Uuid,
    prefix: &str,
) -> Result<Vec<String>, sqlx::Error> {
    // `0` follows `/`; below a folder's next neighbour lies all that is in it. No path holds U+0001: it follows a path and nothing else.
    let end = prefix.strip_suffix('/').map_or_else(|| ABOVE_ALL.to_string().repeat(501), |folder| format!("{folder}0"));
    sqlx::query_scalar!(
        r#"WITH RECURSIVE found AS (
            (SELECT secret_path FROM secrets WHERE organization_id = $1 AND mount_id = $2 AND deleted_at IS NULL
                AND secret_path COLLATE "C" >= $3 AND secret_path COLLATE "C" < $4 ORDER BY secret_path COLLATE "C" LIMIT 1)
            UNION ALL
            SELECT next.secret_path FROM found CROSS JOIN LATERAL (
                SELECT s.secret_path FROM secrets s WHERE s.organization_id = $1 AND s.mount_id = $2 AND s.deleted_at IS NULL
                    AND s.secret_path COLLATE "C" >= CASE position('/' IN substr(found.secret_path, length($3) + 1))
                        WHEN 0 THEN found.secret_path || E'\x01'
                        ELSE $3 || split_part(substr(found.secret_path, length($3) + 1), '/', 1) || '0' END
                    AND s.secret_path COLLATE "C" < $4 ORDER BY s.secret_path COLLATE "C" LIMIT 1
            ) next
        )
        SELECT split_part(substr(secret_path, length($3) + 1), '/', 1)
            || CASE position('/' IN substr(secret_path, length($3) + 1)) WHEN 0 THEN '' ELSE '/' END AS "name!" FROM found"#,
        organization_id,
        mount_id,
        prefix,
        end
    )
    .fetch_all(connection)
    .await
}

/// Adds one; `false`: the name is taken.
pub(crate) async fn insert(connection: &mut PgConnection, row: &SecretRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "INSERT INTO secrets (id, organization_id, mount_id, secret_path, secret_type, version, oldest_version, max_versions, cas_required, \
         delete_version_after_seconds, metadata, revision, row_mac, created_by_user_id, created_at, written_at, description, tags, expires_at, public_key, \
         rotation_enabled, rotation_schedule, generator, last_rotated_at, next_rotation_at) \
         VALUES ($1, $2, $3, $4, 'static', $5, $6, $7, $8, $9, $10::text::jsonb, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, \
         $22::text::jsonb, $23, $24) \
         ON CONFLICT (organization_id, mount_id, secret_path) WHERE deleted_at IS NULL DO NOTHING",
        row.id,
        row.organization_id,
        row.name.mount_id,
        row.name.path,
        row.version,
        row.oldest_version,
        row.settings.max_versions,
        row.settings.cas_required,
        row.settings.delete_version_after,
        row.metadata(),
        row.revision,
        row.row_mac,
        row.created_by_user_id,
        row.created_at,
        row.written_at,
        row.description(),
        &row.profile.tags,
        row.profile.expires_at,
        row.profile.public_key,
        row.profile.rotation.enabled,
        row.profile.rotation.schedule,
        row.generator(),
        row.profile.rotation.last_at,
        row.profile.rotation.next_at
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes over the revision before; `false`: somebody else was faster.
pub(crate) async fn update(connection: &mut PgConnection, row: &SecretRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query!(
        "UPDATE secrets SET version = $1, oldest_version = $2, max_versions = $3, cas_required = $4, delete_version_after_seconds = $5, \
         metadata = $6::text::jsonb, revision = $7, row_mac = $8, written_at = $9, deleted_at = $10, description = $12, tags = $13, expires_at = $14, \
         public_key = $15, rotation_enabled = $16, rotation_schedule = $17, generator = $18::text::jsonb, last_rotated_at = $19, next_rotation_at = $20 \
         WHERE id = $11 AND revision = $7::bigint - 1 AND deleted_at IS NULL",
        row.version,
        row.oldest_version,
        row.settings.max_versions,
        row.settings.cas_required,
        row.settings.delete_version_after,
        row.metadata(),
        row.revision,
        row.row_mac,
        row.written_at,
        row.deleted_at,
        row.id,
        row.description(),
        &row.profile.tags,
        row.profile.expires_at,
        row.profile.public_key,
        row.profile.rotation.enabled,
        row.profile.rotation.schedule,
        row.generator(),
        row.profile.rotation.last_at,
        row.profile.rotation.next_at
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
