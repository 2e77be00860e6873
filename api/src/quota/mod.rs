//! Rate limits: how often one address may ask something of this server. Decided in memory, each server for itself.

mod limiter;
mod table;

pub(crate) use limiter::Verdict;
pub(crate) use table::{QuotaConfiguration, QuotaTable, RateLimit, is_never_limited};
