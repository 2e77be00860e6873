//! Entities that turn out to be one.

use super::{Entity, EntityAlias, GroupMember};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::mfa::MergedFactors;
use crate::record::add_rows;
use crate::store::{entities, entity_aliases, group_members};
use audit_chain::{Caller, Value};
use uuid::Uuid;

/// Fields of `POST identity/entity/merge`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the words are the API's")]
pub struct EntityMerge {
    pub from_entity_ids: Vec<Uuid>,
    pub to_entity_id: Uuid,
    /// Of two aliases of one login method, those that stay.
    pub conflicting_alias_ids_to_keep: Vec<Uuid>,
    /// Of two second factors of one method one goes, and not the target's; else such entities are not merged.
    pub force: bool,
}

/// Rows that a merge writes.
struct Merged {
    gone: Vec<Entity>,
    dropped: Vec<EntityAlias>,
    moved: Vec<EntityAlias>,
    joined: Vec<GroupMember>,
    factors: MergedFactors,
    to: Entity,
}

impl Core {
    /// Gives one entity the aliases, policies, groups and second factors of others, which are no more: their tokens are the one's.
    pub async fn merge_entities(&self, caller: &Caller, merge: &EntityMerge) -> Result<()> {
        for _ in 0..super::ATTEMPTS {
            match self.merge_once(caller, merge).await {
                Err(Error::Conflict(_)) => {}
                other => {
                    let ids = merge.from_entity_ids.iter().chain([&merge.to_entity_id]);
                    ids.for_each(|id| self.cache().forget(*id));
                    return other;
                }
            }
        }
        Err(Error::Conflict("entity"))
    }

    async fn merge_once(&self, caller: &Caller, merge: &EntityMerge) -> Result<()> {
        let merged = self.merged(caller.organization_id, merge).await?;
        let who = ("entity", Some(merge.to_entity_id.to_string()));
        let mut event = self.event(caller, "entity.merge", "user_management", who, "merge");
        let from = merge.from_entity_ids.iter().map(|id| Value::Text(id.to_string().into())).collect();
        event.data.insert("from_entity_ids".into(), Value::List(from));
        event.data.insert("force".into(), Value::Bool(merge.force));
        self.change(caller.organization_id, move |connection| {
            Box::pin(async move {
                let Merged { gone, dropped, moved, joined, factors, to } = merged;
                let all: Vec<Uuid> = gone.iter().map(|entity| entity.id).chain([to.id]).collect();
                entities::hold(connection, &all).await?;
                let mut rows = factors.write(connection, &all).await?;
                for alias in &dropped {
                    rows.push(entity_aliases::delete(connection, alias).await?);
                }
                for alias in &moved {
                    entity_aliases::put(connection, alias).await?;
                    rows.push((entity_aliases::TABLE, alias.id, alias.revision, alias.row_mac));
                }
                for member in &joined {
                    group_members::insert(connection, member).await?;
                    rows.push((group_members::TABLE, member.id, member.revision, member.row_mac));
                }
                for entity in &gone {
                    rows.extend(group_members::delete_of(connection, entity.id).await?);
                    rows.push(entities::delete(connection, entity).await?);
                }
                entities::put(connection, &to).await?;
                rows.push((entities::TABLE, to.id, to.revision, to.row_mac));
                add_rows(&mut event, rows);
                Ok(((), event))
            })
        })
        .await
    }

    async fn merged(&self, organization_id: Uuid, merge: &EntityMerge) -> Result<Merged> {
        if merge.from_entity_ids.is_empty() {
            return Err(Error::invalid("entity ids from which to merge is empty"));
        }
        let to = self.persona(organization_id, merge.to_entity_id).await?;
        let to = to.filter(|to| to.entity.id == merge.to_entity_id);
        let to = to.ok_or_else(|| Error::invalid("entity id to merge to is invalid"))?;
        let mut aliases = to.aliases.clone();
        let mut merged = Merged {
            gone: Vec::new(),
            dropped: Vec::new(),
            moved: Vec::new(),
            joined: Vec::new(),
            factors: MergedFactors::default(),
            to: to.entity,
        };
        let mut groups = to.direct_group_ids.clone();
        for (at, id) in merge.from_entity_ids.iter().enumerate() {
            // One that is named twice is one.
            if merge.from_entity_ids[..at].contains(id) {
                continue;
            }
            if *id == merged.to.id {
                return Err(Error::invalid("to_entity_id should not be present in from_entity_ids"));
            }
            let from = self.persona(organization_id, *id).await?.filter(|from| from.entity.id == *id);
            let from = from.ok_or_else(|| Error::invalid("entity id to merge from is invalid"))?;
            if from.entity.disabled && !merged.to.disabled {
                return Err(Error::invalid(format!(
                    "entity {id} is disabled and entity {} is not: its tokens would be good again; enable the one, or disable the other, before they are merged",
                    merged.to.id
                )));
            }
            for alias in from.aliases {
                self.place(alias, &mut aliases, &mut merged, &merge.conflicting_alias_ids_to_keep)?;
            }
            for group in from.groups.iter().filter(|group| from.direct_group_ids.contains(&group.id)) {
                if !groups.contains(&group.id) {
                    groups.push(group.id);
                    merged.joined.push(self.new_member(group, Some(merged.to.id), None).await?);
                }
            }
            if from.entity.user_id.is_some() && merged.to.user_id.is_some() {
                return Err(Error::invalid("both entities are people with passwords of their own: they stay two"));
            }
            merged.to.user_id = merged.to.user_id.or(from.entity.user_id);
            merged.to.policies.extend(from.entity.policies.iter().cloned());
            merged.to.merged_entity_ids.extend(from.entity.merged_entity_ids.iter().copied().chain([*id]));
            merged.gone.push(from.entity);
        }
        let gone: Vec<Uuid> = merged.gone.iter().map(|entity| entity.id).collect();
        merged.factors = self.merged_factors(organization_id, (&gone, merged.to.id), merge.force).await?;
        merged.to.policies.sort_unstable();
        merged.to.policies.dedup();
        merged.to.last_update_time = self.now();
        merged.to = self.next_entity(merged.to).await?;
        let mut moved = Vec::new();
        for alias in std::mem::take(&mut merged.moved) {
            moved.push(self.next_alias(alias).await?);
        }
        merged.moved = moved;
        Ok(merged)
    }

    /// Of two aliases of one login method one stays.
    fn place(&self, alias: EntityAlias, held: &mut Vec<EntityAlias>, merged: &mut Merged, keep: &[Uuid]) -> Result<()> {
        let mut moved = EntityAlias { entity_id: merged.to.id, ..alias.clone() };
        moved.merged_from_entity_ids.push(alias.entity_id);
        match held.iter().position(|other| other.mount_id == alias.mount_id) {
            None => {
                held.push(alias);
                merged.moved.push(moved);
            }
            Some(at) if keep.contains(&held[at].id) => merged.dropped.push(alias),
            Some(at) if keep.contains(&alias.id) => {
                let other = held[at].clone();
                held[at] = alias;
                // It came by this merge, or was there.
                merged.moved.retain(|moved| moved.id != other.id);
                merged.dropped.push(other);
                merged.moved.push(moved);
            }
            Some(at) => {
                return Err(Error::invalid(format!(
                    "toEntity and at least one fromEntity have aliases with the same mount: name one of {} and {} in conflicting_alias_ids_to_keep",
                    held[at].id, alias.id
                )));
            }
        }
        Ok(())
    }
}
