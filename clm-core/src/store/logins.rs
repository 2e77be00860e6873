//! Whom a login has before it, as of one moment: tables `entity_aliases`, `entities`, `group_members`, `identity_groups`, `access_policies`.

use super::{Store, StoreError, access_policies, entities, entity_aliases, group_members, identity_groups};
use crate::identity::{Entity, EntityAlias, Group, GroupMember};
use uuid::Uuid;

/// Whoever comes, as a login method knows him.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comer<'c> {
    pub(crate) mount_id: Uuid,
    pub(crate) name: &'c str,
    /// The person, where it is one.
    pub(crate) user_id: Option<Uuid>,
    /// Names of groups there.
    pub(crate) groups: &'c [String],
    /// What the token is to have.
    pub(crate) policies: &'c [String],
}

/// Rows that say who that is; none of them looked at yet.
#[derive(Debug)]
pub(crate) struct LoginRows {
    pub(crate) alias: Option<EntityAlias>,
    /// The alias's, else the person's.
    pub(crate) entity: Option<Entity>,
    /// Those of the entity and of the groups that the login method names, and those of the groups above.
    pub(crate) memberships: Vec<GroupMember>,
    /// The groups that the login method names, and all that the memberships are in.
    pub(crate) groups: Vec<Group>,
    /// Those of the policies that there are.
    pub(crate) known_policies: Vec<String>,
}

impl Store {
    /// All that a login rests on beside what its own method looks at.
    pub(crate) async fn login_rows(&self, organization_id: Uuid, comer: Comer<'_>) -> Result<LoginRows, StoreError> {
        let Comer { mount_id, name, user_id, groups: names, policies } = comer;
        let mut transaction = self.tenant(organization_id).await?;
        let alias = entity_aliases::named(&mut transaction, organization_id, mount_id, name).await?;
        let entity = match (&alias, user_id) {
            (Some(alias), _) => entities::find(&mut transaction, alias.entity_id).await?,
            (None, Some(user_id)) => entities::of_user(&mut transaction, user_id).await?,
            (None, None) => None,
        };
        let named = if names.is_empty() {
            Vec::new()
        } else {
            identity_groups::ids_by_alias(&mut transaction, organization_id, mount_id, names).await?
        };
        let members: Vec<Uuid> = entity.iter().map(|entity| entity.id).chain(named.iter().copied()).collect();
        let memberships =
            if members.is_empty() { Vec::new() } else { group_members::held_by(&mut transaction, &members).await? };
        let ids: Vec<Uuid> = named.into_iter().chain(memberships.iter().map(|member| member.group_id)).collect();
        let groups = if ids.is_empty() { Vec::new() } else { identity_groups::find(&mut transaction, &ids).await? };
        let known_policies = if policies.is_empty() {
            Vec::new()
        } else {
            access_policies::known(&mut transaction, organization_id, policies).await?
        };
        transaction.commit().await?;
        Ok(LoginRows { alias, entity, memberships, groups, known_policies })
    }
}
