//! Whom a login has before it, as of one moment: tables `entity_aliases`, `entities`, `group_members`, `identity_groups`, `access_policies`,
//! and `app_role_secret_ids` of those that come with one.

use super::{Store, StoreError, app_role_secret_ids, entities, group_members, identity_groups};
use crate::approle::SecretId;
use crate::identity::{Entity, EntityAlias, Group, GroupMember, Texts};
use sqlx::PgConnection;
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
#[derive(Clone, Debug)]
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
        let mut transaction = self.tenant(organization_id).await?;
        let rows = met(&mut transaction, organization_id, comer).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// A SecretID by the HMAC of its text; where it is one of the role's, whoever comes with it, too.
    pub(crate) async fn secret_id_and_login_rows(
        &self,
        organization_id: Uuid,
        hash: [u8; 32],
        role: Option<(Uuid, Comer<'_>)>,
    ) -> Result<Option<(SecretId, LoginRows)>, StoreError> {
        let mut transaction = self.tenant(organization_id).await?;
        let secret = app_role_secret_ids::hashed(&mut transaction, organization_id, hash).await?;
        let found = match (secret, role) {
            (Some(secret), Some((role_id, comer))) if secret.app_role_id == role_id => {
                Some((secret, met(&mut transaction, organization_id, comer).await?))
            }
            _ => None,
        };
        transaction.commit().await?;
        Ok(found)
    }
}

/// One statement for whom a login method knows and who is in no group; more for the others.
async fn met(connection: &mut PgConnection, organization_id: Uuid, comer: Comer<'_>) -> Result<LoginRows, StoreError> {
    let Comer { mount_id, user_id, groups: names, .. } = comer;
    let found = known(connection, organization_id, comer).await?;
    let (alias, mut entity, mut is_member) = (found.alias, found.entity, found.is_member);
    // An alias is never without its entity.
    if let (None, Some(user_id)) = (&alias, user_id) {
        entity = entities::of_user(connection, user_id).await?;
        is_member = entity.is_some();
    }
    let named = if names.is_empty() {
        Vec::new()
    } else {
        identity_groups::ids_by_alias(connection, organization_id, mount_id, names).await?
    };
    let members: Vec<Uuid> =
        entity.iter().filter(|_| is_member).map(|entity| entity.id).chain(named.iter().copied()).collect();
    let memberships =
        if members.is_empty() { Vec::new() } else { group_members::held_by(connection, &members).await? };
    let ids: Vec<Uuid> = named.into_iter().chain(memberships.iter().map(|member| member.group_id)).collect();
    let groups = if ids.is_empty() { Vec::new() } else { identity_groups::find(connection, &ids).await? };
    Ok(LoginRows { alias, entity, memberships, groups, known_policies: found.policies })
}

/// What one statement tells of a name.
struct Known {
    alias: Option<EntityAlias>,
    /// The alias's.
    entity: Option<Entity>,
    /// Of any group; `false` where there is no entity.
    is_member: bool,
    /// Those of the policies that there are.
    policies: Vec<String>,
}

async fn known(
    connection: &mut PgConnection,
    organization_id: Uuid,
    Comer { mount_id, name, policies, .. }: Comer<'_>,
) -> Result<Known, StoreError> {
    // With the limit the entity is looked up by its id, also where PostgreSQL has not counted the rows yet and thinks that there are few.
    let row = sqlx::query!(
        r#"SELECT a.id AS "alias_id?", a.entity_id AS "of_entity?", a.metadata AS "alias_metadata: Texts", a.custom_metadata AS "custom_metadata: Texts",
         a.group_names, a.merged_from_entity_ids AS "merged_from_entity_ids?", a.creation_time AS "alias_creation_time?", a.last_update_time AS "alias_last_update_time?",
         a.revision AS "alias_revision?", a.row_mac AS "alias_row_mac?: [u8; 32]",
         e.id AS "entity_id?", e.user_id, e.name AS "name?", e.metadata AS "metadata: Texts", e.policies AS "policies?",
         e.disabled AS "disabled?", e.merged_entity_ids AS "merged_entity_ids?", e.creation_time AS "creation_time?",
         e.last_update_time AS "last_update_time?", e.revision AS "revision?", e.row_mac AS "row_mac?: [u8; 32]",
         EXISTS (SELECT FROM group_members WHERE member_entity_id = e.id) AS "is_member!",
         ARRAY(SELECT name FROM access_policies WHERE organization_id = $1 AND name = ANY($4)) AS "known_policies!"
         FROM (SELECT) AS one
         LEFT JOIN entity_aliases a ON a.organization_id = $1 AND a.mount_id = $2 AND a.name = $3
         LEFT JOIN LATERAL (SELECT * FROM entities WHERE id = a.entity_id LIMIT 1) e ON true"#,
        organization_id,
        mount_id,
        name,
        policies
    )
    .fetch_one(connection)
    .await?;
    let alias = || {
        Some(EntityAlias {
            id: row.alias_id?,
            organization_id,
            entity_id: row.of_entity?,
            mount_id,
            name: name.to_owned(),
            metadata: row.alias_metadata.clone(),
            custom_metadata: row.custom_metadata.clone(),
            group_names: row.group_names.clone(),
            merged_from_entity_ids: row.merged_from_entity_ids.clone()?,
            creation_time: row.alias_creation_time?,
            last_update_time: row.alias_last_update_time?,
            revision: row.alias_revision?,
            row_mac: row.alias_row_mac?,
        })
    };
    let entity = || {
        Some(Entity {
            id: row.entity_id?,
            organization_id,
            user_id: row.user_id,
            name: row.name.clone()?,
            metadata: row.metadata.clone(),
            policies: row.policies.clone()?,
            disabled: row.disabled?,
            merged_entity_ids: row.merged_entity_ids.clone()?,
            creation_time: row.creation_time?,
            last_update_time: row.last_update_time?,
            revision: row.revision?,
            row_mac: row.row_mac?,
        })
    };
    Ok(Known { alias: alias(), entity: entity(), is_member: row.is_member, policies: row.known_policies })
}
