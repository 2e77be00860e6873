//! A login that was found good: who came, what it gives, what it rests on, what it takes, and how its record tells of it.

use super::{Basis, TokenSettings, Visitor};
use crate::identity::Claim;
use crate::mount::Mount;
use crate::store::{GoneRow, LoginRows, StoreError};
use audit_chain::{Caller, Event, Value};
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Writes what a method takes for a login, in the transaction that gives the token; gives the rows. What it finds changed is
/// [`StoreError::Conflict`].
pub(crate) type Spend =
    Arc<dyn for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<Vec<GoneRow>, StoreError>> + Send + Sync>;

/// A login that was found good.
pub(crate) struct Login<'l> {
    pub(crate) mount: &'l Mount,
    pub(crate) terms: Terms,
    /// AppRole's SecretID, and until when it is good: a login that waits ends with it.
    pub(crate) secret_id: Option<(Uuid, Option<DateTime<Utc>>)>,
    /// What must still be as it is if the token is given now.
    pub(crate) rests_on_now: Vec<Basis>,
    /// Whom it has before it, where the method has read that already.
    pub(crate) seen: Option<LoginRows>,
    pub(crate) spend: Option<Spend>,
    /// How it is refused when what it rests on was changed meanwhile; none: as what may be tried again.
    pub(crate) refusal: Option<&'static str>,
}

/// What it gives, to whom, on what grounds. Kept of one that waits.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// Where it began; the token tells.
    pub(crate) path: String,
    pub(crate) settings: TokenSettings,
    /// In place of the settings' own, if there are any.
    pub(crate) bound_cidrs: Option<Vec<IpNet>>,
    /// Who came.
    pub(crate) claim: Claim,
    pub(crate) display_name: String,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) event_type: Cow<'static, str>,
    /// What the record says beside what all logins' say.
    pub(crate) data: Vec<(Cow<'static, str>, String)>,
    /// What must still be as it is when the token is given.
    pub(crate) rests_on: Vec<Basis>,
}

impl<'l> Login<'l> {
    /// Of whom `claim` names, for a token as `settings` has it: called by that name, and with what the method knows of him on it.
    pub(crate) fn new(
        visitor: &Visitor,
        (mount, settings): (&'l Mount, TokenSettings),
        event_type: &'static str,
        claim: Claim,
    ) -> Self {
        let terms = Terms {
            path: visitor.path.to_string(),
            settings,
            bound_cidrs: None,
            display_name: shown(mount, &claim.name),
            meta: claim.metadata.clone(),
            claim,
            event_type: event_type.into(),
            data: Vec::new(),
            rests_on: Vec::new(),
        };
        Self::on(mount, terms)
    }

    /// On those terms, and nothing more.
    pub(crate) fn on(mount: &'l Mount, terms: Terms) -> Self {
        Self { mount, terms, secret_id: None, rests_on_now: Vec::new(), seen: None, spend: None, refusal: None }
    }

    /// Calls its token so, after the login method.
    pub(crate) fn called(mut self, name: &str) -> Self {
        self.terms.display_name = shown(self.mount, name);
        self
    }

    /// Calls its token as the login method itself.
    pub(crate) fn called_like_its_method(mut self) -> Self {
        self.terms.display_name = method(self.mount);
        self
    }

    /// Writes these on its token.
    pub(crate) fn marked<const N: usize>(mut self, meta: [(&str, &str); N]) -> Self {
        self.terms.meta.extend(meta.map(|(name, text)| (name.to_owned(), text.to_owned())));
        self
    }

    /// Says these in its record.
    pub(crate) fn recorded<const N: usize>(mut self, data: [(&'static str, &str); N]) -> Self {
        self.terms.data.extend(data.map(|(name, text)| (name.into(), text.to_owned())));
        self
    }

    /// Good while that is what it is.
    pub(crate) fn resting_on(mut self, basis: impl Into<Basis>) -> Self {
        self.terms.rests_on.push(basis.into());
        self
    }

    /// Takes something.
    pub(crate) fn spending<F>(self, spend: F) -> Self
    where
        F: for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<Vec<GoneRow>, StoreError>> + Send + Sync + 'static,
    {
        Self { spend: Some(Arc::new(spend)), ..self }
    }

    /// Refused in these words when what it rests on was changed meanwhile.
    pub(crate) fn or_refused(self, refusal: &'static str) -> Self {
        Self { refusal: Some(refusal), ..self }
    }

    /// Who asks, now that it is known.
    pub(crate) fn caller(&self, visitor: &Visitor) -> Caller {
        Caller { user_id: self.terms.claim.user_id, ..visitor.caller() }
    }

    /// Puts into a record what the method says of it.
    pub(crate) fn tell(&self, event: &mut Event) {
        let texts = self.terms.data.iter().map(|(name, text)| (name.to_string(), Value::Text(text.clone().into())));
        event.data.extend(texts);
    }
}

fn shown(mount: &Mount, name: &str) -> String {
    format!("{}-{name}", method(mount))
}

fn method(mount: &Mount) -> String {
    mount.path.trim_end_matches('/').replace('/', "-")
}
