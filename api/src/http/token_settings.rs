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

/// The fields that are there.
pub(super) fn token_settings(parameters: &Parameters) -> Result<TokenSettingsChange> {
    let mut old_names = Vec::new();
    let mut by_old = |new: &str, old: &str| {
        let is_old = parameters.value(new).is_none() && parameters.value(old).is_some();
        if is_old {
            old_names.push(old.to_owned());
        }
        is_old
    };
    let policies = if by_old("token_policies", "policies") { "policies" } else { "token_policies" };
    let period = if by_old("token_period", "period") { "period" } else { "token_period" };
    Ok(TokenSettingsChange {
        ttl: parameters.lasting("token_ttl")?,
        max_ttl: parameters.lasting("token_max_ttl")?,
        policies: parameters.list(policies)?,
        bound_cidrs: parameters.list("token_bound_cidrs")?,
        explicit_max_ttl: parameters.lasting("token_explicit_max_ttl")?,
        no_default_policy: parameters.flag("token_no_default_policy")?,
        num_uses: parameters.integer("token_num_uses")?,
        period: parameters.lasting(period)?,
        token_type: parameters.text("token_type")?,
        strictly_bind_ip: parameters.flag("token_strictly_bind_ip")?,
        old_names,
    })
}
