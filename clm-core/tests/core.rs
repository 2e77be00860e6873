//! Tokens, policies and mounts on a real PostgreSQL. The HSM's MAC is ours to replace.
#![expect(clippy::unwrap_used, reason = "tests")]

use clm_core::access::{AccessRequest, Operation};
use clm_core::{
    AliasChange, AppRoleChange, AppRoleLogin, Caller, Core, EntityChange, EntityMerge, EntityName, GroupAliasChange,
    GroupChange, MacDomain, MacError, NewMount, NewSecretId, NewToken, ROOT_ORGANIZATION, RoleSpan, RowMac,
    SealConfiguration, SecretRef, Settings, TokenRoleChange, UserChange, Visitor, clock,
};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::TestDatabase;
use uuid::Uuid;

/// A keyed hash in place of the token's HMAC.
struct Macs;

impl RowMac for Macs {
    fn mac(&self, domain: MacDomain, data: Vec<u8>) -> BoxFuture<'_, Result<[u8; 32], MacError>> {
        let key: &[u8] = if domain == MacDomain::Row { b"row key" } else { b"token key" };
        Box::pin(async move { Ok(Sha256::digest([key, &data].concat()).into()) })
    }
}

struct Fixture {
    core: Core,
    root: String,
    caller: Caller,
    database: TestDatabase,
}

impl Fixture {
    async fn new() -> Self {
        let database = TestDatabase::create().await.unwrap();
        clm_core::migrate(&database.migration_pool().await.unwrap()).await.unwrap();
        let core = Core::open(
            Settings::new(database.url("clm_core_app").into()),
            Arc::new(Macs),
            Arc::new(clock::SystemClock::new()),
        )
        .await
        .unwrap();
        let caller = Caller {
            request_id: Uuid::now_v7(),
            organization_id: ROOT_ORGANIZATION,
            user_id: None,
            entity_id: None,
            accessor: "".into(),
            display_name: "root".into(),
            ip_address: None,
            user_agent: None,
            path: "sys/init".into(),
            verdict: None,
            arrival: None,
        };
        assert!(!core.initialized().await.unwrap());
        let root =
            core.initialize(&caller, None, &SealConfiguration::default()).await.unwrap().expose_secret().to_owned();
        assert!(core.initialized().await.unwrap());
        Self { core, root, caller, database }
    }

    async fn may(&self, token: &str, operation: Operation, path: &str) -> bool {
        match self.core.authenticate(token, None).await {
            Ok(authority) => authority.decide(&AccessRequest::new(operation, path)).allowed,
            Err(_) => false,
        }
    }

    async fn sql(&self, statement: &str) -> Result<u64, sqlx::Error> {
        let mut superuser = self.database.superuser().await.unwrap();
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut superuser).await.map(|done| done.rows_affected())
    }

    async fn signer(&self) -> String {
        self.core
            .put_policy(&self.caller, "signer", "path \"transit/sign/k\" { capabilities = [\"update\"] }")
            .await
            .unwrap();
        let root = self.core.authenticate(&self.root, None).await.unwrap();
        let new = NewToken { policies: vec!["signer".into()], ..NewToken::at("auth/token/create") };
        let (issued, _) = self.core.create_token(&self.caller, &root, new).await.unwrap();
        issued.client_token.expose_secret().to_owned()
    }

    async fn until_not(&self, token: &str, operation: Operation, path: &str) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.may(token, operation, path).await {
            assert!(Instant::now() < deadline, "still may {path}");
        }
    }
}

#[tokio::test]
async fn the_root_token_may_all_and_a_made_one_only_what_its_policy_says() {
    let fixture = Fixture::new().await;
    assert!(fixture.root.starts_with("hvs.") && fixture.root.len() == 28);
    assert!(fixture.may(&fixture.root, Operation::Delete, "anything/at/all").await);
    assert!(!fixture.may("hvs.nobody", Operation::Read, "anything").await);
    let token = fixture.signer().await;
    assert!(fixture.may(&token, Operation::Update, "transit/sign/k").await);
    assert!(fixture.may(&token, Operation::Read, "auth/token/lookup-self").await, "default comes with it");
    assert!(!fixture.may(&token, Operation::Update, "transit/sign/other").await);
    assert!(!fixture.may(&token, Operation::Read, "transit/keys/k").await);
    let stored: String = {
        let mut superuser = fixture.database.superuser().await.unwrap();
        sqlx::query_scalar("SELECT string_agg(t::text, ' ') FROM tokens t").fetch_one(&mut superuser).await.unwrap()
    };
    assert!(!stored.contains(&token) && !stored.contains(&fixture.root), "a token's text is in the database");
}

#[tokio::test]
async fn a_changed_policy_and_a_revoked_token_act_at_once() {
    let fixture = Fixture::new().await;
    let token = fixture.signer().await;
    assert!(fixture.may(&token, Operation::Update, "transit/sign/k").await);
    fixture
        .core
        .put_policy(&fixture.caller, "signer", "path \"transit/sign/other\" { capabilities = [\"update\"] }")
        .await
        .unwrap();
    fixture.until_not(&token, Operation::Update, "transit/sign/k").await;
    assert!(fixture.may(&token, Operation::Update, "transit/sign/other").await);
    fixture.core.revoke_token(&fixture.caller, &token).await.unwrap();
    fixture.until_not(&token, Operation::Read, "auth/token/lookup-self").await;
}

#[tokio::test]
async fn a_policy_edited_behind_the_services_back_gives_nobody_more() {
    let fixture = Fixture::new().await;
    let token = fixture.signer().await;
    assert!(fixture.may(&token, Operation::Update, "transit/sign/k").await);
    let edited = "UPDATE access_policies SET document = 'path \"*\" { capabilities = [\"read\", \"update\"] }' WHERE name = 'signer'";
    assert_eq!(fixture.sql(edited).await.unwrap(), 1);
    fixture.until_not(&token, Operation::Update, "transit/sign/k").await;
    assert!(!fixture.may(&token, Operation::Read, "sys/mounts").await, "the edited policy took effect");
}

#[tokio::test]
async fn a_token_given_more_policies_by_sql_is_refused() {
    let fixture = Fixture::new().await;
    let token = fixture.signer().await;
    assert!(fixture.may(&token, Operation::Update, "transit/sign/k").await);
    assert_eq!(
        fixture.sql("UPDATE tokens SET policies = '{root}' WHERE NOT 'root' = ANY (policies)").await.unwrap(),
        1
    );
    fixture.until_not(&token, Operation::Update, "transit/sign/k").await;
    assert!(!fixture.may(&token, Operation::Delete, "anything").await, "SQL made a root token");
}

#[tokio::test]
async fn transit_is_mounted_found_and_unmounted() {
    let fixture = Fixture::new().await;
    let new = NewMount { mount_type: Some("transit".into()), ..NewMount::default() };
    fixture.core.mount(&fixture.caller, "transit", new.clone()).await.unwrap();
    let again = fixture.core.mount(&fixture.caller, "transit", new).await.unwrap_err();
    assert!(again.to_string().contains("path is already in use at transit/"), "{again}");
    let (mount, rest) = fixture.core.resolve(ROOT_ORGANIZATION, "transit/sign/k").unwrap();
    assert_eq!((&*mount.path, rest), ("transit/", "sign/k"));
    fixture.core.unmount(&fixture.caller, "transit").await.unwrap();
    assert!(fixture.core.resolve(ROOT_ORGANIZATION, "transit/sign/k").is_none());
}

/// Every change of AppRole: what is kept, what is spent, what is destroyed.
async fn programs(core: &Core, caller: &Caller) {
    let new = NewMount { mount_type: Some("approle".into()), ..NewMount::default() };
    let method = core.enable_login(caller, "programs", new.clone()).await.unwrap();
    let role = || AppRoleChange { role_id: Some("r".into()), ..AppRoleChange::default() };
    for name in ["kept", "gone"] {
        let role = AppRoleChange { role_id: Some(name.into()), ..role() };
        core.put_app_role(caller, &method, name, role).await.unwrap();
        core.put_app_role(caller, &method, name, AppRoleChange::default()).await.unwrap();
    }
    let visitor = Visitor {
        request_id: Uuid::now_v7(),
        organization_id: ROOT_ORGANIZATION,
        source: None,
        user_agent: None,
        mfa: Vec::new(),
        path: "auth/programs/login".into(),
        arrival: None,
    };
    for num_uses in [0, 2, 1] {
        let wanted = NewSecretId { num_uses: Some(num_uses), ..NewSecretId::default() };
        let secret = core.create_secret_id(caller, &method, "kept", wanted).await.unwrap();
        let login = AppRoleLogin { role_id: "kept".into(), secret_id: Some(secret.text) };
        core.login_app_role(&visitor, &method, login).await.unwrap();
    }
    let secret = core.create_secret_id(caller, &method, "kept", NewSecretId::default()).await.unwrap();
    core.destroy_secret_id(caller, &method, "kept", SecretRef::Accessor(&secret.accessor)).await.unwrap();
    core.create_secret_id(caller, &method, "gone", NewSecretId::default()).await.unwrap();
    core.delete_app_role(caller, &method, "gone").await.unwrap();
    let other = core.enable_login(caller, "other", new).await.unwrap();
    core.put_app_role(caller, &other, "r", role()).await.unwrap();
    core.create_secret_id(caller, &other, "r", NewSecretId::default()).await.unwrap();
    core.remount(caller, "auth/other", "auth/moved").await.unwrap();
    core.disable_login(caller, "moved").await.unwrap();
}

/// Entities, aliases and groups, made, changed, merged and deleted.
async fn identities(core: &Core, caller: &Caller) {
    let new = NewMount { mount_type: Some("userpass".into()), ..NewMount::default() };
    let mount = core.enable_login(caller, "people", new).await.unwrap();
    let entity = async |name: &str| {
        core.put_entity(caller, EntityName::Name(name.into()), EntityChange::default()).await.unwrap().0.id
    };
    let (kept, merged, gone) = (entity("kept").await, entity("merged").await, entity("gone").await);
    entity("kept").await;
    for (name, id) in [("a", kept), ("b", gone)] {
        let change = AliasChange {
            name: Some(name.into()),
            canonical_id: Some(id),
            mount_accessor: Some(mount.accessor.clone()),
            ..AliasChange::default()
        };
        core.put_alias(caller, change).await.unwrap();
    }
    let group = |members: &[Uuid]| GroupChange { member_entity_ids: Some(members.to_vec()), ..GroupChange::default() };
    let put =
        async |name: &str, change| core.put_group(caller, EntityName::Name(name.into()), change).await.unwrap().0.id;
    put("kept", group(&[kept, gone])).await;
    put("kept", group(&[kept, merged, gone])).await;
    put("kept", group(&[merged, gone])).await;
    let deleted = put("gone", group(&[kept])).await;
    core.delete_group(caller, deleted).await.unwrap();
    let outer = GroupChange { group_type: Some("external".into()), ..GroupChange::default() };
    let outer = put("outer", outer).await;
    let alias = GroupAliasChange {
        name: Some("g".into()),
        canonical_id: Some(outer),
        mount_accessor: Some(mount.accessor.clone()),
        ..GroupAliasChange::default()
    };
    let outer = core.put_group_alias(caller, alias).await.unwrap();
    core.delete_group_alias(caller, outer.alias_id.unwrap()).await.unwrap();
    let merge = EntityMerge {
        from_entity_ids: vec![merged],
        to_entity_id: kept,
        conflicting_alias_ids_to_keep: vec![],
        force: false,
    };
    core.merge_entities(caller, &merge).await.unwrap();
    core.delete_entity(caller, gone).await.unwrap();
    // People, and roles that they have.
    for name in ["ann", "bob"] {
        let new = UserChange { password: Some("a good one".into()), ..UserChange::default() };
        core.put_user(caller, &mount, name, new).await.unwrap();
        core.assign_role(caller, name, "AUDITOR", RoleSpan::default()).await.unwrap();
        core.assign_role(caller, name, "USER", RoleSpan::default()).await.unwrap();
    }
    assert!(core.withdraw_role(caller, "ann", "USER").await.unwrap());
    assert!(core.assign_role(caller, "ann", "USER", RoleSpan::default()).await.unwrap(), "given anew");
    assert!(!core.assign_role(caller, "ann", "USER", RoleSpan::default()).await.unwrap(), "it was given");
    assert!(core.withdraw_role(caller, "bob", "USER").await.unwrap());
    core.delete_user(caller, &mount, "bob").await.unwrap();
}

#[tokio::test]
async fn the_log_knows_every_row_as_it_is_after_every_kind_of_change() {
    let fixture = Fixture::new().await;
    let (first, second) = (fixture.signer().await, fixture.signer().await);
    let (core, caller) = (&fixture.core, &fixture.caller);
    core.put_policy(caller, "other", "path \"a\" { capabilities = [\"read\"] }").await.unwrap();
    core.delete_policy(caller, "other").await.unwrap();
    core.renew_token(caller, &first, 0).await.unwrap();
    core.revoke_token(caller, &second).await.unwrap();
    let new = NewMount { mount_type: Some("transit".into()), ..NewMount::default() };
    core.mount(caller, "transit", new.clone()).await.unwrap();
    core.mount(caller, "gone", new).await.unwrap();
    core.unmount(caller, "gone").await.unwrap();
    core.put_token_role(caller, "kept", TokenRoleChange::default()).await.unwrap();
    core.put_token_role(caller, "gone", TokenRoleChange::default()).await.unwrap();
    core.delete_token_role(caller, "gone").await.unwrap();
    programs(core, caller).await;
    identities(core, caller).await;
    core.sweep().await.unwrap();
    let mut auditor = audit_log::snapshot(&fixture.database.url("clm_auditor")).await.unwrap();
    let mut rows = audit_chain::Rows::default();
    let records: Vec<_> = audit_log::read_records(&mut auditor, audit_log::CORE).try_collect().await.unwrap();
    records.iter().for_each(|record| rows.take(&record.event));
    let mut compared = Vec::new();
    for table in audit_log::bound_tables(&mut auditor).await.unwrap() {
        let current: Vec<_> = audit_log::read_rows(&mut auditor, &table).try_collect().await.unwrap();
        current.iter().for_each(|(id, row)| rows.compare(&table, *id, *row));
        compared.extend((!current.is_empty()).then_some(table));
    }
    let changed = [
        "access_policies",
        "app_role_secret_ids",
        "app_roles",
        "auth_roles",
        "entities",
        "entity_aliases",
        "group_members",
        "identity_groups",
        "mounts",
        "organizations",
        "outbox",
        "roles",
        "system_entries",
        "tokens",
        "user_roles",
        "users",
    ];
    assert_eq!(compared, changed);
    assert_eq!(rows.finish(), []);
}

#[tokio::test]
async fn each_version_that_has_worked_here_is_kept_once_with_the_one_before_it() {
    let fixture = Fixture::new().await;
    let (core, caller) = (&fixture.core, &fixture.caller);
    for version in ["1.0.0", "1.1.0", "1.0.0", "1.1.0"] {
        core.note_version(caller, version).await.unwrap();
    }
    let known = core.versions().await.unwrap();
    let kept: Vec<_> = known.iter().map(|known| (known.version.as_str(), known.previous.as_deref())).collect();
    assert_eq!(kept, [("1.0.0", None), ("1.1.0", Some("1.0.0"))]);
    assert!(known[0].installed < known[1].installed, "{known:?}");
    // What SQL says of a version is not believed.
    fixture.sql("UPDATE system_entries SET name = '0.9.0' WHERE name = '1.0.0'").await.unwrap();
    let left: Vec<_> = core.versions().await.unwrap().into_iter().map(|known| known.version).collect();
    assert_eq!(left, ["1.1.0"]);
}

#[tokio::test]
async fn the_first_organization_begins_with_six_system_roles_that_stay() {
    let fixture = Fixture::new().await;
    let mut superuser = fixture.database.superuser().await.unwrap();
    let codes: Vec<String> = sqlx::query_scalar("SELECT role_code FROM roles WHERE is_system_role ORDER BY role_code")
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    assert_eq!(codes, ["APPROVER", "AUDITOR", "CERT_ADMIN", "CERT_OPERATOR", "SYSTEM_ADMIN", "USER"]);
    for gone in ["UPDATE roles SET deleted_at = now()", "UPDATE roles SET is_system_role = false", "DELETE FROM roles"]
    {
        let error = fixture.sql(gone).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code()).unwrap();
        // restrict_violation, check_violation.
        assert!(["23001", "23514"].contains(&&*code), "{gone}: {error}");
    }
}

#[tokio::test]
async fn a_job_is_one_servers_while_it_renews_its_lease_and_anothers_after_it() {
    let fixture = Fixture::new().await;
    let (core, lease) = (&fixture.core, Duration::from_secs(60));
    let [one, other] = [Uuid::new_v4(), Uuid::new_v4()];
    let take = |server| core.take_job("test.job", server, lease, Duration::ZERO);
    assert!(take(one).await.unwrap());
    assert!(!take(other).await.unwrap(), "one is at it");
    fixture.sql("UPDATE jobs SET leased_until = now() + interval '1 second'").await.unwrap();
    assert!(core.renew_job("test.job", one, lease).await.unwrap());
    let remaining = "SELECT extract(epoch FROM leased_until - now())::bigint FROM jobs WHERE name = 'test.job'";
    let mut superuser = fixture.database.superuser().await.unwrap();
    let left: i64 = sqlx::query_scalar(remaining).fetch_one(&mut superuser).await.unwrap();
    assert!(left > 30, "{left} s are left of the lease");

    // Killed, or cut off for so long.
    fixture.sql("UPDATE jobs SET leased_until = now()").await.unwrap();
    assert!(take(other).await.unwrap());
    assert!(!core.renew_job("test.job", one, lease).await.unwrap());
    core.finish_job("test.job", one, Duration::from_secs(3600), None).await.unwrap();
    assert!(!take(one).await.unwrap(), "what is said after the lease is not written");
    core.finish_job("test.job", other, Duration::ZERO, Some("why")).await.unwrap();
    assert!(take(one).await.unwrap(), "it is due again at once");
}

#[tokio::test]
async fn an_entry_of_the_outbox_is_one_servers_while_it_renews_its_lease_and_anothers_after_it() {
    let fixture = Fixture::new().await;
    let (core, lease) = (&fixture.core, Duration::from_secs(60));
    let new = NewMount { mount_type: Some("transit".into()), ..NewMount::default() };
    core.mount(&fixture.caller, "gone", new).await.unwrap();
    core.unmount(&fixture.caller, "gone").await.unwrap();
    let [one, other] = [Uuid::new_v4(), Uuid::new_v4()];
    let entry = core.take_entry(one, lease).await.unwrap().expect("it is due");
    assert!(core.take_entry(other, lease).await.unwrap().is_none(), "one is at it");
    fixture.sql("UPDATE outbox SET leased_until = now() + interval '1 second'").await.unwrap();
    assert!(core.renew_entry(&entry, one, lease).await.unwrap());
    let remaining = "SELECT extract(epoch FROM leased_until - now())::bigint FROM outbox";
    let mut superuser = fixture.database.superuser().await.unwrap();
    let left: i64 = sqlx::query_scalar(remaining).fetch_one(&mut superuser).await.unwrap();
    assert!(left > 30, "{left} s are left of the lease");

    // Killed, or cut off for so long.
    fixture.sql("UPDATE outbox SET leased_until = now()").await.unwrap();
    assert!(core.take_entry(other, lease).await.unwrap().is_some());
    assert!(!core.renew_entry(&entry, one, lease).await.unwrap());
    core.postpone_entry(&entry, one, "late").await.unwrap();
    let held: Option<Uuid> = sqlx::query_scalar("SELECT leased_by FROM outbox WHERE last_error IS NULL")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(held, Some(other), "what is said after the lease is not written");
    core.finish_entry(&entry).await.unwrap();
    assert!(!core.renew_entry(&entry, other, lease).await.unwrap(), "it is gone");
}

#[tokio::test]
async fn organization_root_of_the_release_before_is_bound_once_and_on_record_and_never_again() {
    let fixture = Fixture::new().await;
    let unbind = "UPDATE organizations SET revision = 1, row_mac = decode(repeat('00', 32), 'hex')";
    let mut superuser = fixture.database.superuser().await.unwrap();
    let mut bound = async || -> (i64, i64) {
        let statement = "SELECT (SELECT count(*) FROM audit_log WHERE event_type = 'organization.bind'), (SELECT revision FROM organizations)";
        sqlx::query_as(statement).fetch_one(&mut superuser).await.unwrap()
    };
    // This release's own row, put back to having no MAC: its making is on record with one.
    fixture.sql(unbind).await.unwrap();
    fixture.until_not(&fixture.root, Operation::Read, "x").await;
    assert_eq!(bound().await, (0, 1));
    // The release before recorded no row of it.
    fixture
        .sql("UPDATE audit_log SET event_data = event_data - 'rows' WHERE event_type = 'system.init'")
        .await
        .unwrap();
    fixture.sql(unbind).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while !fixture.may(&fixture.root, Operation::Read, "x").await {
        assert!(Instant::now() < deadline, "the root token works after the upgrade");
    }
    assert_eq!(bound().await, (1, 2));
    fixture.sql(unbind).await.unwrap();
    fixture.until_not(&fixture.root, Operation::Read, "x").await;
    assert_eq!(bound().await, (1, 1), "once");
}
