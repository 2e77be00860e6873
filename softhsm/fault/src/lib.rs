//! A PKCS#11 module that forwards to another and fails on request.
//!
//! `CLM_FAULT_MODULE` names the module behind it, `CLM_FAULT_CONTROL` a file that is read at each call, so a test can change
//! its mind while workers run: one rule a line, see [`rule::Rule`]. `CLM_FAULT_LOG`, if set, names a file that tells of each call, see [`log`].
//! A function that could not be told of is not offered.
//!
//! A crate that has this one as a dev-dependency finds the module with [`module_path()`].

pub mod forward;
pub mod log;
pub mod rule;

use std::path::PathBuf;

/// The module, which cargo puts beside the test that depends on this crate.
///
/// # Panics
/// Where it is not there, saying how it gets there.
pub fn module_path() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has an executable");
    let beside = test.with_file_name("libsofthsm_fault.so");
    let above = test.parent().and_then(|deps| deps.parent()).map(|profile| profile.join("libsofthsm_fault.so"));
    let found = [Some(beside.clone()), above].into_iter().flatten().find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no {}: `cargo build -p softhsm-fault` makes it", beside.display()))
}
