//! Logging in with a token of somebody else.

use super::claims::{self, Claims};
use super::keys::KeySet;
use super::{JwtConfig, JwtRole, bound};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::identity::Claim;
use crate::login::{Admitted, Basis, Login, Visitor};
use crate::mount::Mount;
use crate::roles::RoleKey;
use crate::token::Warning;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use secrecy::{ExposeSecret, SecretString};
use std::collections::HashSet;

/// Longer ones are not read.
const LONGEST: usize = 64 << 10;

/// What somebody brings.
#[derive(Clone, Debug)]
pub struct JwtLogin {
    /// None: the method's default.
    pub role: Option<String>,
    /// The token.
    pub jwt: SecretString,
}

impl Core {
    /// Gives a token for one of an issuer that the method believes. A refusal is counted.
    pub async fn login_jwt(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        login: JwtLogin,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let given = self.try_jwt(visitor, mount, login).await;
        self.counted(visitor, given).await
    }

    async fn try_jwt(&self, visitor: &Visitor, mount: &Mount, login: JwtLogin) -> Result<(Admitted, Vec<Warning>)> {
        let Some(config) = self.jwt_config(mount).await? else {
            return Err(Error::invalid("could not load configuration"));
        };
        let name = login.role.filter(|role| !role.is_empty()).or(Some(config.default_role.clone()));
        let name = name.filter(|name| !name.is_empty()).ok_or_else(|| Error::invalid("missing role"))?;
        let Some((role, basis)) = self.role_and_basis::<JwtRole>(&RoleKey::new(mount, &name)).await? else {
            return Err(Error::invalid(format!("role {name:?} could not be found")));
        };
        if role.is_oidc() {
            return Err(Error::invalid("role with oidc role_type is not allowed"));
        }
        if !crate::cidr::permits(&role.token.bound_cidrs, visitor.source) {
            return Err(Error::Forbidden("permission denied".into()));
        }
        let claims = self.verified(&config, login.jwt.expose_secret()).await?;
        let now = self.now().timestamp();
        claims::in_time(&claims, &role, now).map_err(|why| Error::invalid(format!("error validating token: {why}")))?;
        claims::for_us(&claims, &role.bound_audiences)
            .map_err(|why| Error::invalid(format!("error validating token: {why}")))?;
        self.give_claimed(visitor, mount, (&name, &role, basis), &claims, "login.jwt").await
    }

    /// Gives the token of a role for what the issuer says of somebody, once it is found to say it of a login here and now.
    pub(super) async fn give_claimed(
        &self,
        visitor: &Visitor,
        mount: &Mount,
        (name, role, basis): (&str, &JwtRole, Basis),
        claims: &Claims,
        event_type: &'static str,
    ) -> Result<(Admitted, Vec<Warning>)> {
        let refused = |why: String| Error::invalid(format!("error validating claims: {why}"));
        let subject = claims.get("sub").and_then(serde_json::Value::as_str);
        if !role.bound_subject.is_empty() && subject != Some(&role.bound_subject) {
            return Err(Error::invalid("error validating token: invalid subject (sub) claim"));
        }
        bound::holds(claims, &role.bound_claims, role.bound_claims_type == "glob").map_err(refused)?;
        let user = claims::user(claims, role).map_err(Error::invalid)?;
        let groups = claims::groups(claims, role).map_err(Error::invalid)?;
        let metadata = claims::mapped(claims, role).map_err(Error::invalid)?;
        let claim = Claim { name: user.clone(), metadata, user_id: None, groups };
        let login = Login::new(visitor, (mount, role.token.clone()), event_type, claim)
            .marked([("role", name)])
            .recorded([("role", name), ("user", &user)])
            .resting_on(basis);
        self.give(visitor, login).await
    }

    /// What a token says, once one of the issuer's keys is found to have signed it.
    pub(super) async fn verified(&self, config: &JwtConfig, jwt: &str) -> Result<Claims> {
        if jwt.len() > LONGEST {
            return Err(Error::invalid(format!("error parsing token: longer than {LONGEST} bytes")));
        }
        let header = decode_header(jwt).map_err(|error| Error::invalid(format!("error parsing token: {error}")))?;
        // RFC 7515, 4.1.11: what must be understood and is not known here.
        if header.crit.is_some() {
            return Err(Error::invalid("error parsing token: its header demands extensions that are not known here"));
        }
        if !config.algorithms().contains(&header.alg) {
            return Err(Error::invalid("error validating token: it is signed with an algorithm that is not supported"));
        }
        let keys = self.key_sets().of(&config.source(), header.kid.as_deref(), self.now()).await?;
        let claims = signed_by(&keys, header.alg, header.kid.as_deref(), jwt).ok_or_else(|| {
            Error::invalid(
                "error validating token: error verifying token signature: no known key successfully validated it",
            )
        })?;
        let wanted = Some(&config.bound_issuer)
            .filter(|issuer| !issuer.is_empty())
            .or(keys.provider.as_ref().map(|provider| &provider.issuer));
        let issuer = claims.get("iss").and_then(serde_json::Value::as_str);
        if wanted.is_some_and(|wanted| issuer != Some(wanted)) {
            return Err(Error::invalid("error validating token: invalid issuer (iss) claim"));
        }
        Ok(claims)
    }
}

/// The claims, by the first key that fits. Only the signature is looked at: times and names are ours to judge, by the service's clock.
fn signed_by(keys: &KeySet, algorithm: Algorithm, id: Option<&str>, jwt: &str) -> Option<Claims> {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims = HashSet::new();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    let name = format!("{algorithm:?}");
    keys.candidates(id)
        .into_iter()
        .filter(|key| key.algorithm.as_ref().is_none_or(|own| *own == name))
        .find_map(|key| decode::<Claims>(jwt, &key.key, &validation).ok())
        .map(|token| token.claims)
}
