//! `token_*`, which the roles of all login methods have.

use super::parameters::Parameters;
use super::table::{Kind, Parameter};
use crate::app::Result;
use Kind::{Boolean, Duration, Integer, List, Text};
use clm_core::TokenSettingsChange;

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

const SETTINGS: [Parameter; 12] = [
    field("period", Duration, "The old name of `token_period`"),
    field("policies", List, "The old name of `token_policies`"),
    field("token_bound_cidrs", List, "Addresses that tokens may be used from; none: any"),
    field("token_explicit_max_ttl", Duration, "No token lives longer, whatever its renewals"),
    field("token_max_ttl", Duration, "No renewal brings a token past this age"),
    field("token_no_default_policy", Boolean, "Without the policy `default`"),
    field("token_num_uses", Integer, "Requests a token is good for; 0: any number"),
    field("token_period", Duration, "Each renewal gives this"),
    field("token_policies", List, "Policies of tokens"),
    field("token_strictly_bind_ip", Boolean, "Tokens may be used only from where the login came from"),
    field("token_ttl", Duration, "Time to live; 0: the mount's"),
    field("token_type", Text, "default, service, batch, default-service or default-batch"),
];

/// Old names that the roles of most methods know.
pub(super) const OLD_NAMES: &[&str] = &["bound_cidrs", "max_ttl", "num_uses", "period", "policies", "ttl"];
/// Those of methods that never had a limit of uses by its old name.
pub(super) const OLD_NAMES_WITHOUT_USES: &[&str] = &["bound_cidrs", "max_ttl", "period", "policies", "ttl"];

/// A method's own fields, and these.
pub(super) const fn with_token_settings<const OWN: usize, const ALL: usize>(own: [Parameter; OWN]) -> [Parameter; ALL] {
    assert!(ALL == OWN + SETTINGS.len(), "the table's length is that of both parts");
    let mut all = [SETTINGS[0]; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < OWN { own[at] } else { SETTINGS[at - OWN] };
        at += 1;
    }
    all
}

/// The fields that are there; `old` are those that the method knows by their names without `token_`, too.
pub(super) fn token_settings(parameters: &Parameters, old: &[&str]) -> Result<TokenSettingsChange> {
    let mut old_names = Vec::new();
    // By which of its names it counts.
    let mut name = |new: &'static str| {
        let by_old = new.strip_prefix("token_").filter(|name| old.contains(name) && parameters.value(name).is_some());
        old_names.extend(by_old.map(str::to_owned));
        by_old.filter(|_| parameters.value(new).is_none()).unwrap_or(new)
    };
    Ok(TokenSettingsChange {
        ttl: parameters.lasting(name("token_ttl"))?,
        max_ttl: parameters.lasting(name("token_max_ttl"))?,
        policies: parameters.list(name("token_policies"))?,
        bound_cidrs: parameters.list(name("token_bound_cidrs"))?,
        explicit_max_ttl: parameters.lasting("token_explicit_max_ttl")?,
        no_default_policy: parameters.flag("token_no_default_policy")?,
        num_uses: parameters.integer(name("token_num_uses"))?,
        period: parameters.lasting(name("token_period"))?,
        token_type: parameters.text("token_type")?,
        strictly_bind_ip: parameters.flag("token_strictly_bind_ip")?,
        old_names,
    })
}
