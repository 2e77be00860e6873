//! `identity/`: entities, their aliases, groups, and second factors.

mod alias;
mod entity;
mod group;
mod group_alias;
mod lookup;
mod mfa;

pub(super) use mfa::ROUTES as MFA;

use super::call::Call;
use super::parameters::Parameters;
use super::table::{Endpoint, Kind, Parameter, Route, Verb};
use crate::app::{Error, Result};
use Kind::{Boolean, List, Text, Texts};
use Verb::{Delete, Read, Write};
use clm_core::EntityName;
use uuid::Uuid;

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

const ENTITY: &[Parameter] = &[
    field("disabled", Boolean, "Whether its tokens are good for nothing"),
    field("id", Text, "One that is there"),
    field("metadata", Texts, "What to write on it"),
    field("name", Text, "Its name; else a random one"),
    field("policies", List, "Policies of all its tokens"),
];
const IDS: &[Parameter] = &[field("entity_ids", List, "Which ones").required()];
const MERGE: &[Parameter] = &[
    field("conflicting_alias_ids_to_keep", List, "Of two aliases of one login method, those that stay"),
    field("force", Boolean, "Of two second factors of one method, the target's stays; else they are refused"),
    field("from_entity_ids", List, "Those that are no more then").required(),
    field("to_entity_id", Text, "The one that they become").required(),
];
const ALIAS: &[Parameter] = &[
    field("canonical_id", Text, "The entity; else a new one"),
    field("custom_metadata", Texts, "What to write on it"),
    field("id", Text, "One that is there"),
    field("mount_accessor", Text, "The login method's accessor"),
    field("name", Text, "The name that the login method knows: a user name, a RoleID, …"),
];
const GROUP: &[Parameter] = &[
    field("id", Text, "One that is there"),
    field("member_entity_ids", List, "Entities in it; of an external one its login method says"),
    field("member_group_ids", List, "Groups in it"),
    field("metadata", Texts, "What to write on it"),
    field("name", Text, "Its name; else a random one"),
    field("policies", List, "Policies of all who are in it"),
    field("type", Text, "internal or external"),
];
const GROUP_ALIAS: &[Parameter] = &[
    field("canonical_id", Text, "The external group"),
    field("id", Text, "One that is there"),
    field("mount_accessor", Text, "The login method's accessor"),
    field("name", Text, "The group's name there"),
];
const LOOKUP: &[Parameter] = &[
    field("alias_id", Text, "By an alias of it"),
    field("alias_mount_accessor", Text, "With alias_name: the login method's accessor"),
    field("alias_name", Text, "By the name that a login method knows"),
    field("id", Text, "By its id"),
    field("name", Text, "By its name"),
];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "entity",
        endpoints: &[Endpoint::new(Write, "entity-write", "Make an entity, or change one", |call| {
            Box::pin(entity::write(call))
        })
        .with(ENTITY)],
    },
    Route {
        pattern: "entity/id",
        endpoints: &[Endpoint::new(Verb::List, "entity-list", "Ids of all entities", |call| {
            Box::pin(entity::list_ids(call))
        })],
    },
    Route {
        pattern: "entity/id/{id}",
        endpoints: &[
            Endpoint::new(Read, "entity-read", "An entity with its aliases and groups", |call| {
                Box::pin(entity::read(call))
            }),
            Endpoint::new(Write, "entity-write-by-id", "Change an entity", |call| Box::pin(entity::write_by_id(call)))
                .with(ENTITY),
            Endpoint::new(Delete, "entity-delete", "Delete an entity; its tokens are good for nothing then", |call| {
                Box::pin(entity::delete(call))
            }),
        ],
    },
    Route {
        pattern: "entity/name",
        endpoints: &[Endpoint::new(Verb::List, "entity-list-names", "Names of all entities", |call| {
            Box::pin(entity::list_names(call))
        })],
    },
    Route {
        pattern: "entity/name/{+name}",
        endpoints: &[
            Endpoint::new(Read, "entity-read-by-name", "An entity with its aliases and groups", |call| {
                Box::pin(entity::read_by_name(call))
            }),
            Endpoint::new(Write, "entity-write-by-name", "Make an entity, or change one", |call| {
                Box::pin(entity::write_by_name(call))
            })
            .with(ENTITY),
            Endpoint::new(Delete, "entity-delete-by-name", "Delete an entity", |call| {
                Box::pin(entity::delete_by_name(call))
            }),
        ],
    },
    Route {
        pattern: "entity/batch-delete",
        endpoints: &[Endpoint::new(Write, "entity-batch-delete", "Delete entities, one after the other", |call| {
            Box::pin(entity::batch_delete(call))
        })
        .with(IDS)],
    },
    Route {
        pattern: "entity/merge",
        endpoints: &[Endpoint::new(Write, "entity-merge", "Make one entity of several", |call| {
            Box::pin(entity::merge(call))
        })
        .with(MERGE)],
    },
    Route {
        pattern: "entity-alias",
        endpoints: &[Endpoint::new(
            Write,
            "entity-alias-write",
            "Tell by which name a login method knows an entity",
            |call| Box::pin(alias::write(call)),
        )
        .with(ALIAS)],
    },
    Route {
        pattern: "entity-alias/id",
        endpoints: &[Endpoint::new(Verb::List, "entity-alias-list", "Ids of all aliases", |call| {
            Box::pin(alias::list(call))
        })],
    },
    Route {
        pattern: "entity-alias/id/{id}",
        endpoints: &[
            Endpoint::new(Read, "entity-alias-read", "An alias", |call| Box::pin(alias::read(call))),
            Endpoint::new(Write, "entity-alias-write-by-id", "Change an alias", |call| Box::pin(alias::write(call)))
                .with(ALIAS),
            Endpoint::new(Delete, "entity-alias-delete", "Delete an alias", |call| Box::pin(alias::delete(call))),
        ],
    },
    Route {
        pattern: "group",
        endpoints: &[Endpoint::new(Write, "group-write", "Make a group, or change one", |call| {
            Box::pin(group::write(call))
        })
        .with(GROUP)],
    },
    Route {
        pattern: "group/id",
        endpoints: &[Endpoint::new(Verb::List, "group-list", "Ids of all groups", |call| {
            Box::pin(group::list_ids(call))
        })],
    },
    Route {
        pattern: "group/id/{id}",
        endpoints: &[
            Endpoint::new(Read, "group-read", "A group with those in it", |call| Box::pin(group::read(call))),
            Endpoint::new(Write, "group-write-by-id", "Change a group", |call| Box::pin(group::write_by_id(call)))
                .with(GROUP),
            Endpoint::new(Delete, "group-delete", "Delete a group", |call| Box::pin(group::delete(call))),
        ],
    },
    Route {
        pattern: "group/name",
        endpoints: &[Endpoint::new(Verb::List, "group-list-names", "Names of all groups", |call| {
            Box::pin(group::list_names(call))
        })],
    },
    Route {
        pattern: "group/name/{+name}",
        endpoints: &[
            Endpoint::new(Read, "group-read-by-name", "A group with those in it", |call| {
                Box::pin(group::read_by_name(call))
            }),
            Endpoint::new(Write, "group-write-by-name", "Make a group, or change one", |call| {
                Box::pin(group::write_by_name(call))
            })
            .with(GROUP),
            Endpoint::new(Delete, "group-delete-by-name", "Delete a group", |call| {
                Box::pin(group::delete_by_name(call))
            }),
        ],
    },
    Route {
        pattern: "group-alias",
        endpoints: &[Endpoint::new(
            Write,
            "group-alias-write",
            "Tell by which name a login method knows a group",
            |call| Box::pin(group_alias::write(call)),
        )
        .with(GROUP_ALIAS)],
    },
    Route {
        pattern: "group-alias/id",
        endpoints: &[Endpoint::new(Verb::List, "group-alias-list", "Ids of all aliases of groups", |call| {
            Box::pin(group_alias::list(call))
        })],
    },
    Route {
        pattern: "group-alias/id/{id}",
        endpoints: &[
            Endpoint::new(Read, "group-alias-read", "An alias of a group", |call| Box::pin(group_alias::read(call))),
            Endpoint::new(Write, "group-alias-write-by-id", "Change an alias of a group", |call| {
                Box::pin(group_alias::write(call))
            })
            .with(GROUP_ALIAS),
            Endpoint::new(Delete, "group-alias-delete", "Delete an alias of a group", |call| {
                Box::pin(group_alias::delete(call))
            }),
        ],
    },
    Route {
        pattern: "lookup/entity",
        endpoints: &[Endpoint::new(Write, "entity-look-up", "Find an entity", |call| Box::pin(lookup::entity(call)))
            .with(LOOKUP)
            .audited(false)],
    },
    Route {
        pattern: "lookup/group",
        endpoints: &[Endpoint::new(Write, "group-look-up", "Find a group", |call| Box::pin(lookup::group(call)))
            .with(LOOKUP)
            .audited(false)],
    },
];

/// What a write to the collection speaks of: the one with that id, which may get the name; else the one of that name; else a new one.
fn written(parameters: &Parameters) -> Result<(EntityName, Option<String>)> {
    Ok(match (given_id(parameters, "id")?, given(parameters, "name")?) {
        (Some(id), name) => (EntityName::Id(id), name),
        (None, Some(name)) => (EntityName::Name(name), None),
        (None, None) => (EntityName::Random, None),
    })
}

/// The id in the path. A text that is none names nothing, as an id does that nobody has.
fn captured_id(call: &Call) -> Option<Uuid> {
    Uuid::try_parse(call.capture("id")).ok()
}

/// A field that is there and not empty.
fn given(parameters: &Parameters, name: &str) -> Result<Option<String>> {
    Ok(parameters.text(name)?.filter(|text| !text.is_empty()))
}

fn id(text: &str, what: &str) -> Result<Uuid> {
    Uuid::try_parse(text).map_err(|_| Error::invalid(format!("invalid {what}: {text:?} is no UUID")))
}

fn given_id(parameters: &Parameters, name: &str) -> Result<Option<Uuid>> {
    given(parameters, name)?.map(|text| id(&text, name)).transpose()
}

fn given_ids(parameters: &Parameters, name: &str) -> Result<Option<Vec<Uuid>>> {
    let ids = parameters.list(name)?;
    ids.map(|ids| ids.iter().map(|text| id(text, name)).collect()).transpose()
}
