//! The Vault HTTP API over keyvault and clm-core, and the `clm` command.

mod app;
mod audit_device;
pub mod commands;
pub mod crash;
pub mod http;
mod in_flight;
mod metrics;
mod quota;
pub mod server;
pub mod settings;
mod shutdown;
mod state;
pub mod telemetry;
mod worker;
