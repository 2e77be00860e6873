//! A vault of a test's own.

use audit_chain::Caller;
use futures_util::TryStreamExt;
use keyvault::clock::SystemClock;
use keyvault::key::{KeyAlgorithm, KeyName, NewKey, SignRequest};
use keyvault::{Settings, Vault, ceremony};
use sqlx::AssertSqlSafe;
use std::sync::Arc;
use tests::{TestDatabase, TestToken};
use uuid::Uuid;

pub(crate) struct Fixture {
    pub(crate) vault: Vault,
    pub(crate) caller: Caller,
    pub(crate) mount: Uuid,
    pub(crate) database: TestDatabase,
    pub(crate) token: TestToken,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let (database, token) = (TestDatabase::create().await.unwrap(), TestToken::create().unwrap());
        keyvault::migrate(&database.migration_pool().await.unwrap()).await.unwrap();
        let vault = open(&database, &token).await;
        vault.bridge().ready().await.unwrap();
        ceremony::create(vault.bridge()).await.unwrap();
        let caller = Caller {
            request_id: Uuid::now_v7(),
            organization_id: Uuid::now_v7(),
            user_id: None,
            entity_id: None,
            accessor: "accessor".into(),
            display_name: "test".into(),
            ip_address: Some("127.0.0.1".parse().unwrap()),
            user_agent: Some("test".into()),
            path: "transit/sign/k".into(),
            verdict: None,
            arrival: None,
        };
        vault.initialize(&caller).await.unwrap();
        Self { vault, caller, mount: Uuid::now_v7(), database, token }
    }

    pub(crate) async fn create(&self, name: &str, algorithm: KeyAlgorithm) {
        let new = NewKey::of(algorithm);
        assert!(self.vault.create_key(&self.caller, self.mount, &key_name(name), new).await.unwrap().1);
    }

    pub(crate) async fn key(&self, name: &str) -> Arc<keyvault::key::Key> {
        self.vault.key(self.caller.organization_id, self.mount, &key_name(name)).await.unwrap().unwrap()
    }

    pub(crate) async fn sign(&self, name: &str, request: SignRequest) -> keyvault::Result<keyvault::key::Signed> {
        let key = self.vault.key(self.caller.organization_id, self.mount, &key_name(name)).await?.unwrap();
        self.vault.sign(&self.caller, &key, request).await
    }

    pub(crate) async fn records(&self) -> Vec<audit_chain::Record> {
        let mut connection = self.database.superuser().await.unwrap();
        audit_log::read_records(&mut connection, audit_log::SECURE).try_collect().await.unwrap()
    }

    pub(crate) async fn sql(&self, statement: &str) -> u64 {
        let mut connection = self.database.superuser().await.unwrap();
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap().rows_affected()
    }
}

pub(crate) async fn open(database: &TestDatabase, token: &TestToken) -> Vault {
    let settings = Settings::new(database.url("clm_secure_app").into(), token.settings.clone());
    Vault::open(settings, Arc::new(SystemClock)).await.unwrap()
}

pub(crate) fn key_name(name: &str) -> KeyName {
    KeyName::parse(name).unwrap()
}
