//! Token roles.

use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::parameters::Parameters;
use clm_core::TokenRoleChange;

pub(super) async fn list(call: Call) -> Result<Answer> {
    Ok(Answer::keys(call.context.services.core.list_token_roles(call.context.caller.organization_id).await?))
}

pub(super) async fn read(call: Call) -> Result<Answer> {
    let name = call.capture("name").to_lowercase();
    let role = call.context.services.core.token_role(call.context.caller.organization_id, &name).await?;
    Ok(role.map_or_else(Answer::nothing, |role| Answer::data(role.data(&name))))
}

pub(super) async fn write(call: Call) -> Result<Answer> {
    let change = change(&call.parameters)?;
    call.context.services.core.put_token_role(&call.context.caller, call.capture("name"), change).await?;
    Ok(Answer::nothing().warn(said_twice(&call.parameters)))
}

/// Fields that came by both of their names, of which the new one counts.
fn said_twice(parameters: &Parameters) -> Vec<String> {
    let both = |old: &&str| parameters.value(old).is_some() && parameters.value(&format!("token_{old}")).is_some();
    let told =
        |old: &str| format!("Both 'token_{old}' and deprecated '{old}' value supplied, ignoring the deprecated value");
    ["period", "bound_cidrs", "explicit_max_ttl"].into_iter().filter(both).map(told).collect()
}

pub(super) async fn delete(call: Call) -> Result<Answer> {
    call.context.services.core.delete_token_role(&call.context.caller, call.capture("name")).await?;
    Ok(Answer::nothing())
}

fn change(parameters: &Parameters) -> Result<TokenRoleChange> {
    let num_uses = parameters.integer("token_num_uses")?;
    Ok(TokenRoleChange {
        allowed_policies: parameters.list("allowed_policies")?,
        allowed_policies_glob: parameters.list("allowed_policies_glob")?,
        disallowed_policies: parameters.list("disallowed_policies")?,
        disallowed_policies_glob: parameters.list("disallowed_policies_glob")?,
        orphan: parameters.flag("orphan")?,
        renewable: parameters.flag("renewable")?,
        path_suffix: parameters.text("path_suffix")?,
        period: parameters.lasting("period")?,
        token_period: parameters.lasting("token_period")?,
        explicit_max_ttl: parameters.lasting("explicit_max_ttl")?,
        token_explicit_max_ttl: parameters.lasting("token_explicit_max_ttl")?,
        bound_cidrs: parameters.list("bound_cidrs")?,
        token_bound_cidrs: parameters.list("token_bound_cidrs")?,
        token_no_default_policy: parameters.flag("token_no_default_policy")?,
        token_num_uses: num_uses
            .map(|uses| u32::try_from(uses).map_err(|_| Error::invalid("'token_num_uses' cannot be negative")))
            .transpose()?,
        token_type: parameters.text("token_type")?,
        allowed_entity_aliases: parameters.list("allowed_entity_aliases")?,
    })
}
