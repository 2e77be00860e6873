//! Audit devices, and which headers they are told.

use crate::app::system_settings::document;
use crate::app::{Context, Error, Result};
use crate::audit_device::{AuditDevice, DeviceOptions, hashes};
use crate::http::answer::Answer;
use crate::http::call::Call;
use crate::http::table::{Endpoint, Kind, Parameter, Route, Shape, Verb};
use clm_core::{EntryKind, ROOT_ORGANIZATION};
use serde_json::{Map, Value, json};

const DEVICE: &[Parameter] = &[
    Parameter::new("description", Kind::Text, "A word for people"),
    Parameter::new("local", Kind::Boolean, "Kept and shown"),
    Parameter::new(
        "options",
        Kind::Texts,
        "required: nothing is done without it; hmac_accessor, prefix; file: file_path, mode; socket: address, socket_type, write_timeout; syslog: facility, tag, address",
    ),
    Parameter::new("type", Kind::Text, "file, socket or syslog").required(),
];

pub(in crate::http) const ROUTES: &[Route] = &[
    Route {
        pattern: "audit",
        endpoints: &[Endpoint::new(Verb::Read, "audit-list", "All audit devices", |call| Box::pin(list(call)))
            .shaped(Shape::Injected)],
    },
    Route {
        pattern: "audit/{+path}",
        endpoints: &[
            Endpoint::new(Verb::Write, "audit-enable", "Tell requests and answers to a device", |call| {
                Box::pin(enable(call))
            })
            .with(DEVICE),
            Endpoint::new(Verb::Delete, "audit-disable", "Do not any more", |call| Box::pin(disable(call))),
        ],
    },
    Route {
        pattern: "audit-hash/{+path}",
        endpoints: &[Endpoint::new(Verb::Write, "audit-hash", "What a device tells in place of a text", |call| {
            Box::pin(hash(call))
        })
        .with(&[Parameter::new("input", Kind::Text, "The text").required()])
        .shaped(Shape::Injected)
        .audited(false)],
    },
    Route {
        pattern: "config/auditing/request-headers",
        endpoints: &[Endpoint::new(Verb::Read, "audited-headers-list", "Headers that devices are told", |call| {
            Box::pin(list_headers(call))
        })
        .shaped(Shape::Injected)],
    },
    Route {
        pattern: "config/auditing/request-headers/{name}",
        endpoints: &[
            Endpoint::new(Verb::Read, "audited-headers-read", "How devices are told of a header", |call| {
                Box::pin(read_header(call))
            })
            .shaped(Shape::Injected),
            Endpoint::new(Verb::Write, "audited-headers-write", "Tell devices of a header", |call| {
                Box::pin(write_header(call))
            })
            .with(&[Parameter::new("hmac", Kind::Boolean, "Only as HMAC")]),
            Endpoint::new(Verb::Delete, "audited-headers-delete", "Do not any more", |call| {
                Box::pin(delete_header(call))
            }),
        ],
    },
];

async fn list(call: Call) -> Result<Answer> {
    let organization = call.context.caller.organization_id;
    let mut devices = Map::new();
    for entry in call.context.services.core.system_entries(organization, EntryKind::AuditDevice).await? {
        let device: DeviceOptions = document(&entry)?;
        let mut shown = json!(device);
        shown["path"] = entry.name.clone().into();
        devices.insert(entry.name, shown);
    }
    Ok(Answer::data(Value::Object(devices)))
}

async fn enable(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let text = |name: &str| Ok::<_, Error>(call.parameters.text(name)?.unwrap_or_default());
    let options = call.parameters.texts("options")?.unwrap_or_default();
    let local = call.parameters.flag("local")?.unwrap_or(false);
    let device = DeviceOptions::checked(&text("type")?, text("description")?, options, local)?;
    if !call.state.settings.audit.devices {
        return Err(Error::invalid(
            "audit devices write where their options say: set audit.devices = true (CLM_AUDIT__DEVICES) where whoever may call this may have the service write files and open connections",
        ));
    }
    let core = &call.context.services.core;
    let path = path(&call);
    let names = core.system_entries(call.context.caller.organization_id, EntryKind::AuditDevice).await?;
    if names.iter().any(|entry| entry.name == path) {
        return Err(Error::invalid("path already in use"));
    }
    AuditDevice::try_open(device.clone()).await?;
    core.put_system_entry(&call.context.caller, EntryKind::AuditDevice, &path, |old| match old {
        None => Ok(json!(device)),
        Some(_) => Err(clm_core::Error::Invalid("path already in use".into())),
    })
    .await?;
    call.state.system.reread(&call.context.services).await?;
    Ok(Answer::nothing())
}

async fn disable(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    super::delete_entry(&call, EntryKind::AuditDevice, &path(&call)).await
}

async fn hash(call: Call) -> Result<Answer> {
    let input = call.parameters.text("input")?.filter(|input| !input.is_empty());
    let input = input.ok_or_else(|| Error::invalid("the \"input\" parameter is empty"))?;
    let path = path(&call);
    let devices =
        call.context.services.core.system_entries(call.context.caller.organization_id, EntryKind::AuditDevice);
    let devices = devices.await?;
    let device = devices.iter().find(|entry| entry.name == path);
    let device = device.ok_or_else(|| Error::invalid(format!("unknown audit backend {path:?}")))?;
    let hash = hashes(&call.context.services.vault, device.id, &[input]).await?.pop();
    Ok(Answer::data(json!({ "hash": hash })))
}

async fn list_headers(call: Call) -> Result<Answer> {
    let organization = call.context.caller.organization_id;
    let entries = call.context.services.core.system_entries(organization, EntryKind::AuditedHeader).await?;
    let headers: Map<_, _> = entries.into_iter().map(|entry| (entry.name, entry.document)).collect();
    Ok(Answer::data(json!({ "headers": headers })))
}

async fn read_header(call: Call) -> Result<Answer> {
    let (organization, name) = (call.context.caller.organization_id, header(&call));
    let entry = call.context.services.core.system_entry(organization, EntryKind::AuditedHeader, &name).await?;
    let entry = entry.ok_or_else(|| Error::invalid("Could not find header in config"))?;
    Ok(Answer::data(json!({ call.capture("name"): entry.document })))
}

async fn write_header(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    let hmac = call.parameters.flag("hmac")?.unwrap_or(false);
    let (core, name) = (&call.context.services.core, header(&call));
    let document = json!({ "hmac": hmac });
    core.put_system_entry(&call.context.caller, EntryKind::AuditedHeader, &name, |_| Ok(document.clone())).await?;
    call.state.system.reread(&call.context.services).await?;
    Ok(Answer::nothing())
}

async fn delete_header(call: Call) -> Result<Answer> {
    expect_root(&call.context)?;
    super::delete_entry(&call, EntryKind::AuditedHeader, &header(&call)).await
}

/// What holds for the whole service is the root organization's.
pub(super) fn expect_root(context: &Context) -> Result<()> {
    if context.caller.organization_id == ROOT_ORGANIZATION {
        return Ok(());
    }
    Err(Error::Forbidden(
        "permission denied: only the root organization may change what holds for the whole service".into(),
    ))
}

/// With its final slash.
fn path(call: &Call) -> String {
    format!("{}/", call.capture("path").trim_matches('/'))
}

fn header(call: &Call) -> String {
    call.capture("name").to_ascii_lowercase()
}
