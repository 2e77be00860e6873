//! Secrets by their names in reverse-domain notation: another view of the KV engine at `secret/`, whose versions and records are the same.

use crate::app::Context;
use crate::app::{Error, Result};
use crate::http::answer::{Answer, Refusal};
use crate::http::call::Call;
use crate::http::kv::{self, shown};
use crate::http::parameters::Parameters;
use crate::http::table::{Captures, Endpoint, Kind, Parameter, Route, Verb, captured};
use chrono::{DateTime, TimeDelta, Utc};
use clm_core::Mount;
use clm_core::access::{NAMED_MOUNT, name_of_path, path_of_name};
use futures_util::future::BoxFuture;
use hyper::StatusCode;
use keyvault::secret::{
    CustomMetadataChange, FoundSecret, Generator, MetadataChange, Patched, ProfileChange, Rotation, SecretName,
    SecretProfile, VersionChange,
};
use serde_json::{Map, Value, json};

const USUAL_LIMIT: i64 = 100;
const LARGEST_LIMIT: i64 = 1_000;

const SEARCH: &[Parameter] = &[
    Parameter::new("name", Kind::Text, "Names like this, `*` standing for any text"),
    Parameter::new("tag", Kind::Text, "With this tag"),
    Parameter::new("older_than", Kind::Duration, "Whose value was written so long ago, or longer"),
    Parameter::new("after", Kind::Text, "Names after this one: the last of the page before"),
    Parameter::new("limit", Kind::Integer, "How many are looked at, up to 1000; by default 100"),
];
const METADATA: &[Parameter] = &[
    Parameter::new("description", Kind::Text, "What it is for"),
    Parameter::new("tags", Kind::List, "To find it by"),
    Parameter::new("custom_metadata", Kind::Texts, "Up to 64 texts of your own"),
    Parameter::new("expires_at", Kind::Text, "From when on it is shown as deleted (RFC 3339); empty: never"),
    Parameter::new("rotation_enabled", Kind::Boolean, "Whether it is to be rotated by its schedule"),
    Parameter::new("rotation_schedule", Kind::Text, "A cron expression, in UTC"),
    Parameter::new(
        "generator",
        Kind::Object,
        "What the service makes of it when it is due: `{\"type\":\"password\",\"length\":24,\"classes\":[\"lower\",\"upper\",\"digits\",\"symbols\"],\"field\":\"password\"}` \
         or `{\"type\":\"key_pair\",\"algorithm\":\"ecdsa-p256\",\"field\":\"private_key\"}`; `{}`: nothing, people are told",
    ),
];
const DATA: Parameter = Parameter::new("data", Kind::Object, "What the secret holds");
const OPTIONS: Parameter =
    Parameter::new("options", Kind::Object, "`cas`: the version that the new one must follow, 0 if there must be none");
const VERSION: Parameter = Parameter::new("version", Kind::Integer, "Version; 0: the newest");

pub(crate) const ROUTES: &[Route] = &[
    Route {
        pattern: "secrets",
        endpoints: &[
            Endpoint::new(Verb::Read, "clm-find-secrets", "Secrets by name, tag and age", |call| Box::pin(find(call)))
                .with(SEARCH)
                .audited(true),
            Endpoint::new(Verb::List, "clm-list-secrets", "The same", |call| Box::pin(find(call)))
                .with(SEARCH)
                .audited(true),
        ],
    },
    Route {
        pattern: "secrets/{+name}/metadata",
        endpoints: &[
            Endpoint::new(Verb::Read, "clm-read-secret-metadata", "What a secret is beside its value", |call| {
                Box::pin(read_metadata(call))
            })
            .audited(true),
            Endpoint::new(
                Verb::Write,
                "clm-write-secret-metadata",
                "Describe a secret, or say how it is rotated",
                |call| Box::pin(write_metadata(call)),
            )
            .with(METADATA)
            .creating(exists),
            Endpoint::new(
                Verb::Delete,
                "clm-delete-secret",
                "Delete a secret with all its versions, for good",
                |call| Box::pin(delete(call)),
            ),
        ],
    },
    Route {
        pattern: "secrets/{+name}/rotate",
        endpoints: &[Endpoint::new(
            Verb::Write,
            "clm-rotate-secret",
            "Rotate it now: to `data`, or to what its generator makes",
            |call| Box::pin(rotate(call)),
        )
        .with(&[DATA])],
    },
    Route {
        pattern: "secrets/{+name}",
        endpoints: &[
            Endpoint::new(Verb::Read, "clm-read-secret", "A version of a secret", |call| Box::pin(read(call)))
                .with(&[VERSION])
                .audited(true),
            Endpoint::new(Verb::Write, "clm-write-secret", "Write a new version", |call| Box::pin(write(call)))
                .with(&[DATA.required(), OPTIONS])
                .creating(exists),
            Endpoint::new(
                Verb::Patch,
                "clm-patch-secret",
                "Write a new version, the newest with some fields changed",
                |call| Box::pin(patch(call)),
            )
            .with(&[DATA.required(), OPTIONS]),
            Endpoint::new(Verb::Delete, "clm-delete-newest", "Delete the newest version; it can come back", |call| {
                Box::pin(delete_newest(call))
            }),
        ],
    },
];

/// The secret that the path names.
fn named(call: &Call) -> Result<SecretName> {
    call.context.named_secret(call.capture("name"))
}

fn exists<'c>(context: &'c Context, _: &'c Mount, captures: &'c Captures) -> BoxFuture<'c, Result<bool>> {
    let name = captured(captures, "name");
    Box::pin(async move {
        // What is no name, or has no mount, is refused by who writes it.
        match (context.named_mount(), path_of_name(name)) {
            (Ok(mount), Ok(path)) => context.secret_exists(&SecretName { mount_id: mount.id, path }).await,
            _ => Ok(false),
        }
    })
}

async fn find(call: Call) -> Result<Answer> {
    let parameters = &call.parameters;
    let older_than = parameters.seconds("older_than")?.map(|seconds| TimeDelta::try_seconds(seconds.max(0)));
    let now = call.context.services.now();
    let written_before = match older_than {
        None => None,
        Some(age) => {
            let before = age.and_then(|age| now.checked_sub_signed(age));
            Some(before.ok_or_else(|| Error::invalid("older_than is longer than time is"))?)
        }
    };
    let after = parameters.text("after")?.unwrap_or_default();
    let limit = parameters.integer("limit")?.unwrap_or(USUAL_LIMIT).clamp(1, LARGEST_LIMIT);
    let pattern = parameters.text("name")?.filter(|pattern| !pattern.is_empty()).unwrap_or_else(|| "*".to_owned());
    let tag = parameters.text("tag")?.filter(|tag| !tag.is_empty());
    let found = call.context.search_named(&pattern, tag, written_before, &after, limit).await?;
    // Where what was found ends, also if none of it is shown.
    let next = if found.len() as i64 == limit { found.last().and_then(|last| name_of_path(&last.path)) } else { None };
    let seen = found.iter().filter(|secret| call.context.may_see(&secret.path));
    let (mut keys, mut details) = (Vec::new(), Map::new());
    for secret in seen {
        let Some(name) = name_of_path(&secret.path) else { continue };
        details.insert(name.clone(), described(&name, secret));
        keys.push(name);
    }
    Ok(Answer::data(json!({ "keys": keys, "key_info": details, "next": next })))
}

async fn read(call: Call) -> Result<Answer> {
    let name = named(&call)?;
    let version = call.parameters.integer("version");
    let version = call.context.recorded_refusal("secret.read", &name, version).await?.unwrap_or_default();
    let Some(read) = call.context.read_secret("secret.read", &name, version).await? else {
        return Ok(Answer::nothing());
    };
    let status = if read.data.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let shown = json!({
        "data": read.data,
        "metadata": shown::version(&read.version),
        "name": call.capture("name"),
        "path": format!("{NAMED_MOUNT}{}", name.path),
    });
    Ok(Answer::data(shown).with_status(status))
}

async fn write(call: Call) -> Result<Answer> {
    let name = named(&call)?;
    let (data, cas) = call.context.recorded_refusal("secret.write", &name, kv::sent(&call.parameters)).await?;
    Ok(Answer::data(shown::version(&call.context.write_secret(&name, cas, &data).await?)))
}

async fn patch(call: Call) -> Result<Answer> {
    let name = named(&call)?;
    let (data, cas) = call.context.recorded_refusal("secret.patch", &name, kv::sent(&call.parameters)).await?;
    Ok(match call.context.patch_secret(&name, cas, &data).await? {
        Patched::Absent => Answer::refused(Refusal::Absent),
        Patched::Gone(version) => Answer::data(shown::version(&version)).with_status(StatusCode::NOT_FOUND),
        Patched::Written(version) => Answer::data(shown::version(&version)),
    })
}

async fn delete_newest(call: Call) -> Result<Answer> {
    call.context.change_versions(&named(&call)?, VersionChange::Delete, None).await?;
    Ok(Answer::nothing())
}

async fn delete(call: Call) -> Result<Answer> {
    call.context.delete_secret("secret_metadata.delete", &named(&call)?).await?;
    Ok(Answer::nothing())
}

async fn rotate(call: Call) -> Result<Answer> {
    let name = named(&call)?;
    let data = match call.parameters.value("data") {
        None => Ok(None),
        Some(Value::Object(data)) => Ok(Some(data.clone())),
        Some(_) => Err(Error::invalid("'data' must be an object")),
    };
    let data = call.context.recorded_refusal("secret.rotate", &name, data).await?;
    let rotated = call.context.rotate_secret(&name, data.as_ref(), call.state.settings.fips).await?;
    let version = rotated.ok_or_else(|| Error::NotFound("there is no secret of that name".into()))?;
    Ok(Answer::data(shown::version(&version)))
}

async fn read_metadata(call: Call) -> Result<Answer> {
    let name = named(&call)?;
    let Some(metadata) = call.context.read_secret_metadata(&name).await? else { return Ok(Answer::nothing()) };
    let Value::Object(mut shown) = shown::metadata(&metadata) else { return Ok(Answer::nothing()) };
    shown.insert("name".into(), call.capture("name").into());
    shown.insert("path".into(), format!("{NAMED_MOUNT}{}", name.path).into());
    add_profile(&mut shown, &metadata.profile);
    Ok(Answer::data(shown))
}

async fn write_metadata(call: Call) -> Result<Answer> {
    let name = named(&call)?;
    let change = call.context.recorded_refusal("secret_metadata.write", &name, changed(&call.parameters)).await?;
    let is_fips = call.state.settings.fips;
    if is_fips && matches!(change.profile.generator, Some(Some(Generator::KeyPair { .. }))) {
        let refused = Err(Error::invalid(
            "fips: key pairs are not made as values of secrets, whose private half leaves the token; make a key in transit",
        ));
        return call.context.recorded_refusal("secret_metadata.write", &name, refused).await;
    }
    call.context.write_secret_metadata(&name, &change, true).await?;
    Ok(Answer::nothing())
}

fn changed(parameters: &Parameters) -> Result<MetadataChange> {
    let expires_at = match parameters.text("expires_at")? {
        None => None,
        Some(never) if never.is_empty() => Some(None),
        Some(text) => {
            let time = DateTime::parse_from_rfc3339(&text);
            let time = time.map_err(|_| Error::invalid("expires_at is no time of RFC 3339: 2027-01-31T12:00:00Z"))?;
            Some(Some(time.with_timezone(&Utc)))
        }
    };
    let generator = match parameters.value("generator") {
        None => None,
        Some(Value::Object(nothing)) if nothing.is_empty() => Some(None),
        Some(Value::String(nothing)) if nothing.is_empty() => Some(None),
        Some(said) => {
            let read = serde_json::from_value(said.clone());
            Some(Some(read.map_err(|error| Error::Invalid(format!("generator: {error}")))?))
        }
    };
    Ok(MetadataChange {
        custom_metadata: parameters.texts("custom_metadata")?.map(CustomMetadataChange::Replace),
        profile: ProfileChange {
            description: parameters.text("description")?,
            tags: parameters.list("tags")?,
            expires_at,
            rotation_enabled: parameters.flag("rotation_enabled")?,
            rotation_schedule: parameters.text("rotation_schedule")?,
            generator,
        },
        ..MetadataChange::default()
    })
}

fn described(name: &str, secret: &FoundSecret) -> Value {
    let mut shown = Map::new();
    shown.insert("created_time".into(), shown::time(secret.created_at).into());
    shown.insert("current_version".into(), secret.version.into());
    shown.insert("custom_metadata".into(), shown::texts(&secret.custom_metadata));
    shown.insert("name".into(), name.into());
    shown.insert("path".into(), format!("{NAMED_MOUNT}{}", secret.path).into());
    shown.insert("value_time".into(), optional(secret.value_written_at).into());
    add_profile(&mut shown, &secret.profile);
    Value::Object(shown)
}

fn add_profile(shown: &mut Map<String, Value>, profile: &SecretProfile) {
    let SecretProfile { description, tags, expires_at, public_key, rotation } = profile;
    let Rotation { enabled, schedule, generator, last_at, next_at } = rotation;
    shown.insert("description".into(), description.as_str().into());
    shown.insert("expires_at".into(), optional(*expires_at).into());
    shown.insert("generator".into(), json!(generator));
    shown.insert("last_rotated_at".into(), optional(*last_at).into());
    shown.insert("next_rotation_at".into(), optional(*next_at).into());
    shown.insert("public_key".into(), json!(public_key));
    shown.insert("rotation_enabled".into(), (*enabled).into());
    shown.insert("rotation_schedule".into(), schedule.as_deref().unwrap_or_default().into());
    shown.insert("tags".into(), json!(tags));
}

/// RFC 3339; empty: none.
fn optional(time: Option<DateTime<Utc>>) -> String {
    time.map(shown::time).unwrap_or_default()
}
