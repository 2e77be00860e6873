//! The log on a real PostgreSQL.
#![expect(clippy::unwrap_used, reason = "tests")]

mod failures;
mod ownership;
mod proxy;
mod records;
mod support;
