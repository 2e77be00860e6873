//! `identity/mfa/`: kinds of second factors, which logins need one, and entities' secrets for them.

use super::{captured_id, field, given, given_id, given_ids, id};
use crate::app::{Error, Result};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use Kind::{Duration, Integer, List, Text};
use Verb::{Delete, Read, Write};
use clm_core::{EnforcementChange, LoginEnforcement, MfaMethodChange, TotpEnrolment};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const METHOD: &[Parameter] = &[
    field("algorithm", Text, "SHA1, SHA256 or SHA512"),
    field("digits", Integer, "Of codes: 6 or 8"),
    field("issuer", Text, "What authenticator programs show beside the name").required(),
    field("key_size", Integer, "Bytes of secrets: 16 to 64"),
    field("max_validation_attempts", Integer, "Wrong codes before none is taken for a while"),
    field("method_name", Text, "Its name, which may stand for its id"),
    field("period", Duration, "How long a code is shown"),
    field("qr_size", Integer, "Taken, and without meaning here: no picture is drawn"),
    field("skew", Integer, "Codes before and after that of now that are taken: 0 or 1"),
];
const OWN: &[Parameter] = &[field("method_id", Text, "The method").required()];
const ANYBODYS: &[Parameter] =
    &[field("entity_id", Text, "Whose").required(), field("method_id", Text, "The method").required()];
const ENFORCEMENT: &[Parameter] = &[
    field("auth_method_accessors", List, "Logins through these login methods"),
    field("auth_method_types", List, "Logins through login methods of these types"),
    field("identity_entity_ids", List, "Logins of these entities"),
    field("identity_group_ids", List, "Logins of who is in these groups"),
    field("mfa_method_ids", List, "Methods, of which any is enough").required(),
];

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        pattern: "mfa/method",
        endpoints: &[Endpoint::new(Verb::List, "mfa-list-methods", "Ids of all MFA methods", |call| {
            Box::pin(list_methods(call))
        })],
    },
    Route {
        pattern: "mfa/method/totp",
        endpoints: &[
            Endpoint::new(Verb::List, "mfa-list-totp-methods", "Ids of MFA methods with codes by time", |call| {
                Box::pin(list_methods(call))
            }),
            Endpoint::new(Write, "mfa-create-totp-method", "Make an MFA method with codes by time", |call| {
                Box::pin(create_method(call))
            })
            .with(METHOD),
        ],
    },
    Route {
        pattern: "mfa/method/totp/generate",
        endpoints: &[Endpoint::new(
            Write,
            "mfa-generate-totp",
            "A secret of the caller's own for an authenticator program, shown this once",
            |call| Box::pin(generate_own(call)),
        )
        .with(OWN)],
    },
    Route {
        pattern: "mfa/method/totp/admin-generate",
        endpoints: &[Endpoint::new(
            Write,
            "mfa-admin-generate-totp",
            "A secret of an entity for an authenticator program, shown this once",
            |call| Box::pin(generate(call)),
        )
        .with(ANYBODYS)],
    },
    Route {
        pattern: "mfa/method/totp/admin-destroy",
        endpoints: &[Endpoint::new(Write, "mfa-admin-destroy-totp", "Take an entity's secret away", |call| {
            Box::pin(destroy(call))
        })
        .with(ANYBODYS)],
    },
    Route {
        pattern: "mfa/method/totp/{id}",
        endpoints: &[
            Endpoint::new(Read, "mfa-read-totp-method", "What a method's codes are like", |call| {
                Box::pin(read_method(call))
            }),
            Endpoint::new(
                Write,
                "mfa-update-totp-method",
                "Change a method, for secrets that it gives later",
                |call| Box::pin(update_method(call)),
            )
            .with(METHOD),
            Endpoint::new(
                Delete,
                "mfa-delete-totp-method",
                "Delete a method that no enforcement names, with all secrets for it",
                |call| Box::pin(delete_method(call)),
            ),
        ],
    },
    Route {
        pattern: "mfa/method/{id}",
        endpoints: &[Endpoint::new(Read, "mfa-read-method", "What a method's codes are like", |call| {
            Box::pin(read_method(call))
        })],
    },
    Route {
        pattern: "mfa/login-enforcement",
        endpoints: &[Endpoint::new(Verb::List, "mfa-list-enforcements", "Names of all login enforcements", |call| {
            Box::pin(list_enforcements(call))
        })],
    },
    Route {
        pattern: "mfa/login-enforcement/{name}",
        endpoints: &[
            Endpoint::new(Read, "mfa-read-enforcement", "Which logins need which second factors", |call| {
                Box::pin(read_enforcement(call))
            }),
            Endpoint::new(Write, "mfa-write-enforcement", "Have logins need a second factor", |call| {
                Box::pin(write_enforcement(call))
            })
            .with(ENFORCEMENT),
            Endpoint::new(Delete, "mfa-delete-enforcement", "Have them need it no more", |call| {
                Box::pin(delete_enforcement(call))
            }),
        ],
    },
];

async fn list_methods(call: Call) -> Result<Answer> {
    let (core, organization_id) = (&call.context.services.core, call.context.caller.organization_id);
    let methods = core.mfa_methods(organization_id).await?;
    Ok(listed(methods.iter().map(|method| (method.id.to_string(), method.data(core, organization_id)))))
}

/// `keys` and `key_info`.
fn listed(all: impl Iterator<Item = (String, Value)>) -> Answer {
    let info: Map<String, Value> = all.collect();
    if info.is_empty() {
        return Answer::nothing();
    }
    Answer::data(json!({ "keys": info.keys().collect::<Vec<_>>(), "key_info": info }))
}

async fn read_method(call: Call) -> Result<Answer> {
    let Some(id) = captured_id(&call) else { return Ok(Answer::nothing()) };
    let (core, organization_id) = (&call.context.services.core, call.context.caller.organization_id);
    let method = core.mfa_method(organization_id, id).await?;
    Ok(method.map_or_else(Answer::nothing, |method| Answer::data(method.data(core, organization_id))))
}

async fn create_method(call: Call) -> Result<Answer> {
    let id = put_method(&call, None).await?;
    Ok(Answer::data(json!({ "method_id": id })))
}

async fn update_method(call: Call) -> Result<Answer> {
    let id = captured_id(&call).ok_or_else(|| Error::invalid("invalid method_id"))?;
    put_method(&call, Some(id)).await?;
    Ok(Answer::nothing())
}

async fn put_method(call: &Call, id: Option<Uuid>) -> Result<Uuid> {
    let parameters = &call.parameters;
    let number = |name: &str| -> Result<Option<u64>> {
        let refused = |_| Error::invalid(format!("{name} cannot be negative"));
        parameters.integer(name)?.map(|number| u64::try_from(number).map_err(refused)).transpose()
    };
    let change = MfaMethodChange {
        method_name: parameters.text("method_name")?,
        issuer: parameters.text("issuer")?,
        period: parameters.lasting("period")?,
        key_size: number("key_size")?,
        algorithm: parameters.text("algorithm")?,
        digits: number("digits")?,
        skew: number("skew")?,
        max_validation_attempts: number("max_validation_attempts")?,
    };
    Ok(call.context.services.core.put_mfa_method(&call.context.caller, id, change).await?)
}

async fn delete_method(call: Call) -> Result<Answer> {
    if let Some(id) = captured_id(&call) {
        call.context.services.core.delete_mfa_method(&call.context.caller, id).await?;
    }
    Ok(Answer::nothing())
}

async fn generate_own(call: Call) -> Result<Answer> {
    // Of a token that acts in a namespace below its own, the entity is not there.
    let entity = call.context.authority.token.entity_id;
    let entity =
        entity.ok_or_else(|| Error::invalid("the token belongs to no entity: log in to have a secret of your own"))?;
    give(&call, entity).await
}

async fn generate(call: Call) -> Result<Answer> {
    let entity = given_id(&call.parameters, "entity_id")?.ok_or_else(|| Error::invalid("missing entity ID"))?;
    give(&call, entity).await
}

async fn give(call: &Call, entity: Uuid) -> Result<Answer> {
    let method = method_id(call)?;
    let made = call.context.services.core.generate_mfa_secret(&call.context.caller, method, entity).await?;
    let Some(TotpEnrolment { url, .. }) = made else {
        let warning = format!("Entity already has a secret for MFA method {method}");
        return Ok(Answer::data(Value::Null).warn(vec![warning]));
    };
    // No picture: clients draw it from the URL.
    Ok(Answer::data(json!({ "barcode": "", "url": url.expose_secret() })))
}

async fn destroy(call: Call) -> Result<Answer> {
    let method = method_id(&call)?;
    let entity = given_id(&call.parameters, "entity_id")?.ok_or_else(|| Error::invalid("missing entity ID"))?;
    call.context.services.core.destroy_mfa_secret(&call.context.caller, method, entity).await?;
    Ok(Answer::nothing())
}

fn method_id(call: &Call) -> Result<Uuid> {
    let text = given(&call.parameters, "method_id")?.ok_or_else(|| Error::invalid("missing method ID"))?;
    id(&text, "method_id")
}

async fn list_enforcements(call: Call) -> Result<Answer> {
    let (core, organization_id) = (&call.context.services.core, call.context.caller.organization_id);
    let all = core.login_enforcements(organization_id).await?;
    let shown = |enforcement: &LoginEnforcement| (enforcement.name.clone(), enforcement.data(core, organization_id));
    Ok(listed(all.iter().map(shown)))
}

async fn read_enforcement(call: Call) -> Result<Answer> {
    let (core, organization_id) = (&call.context.services.core, call.context.caller.organization_id);
    let found = core.login_enforcement(organization_id, call.capture("name")).await?;
    Ok(found.map_or_else(Answer::nothing, |enforcement| Answer::data(enforcement.data(core, organization_id))))
}

async fn write_enforcement(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let change = EnforcementChange {
        mfa_method_ids: given_ids(parameters, "mfa_method_ids")?,
        auth_method_accessors: parameters.list("auth_method_accessors")?,
        auth_method_types: parameters.list("auth_method_types")?,
        identity_group_ids: given_ids(parameters, "identity_group_ids")?,
        identity_entity_ids: given_ids(parameters, "identity_entity_ids")?,
    };
    let core = &call.context.services.core;
    core.put_login_enforcement(&call.context.caller, call.capture("name"), change).await?;
    Ok(Answer::nothing())
}

async fn delete_enforcement(call: Call) -> Result<Answer> {
    let core = &call.context.services.core;
    core.delete_login_enforcement(&call.context.caller, call.capture("name")).await?;
    Ok(Answer::nothing())
}
