//! Table `users`.

use super::bind::RowBytes;
use super::{Store, StoreError, bytes32, expect_one};
use chrono::{DateTime, Utc};
use ipnet::IpNet;
use sqlx::PgConnection;
use std::net::IpAddr;
use uuid::Uuid;

/// Name of the table, for records and errors.
pub(crate) const TABLE: &str = "users";

/// A person as stored.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) username: String,
    pub(crate) email: String,
    /// A PHC string.
    pub(crate) password_hash: Option<String>,
    pub(crate) password_changed_at: Option<DateTime<Utc>>,
    pub(crate) must_change_password: bool,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) phone_number: Option<String>,
    pub(crate) status: String,
    pub(crate) email_verified: bool,
    pub(crate) email_verified_at: Option<DateTime<Utc>>,
    pub(crate) mfa_enabled: bool,
    pub(crate) mfa_secret: Option<String>,
    pub(crate) mfa_backup_codes: Option<Vec<String>>,
    pub(crate) api_access_enabled: bool,
    pub(crate) created_by_user_id: Option<Uuid>,
    pub(crate) deleted_at: Option<DateTime<Utc>>,
    /// Outside the MAC, like all that only counts.
    pub(crate) failed_login_attempts: u32,
    pub(crate) last_failed_login_at: Option<DateTime<Utc>>,
    /// Of the last code that was taken; outside, too.
    pub(crate) mfa_last_step: Option<i64>,
    pub(crate) revision: i64,
    pub(crate) row_mac: [u8; 32],
}

impl User {
    /// Not written yet, without a password.
    pub(crate) fn new(organization_id: Uuid, username: &str) -> Self {
        Self {
            id: Uuid::now_v7(),
            organization_id,
            username: username.to_owned(),
            // Nobody receives it (RFC 2606, 2).
            email: format!("{username}@clm.invalid"),
            password_hash: None,
            password_changed_at: None,
            must_change_password: false,
            first_name: None,
            last_name: None,
            display_name: None,
            phone_number: None,
            status: "active".into(),
            email_verified: false,
            email_verified_at: None,
            mfa_enabled: false,
            mfa_secret: None,
            mfa_backup_codes: None,
            api_access_enabled: false,
            created_by_user_id: None,
            deleted_at: None,
            failed_login_attempts: 0,
            last_failed_login_at: None,
            mfa_last_step: None,
            revision: 0,
            row_mac: [0; 32],
        }
    }

    pub(crate) fn may_log_in(&self) -> bool {
        self.status == "active" && self.deleted_at.is_none()
    }
}

/// What the row's MAC is over.
pub(crate) fn bound_bytes(user: &User) -> Vec<u8> {
    let User {
        id,
        organization_id,
        username,
        email,
        password_hash,
        password_changed_at,
        must_change_password,
        first_name,
        last_name,
        display_name,
        phone_number,
        status,
        email_verified,
        email_verified_at,
        mfa_enabled,
        mfa_secret,
        mfa_backup_codes,
        api_access_enabled,
        created_by_user_id,
        deleted_at,
        failed_login_attempts: _,
        last_failed_login_at: _,
        mfa_last_step: _,
        revision,
        row_mac: _,
    } = user;
    let mut row = RowBytes::new("users.v1").uuid(*id).uuid(*organization_id).text(username).text(email);
    for text in [password_hash, first_name, last_name, display_name, phone_number, mfa_secret] {
        row = row.optional(text.as_deref(), RowBytes::text);
    }
    for time in [password_changed_at, email_verified_at, deleted_at] {
        row = row.optional(*time, RowBytes::time);
    }
    row.text(status)
        .flag(*must_change_password)
        .flag(*email_verified)
        .flag(*mfa_enabled)
        .optional(mfa_backup_codes.as_ref(), |row, codes| row.list(codes.iter(), |row, code| row.text(code)))
        .flag(*api_access_enabled)
        .optional(*created_by_user_id, RowBytes::uuid)
        .integer(*revision)
        .finish()
}

/// As PostgreSQL gives it.
struct UserRow {
    id: Uuid,
    organization_id: Uuid,
    username: String,
    email: String,
    password_hash: Option<String>,
    password_changed_at: Option<DateTime<Utc>>,
    must_change_password: bool,
    first_name: Option<String>,
    last_name: Option<String>,
    display_name: Option<String>,
    phone_number: Option<String>,
    status: String,
    email_verified: bool,
    email_verified_at: Option<DateTime<Utc>>,
    mfa_enabled: bool,
    mfa_secret: Option<String>,
    mfa_backup_codes: Option<Vec<String>>,
    api_access_enabled: bool,
    created_by_user_id: Option<Uuid>,
    deleted_at: Option<DateTime<Utc>>,
    failed_login_attempts: i32,
    last_failed_login_at: Option<DateTime<Utc>>,
    mfa_last_step: Option<i64>,
    revision: i64,
    row_mac: Vec<u8>,
}

impl TryFrom<UserRow> for User {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            organization_id: row.organization_id,
            username: row.username,
            email: row.email,
            password_hash: row.password_hash,
            password_changed_at: row.password_changed_at,
            must_change_password: row.must_change_password,
            first_name: row.first_name,
            last_name: row.last_name,
            display_name: row.display_name,
            phone_number: row.phone_number,
            status: row.status,
            email_verified: row.email_verified,
            email_verified_at: row.email_verified_at,
            mfa_enabled: row.mfa_enabled,
            mfa_secret: row.mfa_secret,
            mfa_backup_codes: row.mfa_backup_codes,
            api_access_enabled: row.api_access_enabled,
            created_by_user_id: row.created_by_user_id,
            deleted_at: row.deleted_at,
            failed_login_attempts: u32::try_from(row.failed_login_attempts).unwrap_or(0),
            last_failed_login_at: row.last_failed_login_at,
            mfa_last_step: row.mfa_last_step,
            revision: row.revision,
            row_mac: bytes32(&row.row_mac, "users.row_mac")?,
        })
    }
}

/// By id.
pub(crate) async fn find(connection: &mut PgConnection, id: Uuid) -> Result<Option<User>, StoreError> {
    let row = sqlx::query_as!(
        UserRow,
        "SELECT id, organization_id, username, email, password_hash, password_changed_at, must_change_password, first_name, last_name, display_name, \
         phone_number, status, email_verified, email_verified_at, mfa_enabled, mfa_secret, mfa_backup_codes, api_access_enabled, \
         created_by_user_id, deleted_at, failed_login_attempts, last_failed_login_at, mfa_last_step, revision, row_mac FROM users WHERE id = $1",
        id
    )
    .fetch_optional(connection)
    .await?;
    row.map(User::try_from).transpose()
}

impl Store {
    /// By id.
    pub(crate) async fn user(&self, organization_id: Uuid, id: Uuid) -> Result<Option<User>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let user = find(&mut transaction, id).await?;
        transaction.commit().await?;
        Ok(user)
    }

    /// By name.
    pub(crate) async fn user_by_name(&self, organization_id: Uuid, name: &str) -> Result<Option<User>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let row = sqlx::query_as!(
            UserRow,
            "SELECT id, organization_id, username, email, password_hash, password_changed_at, must_change_password, first_name, last_name, display_name, \
             phone_number, status, email_verified, email_verified_at, mfa_enabled, mfa_secret, mfa_backup_codes, api_access_enabled, \
             created_by_user_id, deleted_at, failed_login_attempts, last_failed_login_at, mfa_last_step, revision, row_mac FROM users WHERE organization_id = $1 AND username = $2",
            organization_id,
            name
        )
        .fetch_optional(&mut *transaction)
        .await?;
        transaction.commit().await?;
        row.map(User::try_from).transpose()
    }

    /// Counts a wrong password, durably; how many now. Those before `forgotten_before` do not count.
    pub(crate) async fn count_failed_login(
        &self,
        organization_id: Uuid,
        id: Uuid,
        now: DateTime<Utc>,
        forgotten_before: DateTime<Utc>,
    ) -> Result<u32, StoreError> {
        let mut transaction = self.counting(organization_id).await?;
        let failures = sqlx::query_scalar!(
            "UPDATE users SET failed_login_attempts = CASE WHEN last_failed_login_at > $3 THEN failed_login_attempts + 1 ELSE 1 END, \
             last_failed_login_at = $2 WHERE id = $1 RETURNING failed_login_attempts",
            id,
            now,
            forgotten_before
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(u32::try_from(failures).unwrap_or(0))
    }
}

/// Adds a person, or replaces the row it was made from (its revision being one less).
pub(crate) async fn put(connection: &mut PgConnection, user: &User) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "INSERT INTO users (id, organization_id, username, email, password_hash, password_changed_at, must_change_password, first_name, \
         last_name, display_name, phone_number, status, email_verified, email_verified_at, mfa_enabled, mfa_secret, mfa_backup_codes, \
         api_access_enabled, created_by_user_id, deleted_at, revision, row_mac) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) \
         ON CONFLICT (id) DO UPDATE SET username = $3, email = $4, password_hash = $5, password_changed_at = $6, must_change_password = $7, \
         first_name = $8, last_name = $9, display_name = $10, phone_number = $11, status = $12, email_verified = $13, \
         email_verified_at = $14, mfa_enabled = $15, mfa_secret = $16, mfa_backup_codes = $17, api_access_enabled = $18, \
         created_by_user_id = $19, deleted_at = $20, revision = $21, row_mac = $22, failed_login_attempts = 0 \
         WHERE users.revision = $21::bigint - 1",
        user.id,
        user.organization_id,
        user.username,
        user.email,
        user.password_hash,
        user.password_changed_at,
        user.must_change_password,
        user.first_name,
        user.last_name,
        user.display_name,
        user.phone_number,
        user.status,
        user.email_verified,
        user.email_verified_at,
        user.mfa_enabled,
        user.mfa_secret,
        user.mfa_backup_codes.as_deref(),
        user.api_access_enabled,
        user.created_by_user_id,
        user.deleted_at,
        user.revision,
        user.row_mac.as_slice()
    )
    .execute(connection)
    .await?;
    expect_one(&done, "user")
}

/// Writes that a person of that revision has logged in; wrong passwords are forgotten.
pub(crate) async fn logged_in(
    connection: &mut PgConnection,
    user: &User,
    now: DateTime<Utc>,
    source: Option<IpAddr>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE users SET failed_login_attempts = 0, last_failed_login_at = NULL, last_login_at = $3, last_activity_at = $3, last_login_ip = $4 \
         WHERE id = $1 AND revision = $2",
        user.id,
        user.revision,
        now,
        source.map(IpNet::from) as _
    )
    .execute(connection)
    .await?;
    expect_one(&done, "user")
}

/// Writes that the code of a time step was taken by a person of that revision; one that is not later than the last is [`StoreError::Conflict`].
pub(crate) async fn spend_step(connection: &mut PgConnection, user: &User, step: i64) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE users SET mfa_last_step = $3 WHERE id = $1 AND revision = $2 AND (mfa_last_step IS NULL OR mfa_last_step < $3)",
        user.id,
        user.revision,
        step
    )
    .execute(connection)
    .await?;
    expect_one(&done, "second factor")
}

/// There are `most` or fewer who are not deleted, with those whom whoever calls this has just written: those of others come after this
/// transaction, or are seen.
pub(crate) async fn expect_room(
    connection: &mut PgConnection,
    organization_id: Uuid,
    most: u32,
) -> Result<(), StoreError> {
    super::one_at_a_time(&mut *connection).await?;
    let counted = sqlx::query_scalar!(
        r#"SELECT count(*) AS "rows!" FROM (SELECT FROM users WHERE organization_id = $1 AND deleted_at IS NULL LIMIT $2::bigint + 1) counted"#,
        organization_id,
        i64::from(most)
    )
    .fetch_one(connection)
    .await?;
    super::expect_at_most(most, counted, ("max_users", "people"))
}
