//! The table of `transit/`, by subject: what is asked most comes first, because it is found first.

mod data;
mod keys;
mod life;
mod material;
mod tools;

use crate::http::table::Route;

pub(in crate::http) const TABLES: [&[Route]; 5] =
    [data::ROUTES, keys::ROUTES, life::ROUTES, material::ROUTES, tools::ROUTES];
