//! `transit/`: named keys, and what is done with them.

mod agree;
pub(super) mod alias;
mod backup;
mod batch;
mod certificate;
mod cmac;
mod data_key;
mod decrypt;
mod destruction;
mod encapsulate;
mod encrypt;
mod export;
mod hmac;
mod import;
mod keys;
mod mac;
mod options;
mod routes;
mod settings;
mod shown;
mod sign;
mod state;
pub(super) mod tools;
mod usage;
mod verify;
mod versioned;

pub(super) use routes::TABLES;

use super::table::{Kind, Parameter};

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}
