//! Making tokens under another: `auth/token/create`.

use super::Authority;
use super::Token;
use super::child_policies::policies_of_child;
use super::draft::Draft;
use super::lifetime::{System, Wanted};
use super::new::{IssuedToken, NewToken, Warning};
use super::role::TokenRole;
use crate::core::Core;
use crate::error::{Error, Result};
use crate::mount::MountClass;
use audit_chain::Caller;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

impl Core {
    /// Makes a token under `parent`, through a role if one is named. Its text leaves with the value; its record is durable by then.
    pub async fn create_token(
        &self,
        caller: &Caller,
        parent: &Authority,
        new: NewToken,
    ) -> Result<(IssuedToken, Vec<Warning>)> {
        let role = match &new.role {
            None => None,
            Some(name) => {
                let role = self.token_role(caller.organization_id, name).await?;
                Some(role.ok_or_else(|| Error::invalid(format!("unknown role {name}")))?)
            }
        };
        let batch = batch_wanted(&new, role.as_ref())?;
        check(&new, &parent.token, role.as_ref(), batch)?;
        if parent.is_from_above() {
            check_from_above(&new, &parent.token, role.as_ref())?;
        }
        let policies = policies_of_child(&new, &parent.token.policies, role.as_ref())?;
        if new.entity_alias.as_ref().is_some_and(|alias| !alias.is_empty()) {
            return self.create_for_alias(caller, parent, new, role, (policies, batch)).await;
        }
        let mut warnings = Vec::new();
        let draft = self.child(new, parent, role, (policies, batch), &mut warnings)?;
        let mut issued = self.prepare_child(parent, draft, &mut warnings).await?;
        self.warn_of_unknown_policies(&issued.token, &mut warnings).await?;
        if let Some(persona) = parent.persona.as_ref().filter(|_| issued.token.entity_id.is_some()) {
            issued.identity_policies = persona.policies();
        }
        let event = self.token_event(caller, "token.create", &issued.token);
        self.write_token(&issued.token, event).await?;
        Ok((issued, warnings))
    }

    /// The token as it is to be written.
    pub(super) async fn prepare_child(
        &self,
        parent: &Authority,
        draft: Draft,
        warnings: &mut Vec<Warning>,
    ) -> Result<IssuedToken> {
        let issued = self.prepare_token(draft, warnings).await?;
        if issued.token.expire_time.is_none() && parent.token.expire_time.is_some() {
            return Err(Error::invalid("expiring root tokens cannot create non-expiring root tokens"));
        }
        Ok(issued)
    }

    /// What the token shall be: what is asked for, within what the role says, of the maker's entity unless it is an orphan.
    pub(super) fn child(
        &self,
        new: NewToken,
        above: &Authority,
        role: Option<TokenRole>,
        (policies, batch): (Vec<String>, bool),
        warnings: &mut Vec<Warning>,
    ) -> Result<Draft> {
        let parent = &above.token;
        // What is of one namespace does not hang on what is of another.
        let asked_for = role.as_ref().map_or(new.no_parent || new.orphan_path, |role| role.orphan);
        let orphan = asked_for || above.is_from_above();
        // A role's tokens are bound as the role says, be that nowhere; others where their parent is.
        let bound_cidrs = match &role {
            Some(role) => role.token_bound_cidrs.clone(),
            None if orphan => Vec::new(),
            None => parent.bound_cidrs.clone(),
        };
        let role = role.unwrap_or_default();
        if new.id.is_some() {
            warnings.push("A token with a chosen id is only as hard to guess as that id".to_owned());
        }
        let explicit_max_ttl = positive(new.explicit_max_ttl, "explicit_max_ttl must be positive")?;
        let explicit_max_ttl =
            lesser_told("Explicit max TTL", (explicit_max_ttl, role.token_explicit_max_ttl), warnings);
        // A batch token is never renewed: its role's period says nothing of it.
        let period = if batch { 0 } else { positive(new.period, "period must be positive")? };
        let of_role = if batch { 0 } else { role.token_period };
        let period = lesser_told("Period", (period, of_role), warnings);
        let mut path = new.path;
        if !role.path_suffix.is_empty() {
            path = format!("{path}/{}", role.path_suffix.trim_matches('/'));
        }
        Ok(Draft {
            organization_id: above.organization_id(),
            user_id: parent.user_id.filter(|_| !orphan),
            entity_id: parent.entity_id.filter(|_| !orphan),
            parent_id: (!orphan).then_some(parent.id),
            batch,
            id: new.id,
            policies,
            display_name: display_name(new.display_name.as_deref()),
            meta: new.meta,
            path,
            role: new.role,
            wanted: Wanted { ttl: positive(new.ttl, "ttl must be positive")?, period, explicit_max_ttl, age: 0 },
            max_ttl: 0,
            num_uses: lesser(count(new.num_uses)?, role.token_num_uses),
            renewable: new.renewable && role.renewable,
            bound_cidrs,
            system: self.token_ttl(above.organization_id()),
        })
    }

    /// The times of auth/token, which may be tuned.
    fn token_ttl(&self, organization_id: Uuid) -> System {
        let mount = self.mount_table().get(organization_id, MountClass::Auth, "token/");
        mount.map_or_else(|| self.system_ttl(), |mount| self.mount_ttl(&mount))
    }

    pub(crate) fn system_ttl(&self) -> System {
        System { default_ttl: self.settings().default_lease_ttl, max_ttl: self.settings().max_lease_ttl }
    }
}

/// Whether a batch token is to be made.
fn batch_wanted(new: &NewToken, role: Option<&TokenRole>) -> Result<bool> {
    let wanted = match new.token_type.as_deref() {
        None | Some("") => None,
        Some("service") => Some(false),
        Some("batch") => Some(true),
        Some(other) => return Err(Error::invalid(format!("invalid 'type' value {other:?}: service or batch"))),
    };
    Ok(role.map_or_else(|| wanted.unwrap_or(false), |role| role.makes_batch(wanted)))
}

/// What needs no database to be refused.
fn check(new: &NewToken, parent: &Token, role: Option<&TokenRole>, batch: bool) -> Result<()> {
    let sudo = parent.is_root() || new.sudo;
    let needs_sudo = |what: &str| Err(Error::invalid(format!("root or sudo privileges required to {what}")));
    if parent.batch {
        return Err(Error::invalid("batch tokens cannot create more tokens"));
    }
    if parent.num_uses > 0 {
        return Err(Error::invalid("restricted use token cannot generate child tokens"));
    }
    if batch {
        for (name, set) in [
            ("explicit_max_ttl", new.explicit_max_ttl != 0),
            ("id", new.id.is_some()),
            ("num_uses", new.num_uses != 0 || role.is_some_and(|role| role.token_num_uses > 0)),
            ("period", new.period != 0),
        ] {
            if set {
                return Err(Error::invalid(format!("batch tokens cannot have {name:?} set")));
            }
        }
        let inherits_root = new.policies.is_empty() && parent.is_root() && new.role.is_none();
        let is_root = |policy: &String| policy.trim().eq_ignore_ascii_case(super::ROOT_POLICY);
        if inherits_root || new.policies.iter().any(is_root) {
            return Err(Error::invalid("batch tokens cannot be root tokens"));
        }
    }
    if let Some(id) = &new.id {
        if !sudo {
            return needs_sudo("specify token id");
        }
        check_id(id)?;
    }
    // A role says by itself whether its tokens have a parent.
    if new.no_parent && !new.orphan_path && role.is_none() && !sudo {
        return needs_sudo("create orphan token");
    }
    if new.period > 0 && !sudo {
        return needs_sudo("create periodic token");
    }
    Ok(())
}

/// Names of policies mean something else in another namespace: whoever makes tokens there does it by `sudo`, and names them.
fn check_from_above(new: &NewToken, parent: &Token, role: Option<&TokenRole>) -> Result<()> {
    if !parent.is_root() && !new.sudo {
        return Err(Error::invalid("root or sudo privileges required to make tokens of a namespace"));
    }
    let named = !new.policies.is_empty() || role.is_some_and(TokenRole::names_policies);
    if !parent.is_root() && !named {
        return Err(Error::invalid("policies must be supplied: those of this token are another namespace's"));
    }
    Ok(())
}

fn check_id(id: &SecretString) -> Result<()> {
    let id = id.expose_secret();
    if id.contains('.') {
        return Err(Error::invalid("custom token ID cannot have a '.' character"));
    }
    if id.is_empty()
        || id.len() > 512
        || id.chars().any(|character| character.is_whitespace() || character.is_control())
    {
        return Err(Error::invalid(
            "custom token ID must have 1 to 512 characters, none of them blank or a control character",
        ));
    }
    Ok(())
}

/// `token`, or `token-<name>` with `-` for what is no letter, digit or `-`.
fn display_name(name: Option<&str>) -> String {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return "token".to_owned() };
    let full = format!("token-{}", name.replace(|character: char| !character.is_ascii_alphanumeric(), "-"));
    full.strip_suffix('-').unwrap_or(&full).to_owned()
}

/// The smaller of two limits, 0 being none.
pub(crate) fn lesser<T: Ord + Default>(one: T, other: T) -> T {
    let none = T::default();
    if one == none || (other != none && other < one) { other } else { one }
}

/// The same of what the maker and the role say, seconds; told where both say something.
fn lesser_told(what: &str, (asked, of_role): (u64, u64), warnings: &mut Vec<Warning>) -> u64 {
    let limit = lesser(asked, of_role);
    if asked > 0 && of_role > 0 {
        warnings.push(format!(
            "{what} specified both during creation call and in role; using the lesser value of {limit} seconds"
        ));
    }
    limit
}

fn positive(seconds: i64, refusal: &'static str) -> Result<u64> {
    u64::try_from(seconds).map_err(|_| Error::invalid(refusal))
}

fn count(uses: i64) -> Result<u32> {
    if uses < 0 {
        return Err(Error::invalid("number of uses cannot be negative"));
    }
    i32::try_from(uses)
        .ok()
        .and_then(|uses| u32::try_from(uses).ok())
        .ok_or_else(|| Error::invalid("number of uses is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn display_names() {
        assert_eq!(display_name(None), "token");
        assert_eq!(display_name(Some("My App!")), "token-My-App");
        assert_eq!(display_name(Some("a.b-c")), "token-a-b-c");
        assert_eq!(display_name(Some("a  ä.")), "token-a---");
    }

    proptest! {
        #[test]
        fn the_lesser_limit_holds_and_zero_is_none(one in 0u64..9, other in 0u64..9) {
            let limit = lesser(one, other);
            let bound = |limit: u64| if limit == 0 { u64::MAX } else { limit };
            prop_assert_eq!(bound(limit), bound(one).min(bound(other)));
        }
    }
}
