//! The roles that somebody has: those that were given, and those above them.

use super::Assignment;
use crate::access::{Grounds, Policy, Validity, of_role};
use crate::core::Core;
use crate::error::Result;
use crate::registry::{Entry, Fields, RoleFields};
use crate::store::roles;
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

/// A role that somebody has, and when.
#[derive(Clone, Debug)]
pub(crate) struct HeldRole {
    role: Arc<Entry<RoleFields>>,
    validity: Validity,
}

impl HeldRole {
    /// Tells apart what is compiled of it.
    pub(crate) fn mark(&self) -> String {
        let Validity { from, until } = self.validity;
        let micros = [from, until].map(|time| time.map(|time| time.timestamp_micros()));
        format!("{} {} {micros:?}", self.role.id, self.role.revision)
    }

    /// What it permits, as rules.
    pub(crate) fn policy(&self, grounds: &Grounds) -> Policy {
        of_role(&self.role.code, &self.role.fields.permissions, grounds, self.validity)
    }
}

/// What assignments give, of roles as they are: each role, and all above it. One that is not active or was deleted gives nothing, neither of its own
/// nor of what is above it.
pub(crate) fn held(given: &[(Uuid, Validity)], roles: Vec<Entry<RoleFields>>) -> Vec<HeldRole> {
    let roles: Vec<Arc<_>> = roles.into_iter().map(Arc::new).collect();
    let counting = |id: Uuid| {
        roles.iter().find(|role| role.id == id && role.fields.is_active && !role.is_deleted()).map(Arc::clone)
    };
    let mut all = Vec::new();
    for (id, validity) in given {
        // Rows that were put back to an older self can go in a circle.
        let mut seen = HashSet::new();
        let mut next = Some(*id);
        while let Some(role) = next.filter(|id| seen.insert(*id)).and_then(counting) {
            next = role.fields.parent_role_id;
            all.push(HeldRole { role, validity: *validity });
        }
    }
    all
}

impl Assignment {
    /// The role, and when it counts.
    pub(crate) fn given(&self) -> (Uuid, Validity) {
        (self.role_id, Validity { from: Some(self.valid_from), until: self.valid_until })
    }
}

impl Core {
    /// Refuses roles whose rows are not ours.
    pub(crate) async fn check_roles(&self, roles: &[Entry<RoleFields>]) -> Result<()> {
        for role in roles {
            let which = (roles::TABLE, role.organization_id, role.id);
            self.check_known_row(which, RoleFields::bound_bytes(role), role.row_mac).await?;
        }
        Ok(())
    }

    /// A role by its code with those above it, as somebody would have it who had it always. `None`: there is none.
    pub(crate) async fn held_role(&self, organization_id: Uuid, code: &str) -> Result<Option<Vec<HeldRole>>> {
        let found = self.store().entry::<RoleFields>(organization_id, code).await?;
        let Some(role) = found.filter(|role| !role.is_deleted()) else { return Ok(None) };
        let all = self.store().roles_above(organization_id, &[role.id]).await?;
        self.check_roles(&all).await?;
        Ok(Some(held(&[(role.id, Validity::default())], all)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn role(number: u128, above: Option<u128>, active: bool) -> Entry<RoleFields> {
        let fields = RoleFields {
            role_name: format!("R{number}"),
            description: None,
            permissions: serde_json::from_value(json!({"keys": ["sign"]})).expect("permissions"),
            parent_role_id: above.map(Uuid::from_u128),
            is_system_role: false,
            is_active: active,
        };
        Entry { id: Uuid::from_u128(number), ..Entry::new(Uuid::nil(), &format!("R{number}"), fields) }
    }

    fn codes(given: &[u128], roles: Vec<Entry<RoleFields>>) -> Vec<String> {
        let given: Vec<_> = given.iter().map(|id| (Uuid::from_u128(*id), Validity::default())).collect();
        held(&given, roles).iter().map(|held| held.role.code.clone()).collect()
    }

    #[test]
    fn a_role_gives_itself_and_all_above_it_as_far_as_they_count() {
        let chain = |active| vec![role(1, Some(2), true), role(2, Some(3), active), role(3, None, true)];
        assert_eq!(codes(&[1], chain(true)), ["R1", "R2", "R3"]);
        assert_eq!(codes(&[1], chain(false)), ["R1"], "an inactive one gives nothing, nor what is above it");
        assert_eq!(codes(&[3], chain(true)), ["R3"], "nobody has what is below");
        assert_eq!(codes(&[2, 3], chain(false)), ["R3"]);
        assert_eq!(codes(&[7], chain(true)), [""; 0]);
    }

    #[test]
    fn a_circle_ends() {
        assert_eq!(codes(&[1], vec![role(1, Some(2), true), role(2, Some(1), true)]), ["R1", "R2"]);
    }

    #[test]
    fn what_differs_in_role_revision_or_time_is_marked_apart() {
        let now = chrono::DateTime::<chrono::Utc>::UNIX_EPOCH;
        let of = |role: Entry<RoleFields>, validity| HeldRole { role: Arc::new(role), validity }.mark();
        let always = Validity::default();
        let marks = [
            of(role(1, None, true), always),
            of(role(2, None, true), always),
            of(Entry { revision: 5, ..role(1, None, true) }, always),
            of(role(1, None, true), Validity { from: Some(now), until: None }),
            of(role(1, None, true), Validity { from: None, until: Some(now) }),
        ];
        let distinct: HashSet<_> = marks.iter().collect();
        assert_eq!(distinct.len(), marks.len(), "{marks:?}");
    }
}
