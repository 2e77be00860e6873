//! `sys/`: the life of the service, mounts, policies, capabilities.

mod audit;
mod auth;
mod capabilities;
mod cluster;
mod configuration;
mod cors;
mod counters;
mod generate_root;
mod health;
mod host;
mod hsm;
mod init;
mod integrity;
mod internal;
mod leases;
mod metrics;
mod mfa;
mod mounts;
mod namespaces;
mod passwords;
mod plugins;
mod policies;
mod quotas;
mod raw;
mod rekey;
mod remount;
mod rotate;
mod routes;
mod seal;
mod ui_headers;
mod wrapping;

pub(super) use metrics::CONTENT_TYPE as METRICS_CONTENT_TYPE;
pub(super) use routes::TABLES as ROUTES;
pub(super) use wrapping::envelope as wrapping_envelope;

use super::answer::Answer;
use super::call::Call;
use super::table::{Kind, Parameter, Route};
use crate::app::Result;
use clm_core::EntryKind;

/// What is in files of its own, found after that; narrower paths before wider ones, within a table and from one to the next.
pub(super) const TABLES: [&[Route]; 15] = [
    audit::ROUTES,
    cluster::ROUTES,
    configuration::ROUTES,
    cors::ROUTES,
    counters::ROUTES,
    leases::ROUTES,
    mfa::ROUTES,
    namespaces::ROUTES,
    passwords::ROUTES,
    plugins::ROUTES,
    quotas::ROUTES,
    raw::ROUTES,
    rekey::ROUTES,
    host::ROUTES,
    ui_headers::ROUTES,
];

/// Deletes what was made through `sys/`; nothing there is as good.
async fn delete_entry(call: &Call, kind: EntryKind, name: &str) -> Result<Answer> {
    let services = &call.context.services;
    services.core.delete_system_entry(&call.context.caller, kind, name).await?;
    call.state.system.reread(services).await?;
    Ok(Answer::nothing())
}

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}
