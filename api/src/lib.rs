//! The `clm` command: what an operator does with tokens, databases and the audit logs.

pub mod commands;
pub mod settings;
