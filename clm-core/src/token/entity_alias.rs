//! Tokens for somebody else than their maker: `entity_alias`, as far as the token role allows it.
//!
//! The alias is a name by which the login method auth/token knows an entity. Whoever is known by it has the token; where nobody is, the entity
//! and its alias are made with the token, in one transaction.

use super::Authority;
use super::draft::warn_of_others;
use super::new::{IssuedToken, NewToken, Warning};
use super::role::TokenRole;
use crate::attempts::Attempts;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::{Claim, Recognised};
use crate::mount::token_mount_id;
use crate::record::add_rows;
use crate::store::{StoreError, tokens};
use audit_chain::{Caller, Value};
use std::sync::Arc;
use uuid::Uuid;

impl Core {
    /// Makes a token for whom an alias names.
    pub(super) async fn create_for_alias(
        &self,
        caller: &Caller,
        parent: &Authority,
        new: NewToken,
        role: Option<TokenRole>,
        wanted: (Vec<String>, bool),
    ) -> Result<(IssuedToken, Vec<Warning>)> {
        let alias = allowed(&new, role.as_ref())?;
        let mut attempts = Attempts::default();
        loop {
            let made = self.create_for(caller, parent, (new.clone(), &alias), role.clone(), wanted.clone()).await;
            return match made {
                Err(error) if attempts.again(&error) => continue,
                // A text that somebody chose is there already, whatever is tried.
                Err(Error::Database(StoreError::Taken { .. })) if new.id.is_some() => {
                    Err(Error::invalid("cannot create a token with a duplicate ID"))
                }
                Err(Error::Database(StoreError::Taken { .. })) => Err(Error::Conflict("entity")),
                // The parent was revoked while its request was under way.
                Err(Error::Conflict("parent token")) => Err(Error::Forbidden("permission denied".into())),
                other => other,
            };
        }
    }

    async fn create_for(
        &self,
        caller: &Caller,
        parent: &Authority,
        (new, alias): (NewToken, &str),
        role: Option<TokenRole>,
        wanted: (Vec<String>, bool),
    ) -> Result<(IssuedToken, Vec<Warning>)> {
        let recognised = self.known_as(parent.organization_id(), alias, &wanted.0).await?;
        let mut warnings = Vec::new();
        let mut draft = self.child(new, parent, role, wanted, &mut warnings)?;
        (draft.entity_id, draft.user_id) = (Some(recognised.entity_id), recognised.user_id);
        let mut issued = self.prepare_child(parent, draft, &mut warnings).await?;
        warn_of_others(&issued.token.policies, &recognised.known_policies, &mut warnings);
        issued.identity_policies.clone_from(&recognised.policies);
        let mut event = self.token_event(caller, "token.create", &issued.token);
        event.data.insert("entity_alias".into(), Value::Text(alias.to_owned().into()));
        let token = Arc::clone(&issued.token);
        self.change(token.organization_id, move |connection| {
            Box::pin(async move {
                let mut rows = recognised.write(connection).await?;
                rows.extend(tokens::keep(connection, &token).await?);
                add_rows(&mut event, rows);
                Ok(((), event))
            })
        })
        .await?;
        Ok((issued, warnings))
    }

    /// Whom auth/token knows by that name: as it is written, else in lower case, by which a new one is known. `policies` are the token's.
    async fn known_as(&self, organization_id: Uuid, alias: &str, policies: &[String]) -> Result<Recognised> {
        let mount = self.mount_table().by_id(organization_id, token_mount_id(organization_id));
        let mount = mount.ok_or_else(|| Error::invalid("auth token mount accessor not found"))?;
        let as_written = self.entity_id_by_alias(organization_id, &mount.accessor, alias).await?;
        let name = if as_written.is_some() { alias.to_owned() } else { alias.to_lowercase() };
        let disabled = || Error::Forbidden("entity from given entity alias is disabled".into());
        let claim = Claim { name, ..Claim::default() };
        let rows = self.meet(&mount, &claim, policies).await?;
        let recognised = self.recognise(&mount, &claim, rows).await;
        let recognised =
            recognised.map_err(|error| if matches!(error, Error::Forbidden(_)) { disabled() } else { error })?;
        if let Some(user_id) = recognised.user_id {
            // A person who may not log in has no new tokens by this way, either.
            self.user(organization_id, user_id).await?.filter(|user| user.may_log_in()).ok_or_else(disabled)?;
        }
        Ok(recognised)
    }
}

/// The alias, if the role lets tokens be for it.
fn allowed(new: &NewToken, role: Option<&TokenRole>) -> Result<String> {
    let alias = new.entity_alias.clone().unwrap_or_default();
    let Some(role) = role else {
        return Err(Error::invalid("'entity_alias' is only allowed in combination with token role"));
    };
    if role.allows_alias(&alias) { Ok(alias) } else { Err(Error::invalid("invalid 'entity_alias' value")) }
}
