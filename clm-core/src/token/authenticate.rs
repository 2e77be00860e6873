//! Text → authority.

use super::cache::CachedAuthority;
use super::{Authority, Token, WRAPPING_POLICY, batch};
use crate::access::{Acl, Circumstances, CompiledPolicies, Policy};
use crate::cert::FINGERPRINT;
use crate::cidr;
use crate::core::Core;
use crate::error::{AuthError, Error, Result, TokenRefusal};
use crate::identity::Persona;
use crate::mount::Standing;
use crate::policies::{app_role_binding, certificate_binding, user_binding};
use crate::row_cache::{Key, Moment};
use crate::store::{self, FoundToken};
use crate::user_roles::HeldRole;
use audit_chain::Caller;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// What a token's rules are made of.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'s> {
    /// Names.
    pub(crate) policies: &'s [String],
    /// Whose the token is, as policies about secrets are bound.
    pub(crate) bearers: &'s [String],
    pub(crate) roles: &'s [HeldRole],
}

impl Sources<'_> {
    /// What is compiled of other sources has another; between its parts is what is no policy's name.
    fn key(self) -> Vec<String> {
        let Self { policies, bearers, roles } = self;
        let marks: Vec<String> = roles.iter().map(HeldRole::mark).collect();
        [policies, &[String::new()], bearers, &[String::new()], marks.as_slice()].concat()
    }
}

/// No token of ours or a client's own is longer; longer ones do not reach the HSM.
const LONGEST: usize = 1024;

impl Core {
    /// What the bearer of `token` may do. An unlimited token that was seen before is answered from memory; a limited one has one
    /// use less when this returns, durably.
    pub async fn authenticate(&self, token: &str, source: Option<IpAddr>) -> Result<Authority, AuthError> {
        let key: Key = Sha256::digest(token.as_bytes()).into();
        // Whoever is known may still come before the mounts that its request needs.
        self.ensure_mounts().await?;
        if self.is_fresh()
            && let Some(cached) = self.cache().get(&key)
        {
            let now = self.now();
            // At the end of an ancestor's time the database tells whether it was renewed.
            if cached.ends.is_none_or(|end| now < end) {
                self.check_standing(cached.authority.token.organization_id)?;
                check_source(&cached.authority.token, source)?;
                return self.spend(&cached, source).await;
            }
        }
        // Boxed: it is rare, and its size would be every request's.
        let read = Box::pin(self.read_authority(token, key)).await?;
        check_source(&read.authority.token, source)?;
        self.spend(&read, source).await
    }

    /// The tokens of an organization are good while it is served.
    fn check_standing(&self, organization_id: Uuid) -> Result<(), AuthError> {
        match self.mount_table().standing(organization_id) {
            Standing::Served => Ok(()),
            Standing::Refused => {
                Err(Error::RowTampered { table: store::organizations::TABLE, id: organization_id }.into())
            }
            Standing::Absent => Err(AuthError::Refused(TokenRefusal::Organization)),
        }
    }

    /// What the bearer of `text` may do, for somebody else who asks; spends no use.
    pub async fn authority_of(&self, caller: &Caller, text: &str) -> Result<Option<Authority>> {
        let token = self.live_token_by_text(caller.organization_id, text).await?;
        self.authority(token).await
    }

    /// The same by accessor.
    pub async fn authority_of_accessor(&self, caller: &Caller, accessor: &str) -> Result<Option<Authority>> {
        let token = self.live_token_by_accessor(caller.organization_id, accessor).await?;
        self.authority(token).await
    }

    async fn authority(&self, token: Option<Arc<Token>>) -> Result<Option<Authority>> {
        // Where that token would be used from is not known.
        let borne = self.at_rest(token).await?;
        Ok(borne.map(|authority| Authority { acl: self.acl_now(&authority, None), ..authority }))
    }

    /// Before it is known when and where the token is used.
    pub(crate) async fn at_rest(&self, token: Option<Arc<Token>>) -> Result<Option<Authority>> {
        match token {
            Some(token) => self.borne(token, self.cache().moment()).await,
            None => Ok(None),
        }
    }

    fn acl_now(&self, authority: &Authority, source: Option<IpAddr>) -> Arc<Acl> {
        authority.acl.at(&Circumstances { now: self.now(), source, token_made: authority.token.creation_time })
    }

    async fn spend(&self, cached: &CachedAuthority, source: Option<IpAddr>) -> Result<Authority, AuthError> {
        let token = &cached.authority.token;
        let authority = Authority { acl: self.acl_now(&cached.authority, source), ..cached.authority.clone() };
        if token.num_uses == 0 {
            return Ok(authority);
        }
        let spend = Box::pin(self.store().spend_use(token.organization_id, token.id));
        let left = spend.await.map_err(Error::from)?;
        let Some(left) = left else { return Err(AuthError::Refused(TokenRefusal::UsedUp)) };
        let token = Arc::new(Token { uses_left: Some(left), ..(**token).clone() });
        Ok(Authority { token, ..authority })
    }

    async fn read_authority(&self, text: &str, key: Key) -> Result<CachedAuthority, AuthError> {
        let moment = self.cache().moment();
        let Some(FoundToken { token, chain_expire_time }) = self.find_by_text(text).await? else {
            return Err(AuthError::Refused(TokenRefusal::Unknown));
        };
        if chain_expire_time.is_some_and(|end| end <= self.now()) {
            return Err(AuthError::Refused(TokenRefusal::Expired));
        }
        if self.mount_table().standing(token.organization_id) == Standing::Absent {
            // Its row says that it is active: another server has made it, or made it so, and this one has not heard yet.
            self.reload_mounts().await?;
        }
        self.check_standing(token.organization_id)?;
        let Some(authority) = self.borne(Arc::new(token), moment).await? else {
            return Err(AuthError::Refused(TokenRefusal::Entity));
        };
        let read = CachedAuthority { authority, ends: chain_expire_time };
        if self.is_fresh() {
            self.cache().insert(key, read.clone(), moment);
        }
        Ok(read)
    }

    /// A token by its text, ended or not.
    async fn find_by_text(&self, text: &str) -> Result<Option<FoundToken>> {
        if batch::is_batch(text) {
            return if text.len() > batch::LONGEST { Ok(None) } else { self.find_batch(text).await };
        }
        if text.is_empty() || text.len() > LONGEST {
            return Ok(None);
        }
        self.find_checked(self.token_hmac(text).await?).await
    }

    /// A row that carries its MAC, ended or not.
    pub(super) async fn find_checked(&self, token_hmac: [u8; 32]) -> Result<Option<FoundToken>> {
        let Some(found) = self.store().find_token(token_hmac).await? else { return Ok(None) };
        let token = &found.token;
        let which = (store::tokens::TABLE, token.organization_id, token.id);
        self.check_row(which, store::tokens::bound_bytes(token), &token.row_mac).await?;
        Ok(Some(found))
    }

    pub(crate) async fn live_token_by_text(&self, organization_id: Uuid, text: &str) -> Result<Option<Arc<Token>>> {
        Ok(self.living(organization_id, self.find_by_text(text).await?))
    }

    pub(crate) async fn live_token_by_accessor(
        &self,
        organization_id: Uuid,
        accessor: &str,
    ) -> Result<Option<Arc<Token>>> {
        match self.store().token_hmac_by_accessor(organization_id, accessor).await? {
            Some(token_hmac) => self.live_token(organization_id, token_hmac).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn live_token(&self, organization_id: Uuid, token_hmac: [u8; 32]) -> Result<Option<Arc<Token>>> {
        Ok(self.living(organization_id, self.find_checked(token_hmac).await?))
    }

    fn living(&self, organization_id: Uuid, found: Option<FoundToken>) -> Option<Arc<Token>> {
        let now = self.now();
        found
            .filter(|found| found.token.organization_id == organization_id && alive(found, now))
            .map(|found| Arc::new(found.token))
    }

    /// A token with its bearer and what both may do; `None`: the bearer is disabled, or gone.
    async fn borne(&self, token: Arc<Token>, moment: Moment) -> Result<Option<Authority>> {
        let organization_id = token.organization_id;
        let persona = match token.entity_id {
            None => None,
            Some(id) => match self.persona(organization_id, id).await? {
                Some(persona) if !persona.entity.disabled => Some(Arc::new(persona)),
                _ => return Ok(None),
            },
        };
        let acl = if token.is_root() {
            Arc::new(Acl::root())
        } else if token.policies == [WRAPPING_POLICY] {
            wrapping_acl()?
        } else {
            self.acl(&token, persona.as_deref(), moment).await?
        };
        Ok(Some(Authority { token, acl, persona, below: None }))
    }

    async fn acl(&self, token: &Token, persona: Option<&Persona>, moment: Moment) -> Result<Arc<Acl>> {
        let bearers = self.bearers(token).await?;
        let organization_id = token.organization_id;
        let Some(persona) = persona else {
            let sources = Sources { policies: &token.policies, bearers: &bearers, roles: &[] };
            let compiled = self.compiled(organization_id, sources, moment).await?;
            return Ok(Arc::new(compiled.acl(None)));
        };
        let mut names = token.policies.clone();
        names.extend(persona.policies());
        names.sort_unstable();
        names.dedup();
        let has_roles = !persona.roles.is_empty() && !self.is_of_api_key(token).await?;
        let roles = if has_roles { persona.roles.as_slice() } else { &[] };
        let sources = Sources { policies: &names, bearers: &bearers, roles };
        let compiled = self.compiled(organization_id, sources, moment).await?;
        // Of one entity the tokens of a person and of an app role are bound differently.
        let key = sources.key();
        let subject = persona.subject(&self.mount_table());
        if self.is_fresh()
            && let Some(acl) = self.cache().acl(persona.entity.id, &key, &subject)
        {
            return Ok(acl);
        }
        let acl = Arc::new(compiled.acl(Some(&subject)));
        self.cache().insert_acl(persona.entity.id, &key, subject, &acl, moment);
        Ok(acl)
    }

    /// The policies, those about secrets that are bound to one of the bearers, and what the roles permit, compiled; policies that do not exist
    /// grant nothing. One that was changed behind the service's back refuses the whole: leaving it out could drop a denial.
    pub(crate) async fn compiled(
        &self,
        organization_id: Uuid,
        sources: Sources<'_>,
        moment: Moment,
    ) -> Result<Arc<CompiledPolicies>> {
        let key = sources.key();
        if self.is_fresh()
            && let Some(compiled) = self.cache().policies(organization_id, &key)
        {
            return Ok(compiled);
        }
        let Sources { policies, bearers, roles } = sources;
        let mut parsed = Vec::new();
        for row in self.store().policies(organization_id, policies, bearers).await? {
            self.check_row((store::access_policies::TABLE, organization_id, row.id), row.bound_bytes(), &row.row_mac)
                .await?;
            if row.is_for(bearers) {
                parsed.push(row.compiled()?);
            }
        }
        if !roles.is_empty() {
            let grounds = self.mount_table().grounds(organization_id);
            parsed.extend(roles.iter().map(|role| role.policy(&grounds)));
        }
        let compiled = Arc::new(CompiledPolicies::new(&parsed));
        self.cache().insert_policies(organization_id, &key, &compiled, moment);
        Ok(compiled)
    }

    /// Whose a token is, as policies are bound to them: the person, app role or certificate that it or the first of the tokens above it was given to.
    async fn bearers(&self, token: &Token) -> Result<Vec<String>> {
        let mut parent_id = token.parent_id;
        let mut bearer = self.bearer(token).await?;
        while let (None, Some(id)) = (&bearer, parent_id) {
            let Some(hmac) = self.store().token_hmac_by_id(token.organization_id, id).await? else { break };
            let Some(above) = self.find_checked(hmac).await? else { break };
            bearer = self.bearer(&above.token).await?;
            parent_id = above.token.parent_id;
        }
        Ok(bearer.into_iter().collect())
    }

    /// Whether it, or the token at the top of those above it, was given for an API key: such tokens may do what the key's scopes say, and do not
    /// have the roles of the person for whom the key acts.
    async fn is_of_api_key(&self, token: &Token) -> Result<bool> {
        let (mut path, mut parent_id) = (token.path.clone(), token.parent_id);
        while let Some(id) = parent_id {
            let Some(hmac) = self.store().token_hmac_by_id(token.organization_id, id).await? else { break };
            let Some(above) = self.find_checked(hmac).await? else { break };
            (path, parent_id) = (above.token.path, above.token.parent_id);
        }
        let login = self.mount_table().resolve(token.organization_id, &path);
        Ok(login.is_some_and(|(mount, _)| mount.mount_type == "api-key"))
    }

    async fn bearer(&self, token: &Token) -> Result<Option<String>> {
        if let Some(user_id) = token.user_id {
            return Ok(Some(user_binding(user_id)));
        }
        let told = |name: &str| token.meta.as_ref().and_then(|meta| meta.get(name));
        // Nobody but a login writes such a path.
        let login = self.mount_table().resolve(token.organization_id, &token.path);
        let Some((mount, "login")) = login else { return Ok(None) };
        match mount.mount_type.as_str() {
            "approle" => {
                let Some(name) = told("role_name") else { return Ok(None) };
                let role = self.store().app_role(token.organization_id, mount.id, name).await?;
                Ok(self.checked_role(role).await?.map(|role| app_role_binding(role.id)))
            }
            "cert" => Ok(told(FINGERPRINT).map(|sha256| certificate_binding(sha256))),
            _ => Ok(None),
        }
    }
}

/// What a wrapping token may do beside being unwrapped.
fn wrapping_acl() -> Result<Arc<Acl>> {
    let document = "path \"cubbyhole/response\" { capabilities = [\"read\"] }";
    let policy = Policy::parse(WRAPPING_POLICY, document).map_err(|error| Error::Internal(error.to_string().into()))?;
    Ok(Arc::new(Acl::new(&[policy])))
}

/// Neither its time nor its uses are over.
fn alive(found: &FoundToken, now: DateTime<Utc>) -> bool {
    found.chain_expire_time.is_none_or(|end| now < end) && found.token.uses_left != Some(0)
}

fn check_source(token: &Token, source: Option<IpAddr>) -> Result<(), AuthError> {
    if cidr::permits(&token.bound_cidrs, source) { Ok(()) } else { Err(AuthError::Refused(TokenRefusal::Source)) }
}
