//! The Vault HTTP API over keyvault and clm-core, and the `clm` command.

mod app;
pub mod commands;
pub mod crash;
pub mod http;
mod metrics;
pub mod server;
pub mod settings;
mod shutdown;
mod state;
pub mod telemetry;
mod worker;
