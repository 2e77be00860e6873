//! Roles of people: who was given which role, from when until when, and what that permits.
//!
//! A role is an entry that is kept by code ([`crate::registry`]); an assignment is a row of `user_roles`. Both carry MACs, as does the person's
//! row. What a role permits becomes rules of the policy engine ([`crate::access::of_role`]) when a token is read whose entity is the person; the
//! times of an assignment are conditions of these rules, looked at with each request, and a change of any of the rows has every server read
//! the token anew.

mod assign;
mod held;

// The public interface is:
pub use assign::{Assignment, RoleSpan};
pub(crate) use held::{HeldRole, held};
