//! Tables of `sys/` by subject; narrower paths before wider ones, within a table and from one to the next.

mod access;
mod internal;
mod mounts;
mod service;
mod tools;
mod wrapping;

use crate::http::table::Route;

pub(in crate::http) const TABLES: [&[Route]; 6] =
    [service::ROUTES, mounts::ROUTES, access::ROUTES, internal::ROUTES, wrapping::ROUTES, tools::ROUTES];
