//! Making and changing groups.

use super::group::{EXTERNAL, INTERNAL};
use super::{ATTEMPTS, EntityName, Group, GroupMember, checked_name, checked_policies};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::record::add_rows;
use crate::store::{StoreError, group_members, identity_groups};
use audit_chain::{Caller, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Fields of `POST identity/group`; `None`: as it is.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct GroupChange {
    /// Another name, of a group found by its id.
    pub name: Option<String>,
    /// `internal` or `external`; when the group is made.
    pub group_type: Option<String>,
    pub metadata: Option<BTreeMap<String, String>>,
    pub policies: Option<Vec<String>>,
    /// All of them.
    pub member_entity_ids: Option<Vec<Uuid>>,
    /// All of them.
    pub member_group_ids: Option<Vec<Uuid>>,
}

/// What a change does to those who are in a group.
#[derive(Default)]
struct Moves {
    come: Vec<GroupMember>,
    go: Vec<GroupMember>,
}

impl Core {
    /// Makes a group or changes what is named; `true`: it is new. Tokens of whoever comes or goes follow at once.
    pub async fn put_group(&self, caller: &Caller, which: EntityName, change: GroupChange) -> Result<(Group, bool)> {
        for _ in 0..ATTEMPTS {
            match self.put_group_once(caller, &which, &change).await {
                Err(Error::Conflict(_)) => {}
                Err(Error::Database(StoreError::Taken { constraint })) if constraint.contains("_name_key") => {
                    if matches!(which, EntityName::Id(_)) {
                        return Err(Error::invalid("the name belongs to another group"));
                    }
                }
                Err(Error::Database(StoreError::Taken { .. })) => {}
                other => return other,
            }
        }
        Err(Error::Conflict("group"))
    }

    async fn put_group_once(&self, caller: &Caller, which: &EntityName, change: &GroupChange) -> Result<(Group, bool)> {
        let organization_id = caller.organization_id;
        let id = match which {
            EntityName::Id(id) => Some(*id),
            EntityName::Name(name) => self.store().group_id(organization_id, Some(name), None).await?,
            EntityName::Random => None,
        };
        let found = match id {
            Some(id) => self.group_view(organization_id, id).await?,
            None => None,
        };
        if found.is_none() && matches!(which, EntityName::Id(_)) {
            return Err(Error::invalid("invalid group ID"));
        }
        let now = self.now();
        let is_new = found.is_none();
        let (old, members) = found.map(|view| (view.group, view.members)).unzip();
        let mut group = match old {
            Some(group) => group,
            None => new_group(organization_id, which, change, now)?,
        };
        if let Some(name) = change.name.as_ref().filter(|name| !name.is_empty()) {
            group.name.clone_from(name);
        }
        checked_name(&group.name, "a group")?;
        if change.group_type.as_ref().is_some_and(|wanted| !wanted.is_empty() && *wanted != group.group_type) {
            return Err(Error::invalid("group type cannot be changed"));
        }
        if let Some(metadata) = &change.metadata {
            group.metadata = Some(sqlx::types::Json(metadata.clone()));
        }
        if let Some(policies) = &change.policies {
            group.policies = checked_policies(policies)?;
        }
        group.last_update_time = now;
        let moves = self.moves(&group, &members.unwrap_or_default(), change).await?;
        let group = self.next_group(group).await?;
        self.write_group(caller, &group, moves, is_new).await?;
        Ok((group, is_new))
    }

    async fn moves(&self, group: &Group, members: &[GroupMember], change: &GroupChange) -> Result<Moves> {
        let mut moves = Moves::default();
        if let Some(wanted) = &change.member_entity_ids {
            if group.group_type == EXTERNAL && !wanted.is_empty() {
                return Err(Error::invalid("member entities can't be set manually for external groups"));
            }
            // Who is in an external group, its login method says.
            if group.group_type == INTERNAL {
                self.entity_moves(group, members, wanted, &mut moves).await?;
            }
        }
        if let Some(wanted) = &change.member_group_ids {
            if group.group_type == EXTERNAL && !wanted.is_empty() {
                return Err(Error::invalid("member groups can't be set for external groups"));
            }
            self.group_moves(group, members, wanted, &mut moves).await?;
        }
        Ok(moves)
    }

    async fn entity_moves(
        &self,
        group: &Group,
        members: &[GroupMember],
        wanted: &[Uuid],
        moves: &mut Moves,
    ) -> Result<()> {
        let mut there = Vec::new();
        for member in members {
            let Some(id) = member.member_entity_id else { continue };
            if wanted.contains(&id) { there.push(id) } else { moves.go.push(member.clone()) }
        }
        for id in wanted {
            if there.contains(id) {
                continue;
            }
            let entity = self.entity(group.organization_id, *id).await?.filter(|entity| entity.id == *id);
            if entity.is_none() {
                return Err(Error::invalid(format!("invalid entity ID {id}")));
            }
            there.push(*id);
            moves.come.push(self.new_member(group, Some(*id), None).await?);
        }
        Ok(())
    }

    async fn group_moves(
        &self,
        group: &Group,
        members: &[GroupMember],
        wanted: &[Uuid],
        moves: &mut Moves,
    ) -> Result<()> {
        let mut there = Vec::new();
        for member in members {
            let Some(id) = member.member_group_id else { continue };
            if wanted.contains(&id) { there.push(id) } else { moves.go.push(member.clone()) }
        }
        let above = self.store().memberships(group.organization_id, group.id).await?;
        for id in wanted {
            if there.contains(id) {
                continue;
            }
            if *id == group.id || above.iter().any(|member| member.group_id == *id) {
                return Err(StoreError::GroupCircle.into());
            }
            if self.group(group.organization_id, *id).await?.is_none() {
                return Err(Error::invalid(format!("invalid group ID {id}")));
            }
            there.push(*id);
            moves.come.push(self.new_member(group, None, Some(*id)).await?);
        }
        Ok(())
    }

    async fn write_group(&self, caller: &Caller, group: &Group, moves: Moves, is_new: bool) -> Result<()> {
        let who = ("group", Some(group.id.to_string()));
        let action = if is_new { "create" } else { "update" };
        let mut event = self.event(caller, "group.write", "user_management", who, action);
        event.data.insert("name".into(), Value::Text(group.name.clone().into()));
        let concerned: Vec<Uuid> = moves
            .come
            .iter()
            .chain(&moves.go)
            .filter_map(|member| member.member_entity_id.or(member.member_group_id))
            .chain([group.id])
            .collect();
        let row = group.clone();
        let nests = moves.come.iter().any(|member| member.member_group_id.is_some());
        self.change(group.organization_id, move |connection| {
            Box::pin(async move {
                if nests {
                    group_members::alone(connection).await?;
                }
                let mut rows = vec![(identity_groups::TABLE, row.id, row.revision, row.row_mac)];
                identity_groups::put(connection, &row).await?;
                let going: Vec<Uuid> = moves.go.iter().map(|member| member.id).collect();
                rows.extend(group_members::delete(connection, &going).await?);
                for member in &moves.come {
                    group_members::insert(connection, member).await?;
                    rows.push((group_members::TABLE, member.id, member.revision, member.row_mac));
                }
                if nests {
                    group_members::expect_no_circle(connection, row.id).await?;
                }
                add_rows(&mut event, rows);
                Ok(((), event))
            })
        })
        .await?;
        concerned.into_iter().for_each(|id| self.cache().forget(id));
        Ok(())
    }
}

fn new_group(
    organization_id: Uuid,
    which: &EntityName,
    change: &GroupChange,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Group> {
    let group_type = match change.group_type.as_deref() {
        None | Some("" | INTERNAL) => INTERNAL,
        Some(EXTERNAL) => EXTERNAL,
        Some(other) => {
            return Err(Error::invalid(format!("invalid group type {other:?}: {INTERNAL} or {EXTERNAL}")));
        }
    };
    let name = match which {
        EntityName::Name(name) => name.clone(),
        _ => format!("group_{}", hex::encode(&Uuid::new_v4().as_bytes()[..4])),
    };
    Ok(Group {
        id: Uuid::new_v4(),
        organization_id,
        name,
        group_type: group_type.to_owned(),
        metadata: None,
        policies: Vec::new(),
        alias_id: None,
        alias_mount_id: None,
        alias_name: None,
        creation_time: now,
        last_update_time: now,
        revision: 0,
        row_mac: [0; 32],
    })
}
