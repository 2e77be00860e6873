//! The first organization, the first policy, the first token.

use super::{Core, ROOT_ORGANIZATION, SealConfiguration};
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::registry::{Entry, OrganizationFields};
use crate::store::{self, StoreError};
use crate::token::{ROOT_POLICY, Secret28, Token, random_base62};
use audit_chain::Caller;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

impl Core {
    /// Whether `initialize` was done.
    pub async fn initialized(&self) -> Result<bool> {
        Ok(self.store().organization_exists(ROOT_ORGANIZATION).await?)
    }

    /// Makes organization `root`, its system roles, policy `default` and the root token, all or nothing. The token's text (given, or random) comes
    /// back this once.
    pub async fn initialize(
        &self,
        caller: &Caller,
        root_token: Option<SecretString>,
        seal: &SealConfiguration,
    ) -> Result<SecretString> {
        if self.initialized().await? {
            return Err(Error::AlreadyInitialised);
        }
        let text = match root_token {
            Some(text) => text,
            None => Secret28::random()?.into_secret(),
        };
        let root = OrganizationFields::named("Root", &json!({}));
        let root = Entry { id: ROOT_ORGANIZATION, ..Entry::new(ROOT_ORGANIZATION, "root", root) };
        let seal = self.seal_row(seal).await?;
        let founded = self.founded(root).await?;
        let token = self.root_token_row(ROOT_ORGANIZATION, text.expose_secret()).await?;
        let mut event = self.event(caller, "system.init", "system", ("organization", Some("root".into())), "create");
        event.organization_id = ROOT_ORGANIZATION;
        let mut rows = founded.rows();
        rows.push((store::tokens::TABLE, token.id, token.revision, token.row_mac));
        rows.push((store::system_entries::TABLE, seal.id, seal.revision, seal.row_mac));
        add_rows(&mut event, rows);
        let made = self
            .change(ROOT_ORGANIZATION, move |connection| {
                Box::pin(async move {
                    founded.insert(&mut *connection).await?;
                    store::system_entries::put(&mut *connection, &seal).await?;
                    store::tokens::insert(connection, &token).await?;
                    Ok(((), event))
                })
            })
            .await;
        match made {
            Err(Error::Conflict(_) | Error::Database(StoreError::Taken { .. })) => {
                return Err(Error::AlreadyInitialised);
            }
            other => other?,
        }
        self.invalidate_all();
        self.reload_mounts().await?;
        Ok(text)
    }

    /// Another root token, for people who have shown the shares of the seal; on record.
    pub async fn create_root_token(&self, caller: &Caller) -> Result<SecretString> {
        let text = Secret28::random()?.into_secret();
        let token = self.root_token_row(ROOT_ORGANIZATION, text.expose_secret()).await?;
        let mut event = self.token_event(caller, "root_token.create", &token);
        add_rows(&mut event, [(store::tokens::TABLE, token.id, token.revision, token.row_mac)]);
        self.change(ROOT_ORGANIZATION, move |connection| {
            Box::pin(async move { store::tokens::insert(connection, &token).await.map(|()| ((), event)) })
        })
        .await?;
        Ok(text)
    }

    pub(crate) async fn root_token_row(&self, organization_id: Uuid, text: &str) -> Result<Token> {
        let mut token = Token {
            id: Uuid::now_v7(),
            organization_id,
            user_id: None,
            entity_id: None,
            accessor: Arc::from(random_base62(24)?.as_str()),
            token_hmac: self.token_hmac(text).await?,
            parent_id: None,
            policies: vec![ROOT_POLICY.into()],
            display_name: Arc::from("root"),
            meta: None,
            path: "auth/token/root".into(),
            role: None,
            creation_time: self.now(),
            creation_ttl: 0,
            lease_ttl: 0,
            period: 0,
            explicit_max_ttl: 0,
            max_ttl: 0,
            expire_time: None,
            last_renewal: None,
            num_uses: 0,
            uses_left: None,
            renewable: false,
            orphan: true,
            bound_cidrs: Vec::new(),
            batch: false,
            revision: 1,
            row_mac: [0; 32],
        };
        token.row_mac = self.row_mac(store::tokens::bound_bytes(&token)).await?;
        Ok(token)
    }
}
