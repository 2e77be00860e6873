-- Who somebody is, whatever way was used to log in: entities, the names by which login methods know them, groups.

CREATE TABLE entities (
    id                uuid        PRIMARY KEY,
    organization_id   uuid        NOT NULL REFERENCES organizations (id),
    user_id           uuid        UNIQUE REFERENCES users (id),
    name              text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 512),
    metadata          jsonb       CHECK (jsonb_typeof(metadata) = 'object'),
    policies          text[]      NOT NULL DEFAULT '{}',
    disabled          boolean     NOT NULL DEFAULT false,
    merged_entity_ids uuid[]      NOT NULL DEFAULT '{}',
    creation_time     timestamptz NOT NULL,
    last_update_time  timestamptz NOT NULL,
    revision          bigint      NOT NULL CHECK (revision > 0),
    row_mac           bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    UNIQUE (organization_id, name)
);
CREATE INDEX entities_merged_entity_ids ON entities USING gin (merged_entity_ids) WHERE merged_entity_ids <> '{}';
COMMENT ON TABLE entities IS 'People and programs: what they may do wherever they log in.';
COMMENT ON COLUMN entities.user_id IS 'The person, where it is one: there is no second list of people.';
COMMENT ON COLUMN entities.merged_entity_ids IS 'Entities that became this one: their tokens are this one''s.';

CREATE TABLE entity_aliases (
    id               uuid        PRIMARY KEY,
    organization_id  uuid        NOT NULL REFERENCES organizations (id),
    entity_id        uuid        NOT NULL REFERENCES entities (id),
    mount_id         uuid        NOT NULL,
    name             text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 512),
    metadata         jsonb       CHECK (jsonb_typeof(metadata) = 'object'),
    custom_metadata  jsonb       CHECK (jsonb_typeof(custom_metadata) = 'object'),
    creation_time    timestamptz NOT NULL,
    last_update_time timestamptz NOT NULL,
    revision         bigint      NOT NULL CHECK (revision > 0),
    row_mac          bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    UNIQUE (organization_id, mount_id, name),
    UNIQUE (entity_id, mount_id)
);
CREATE INDEX entity_aliases_mount_id ON entity_aliases (mount_id);
COMMENT ON TABLE entity_aliases IS 'By which name which login method knows an entity.';
COMMENT ON COLUMN entity_aliases.mount_id IS 'The login method; auth/token is in no row of mounts.';

CREATE TABLE identity_groups (
    id               uuid        PRIMARY KEY,
    organization_id  uuid        NOT NULL REFERENCES organizations (id),
    name             text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 512),
    type             text        NOT NULL CHECK (type IN ('internal', 'external')),
    metadata         jsonb       CHECK (jsonb_typeof(metadata) = 'object'),
    policies         text[]      NOT NULL DEFAULT '{}',
    alias_id         uuid        UNIQUE,
    alias_mount_id   uuid,
    alias_name       text        CHECK (char_length(alias_name) BETWEEN 1 AND 512),
    creation_time    timestamptz NOT NULL,
    last_update_time timestamptz NOT NULL,
    revision         bigint      NOT NULL CHECK (revision > 0),
    row_mac          bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    UNIQUE (organization_id, name),
    UNIQUE (organization_id, alias_mount_id, alias_name),
    CHECK ((alias_id IS NULL) = (alias_mount_id IS NULL) AND (alias_id IS NULL) = (alias_name IS NULL)),
    CHECK (type = 'external' OR alias_id IS NULL)
);
CREATE INDEX identity_groups_alias_mount_id ON identity_groups (alias_mount_id) WHERE alias_mount_id IS NOT NULL;
COMMENT ON TABLE identity_groups IS 'Groups of entities and of groups; the members of an external one are those whom its login method names.';
COMMENT ON COLUMN identity_groups.alias_mount_id IS 'The login method that names members of an external group, by alias_name.';

CREATE TABLE group_members (
    id               uuid   PRIMARY KEY,
    organization_id  uuid   NOT NULL REFERENCES organizations (id),
    group_id         uuid   NOT NULL REFERENCES identity_groups (id),
    member_entity_id uuid   REFERENCES entities (id),
    member_group_id  uuid   REFERENCES identity_groups (id) CHECK (member_group_id <> group_id),
    revision         bigint NOT NULL CHECK (revision > 0),
    row_mac          bytea  NOT NULL CHECK (octet_length(row_mac) = 32),
    UNIQUE (group_id, member_entity_id),
    UNIQUE (group_id, member_group_id),
    CHECK (num_nonnulls(member_entity_id, member_group_id) = 1)
);
CREATE INDEX group_members_organization_id ON group_members (organization_id);
CREATE INDEX group_members_member_entity_id ON group_members (member_entity_id) WHERE member_entity_id IS NOT NULL;
CREATE INDEX group_members_member_group_id ON group_members (member_group_id) WHERE member_group_id IS NOT NULL;
COMMENT ON TABLE group_members IS 'Who is in which group, directly.';

ALTER TABLE tokens ADD COLUMN entity_id uuid;
COMMENT ON COLUMN tokens.entity_id IS 'Who bears it. No foreign key: an entity that is gone leaves its tokens, which are good for nothing from then on.';

-- What concerns somebody names him, not the row: servers forget what the tokens of an entity, or of all in a group, may do.
CREATE FUNCTION notify_changed_of() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := to_jsonb(coalesce(NEW, OLD));
BEGIN
    PERFORM pg_notify('clm_core_changed', concat_ws(' ', TG_TABLE_NAME, changed ->> 'organization_id', coalesce(changed ->> TG_ARGV[0], changed ->> TG_ARGV[1])));
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION notify_changed_of() FROM PUBLIC;

-- A new entity or group has no tokens, and no members.
CREATE TRIGGER changed AFTER UPDATE OR DELETE ON entities FOR EACH ROW EXECUTE FUNCTION notify_changed();
CREATE TRIGGER changed AFTER UPDATE OR DELETE ON identity_groups FOR EACH ROW EXECUTE FUNCTION notify_changed();
-- The first alias of an entity comes with it; of later ones the entity's row tells.
CREATE TRIGGER changed AFTER UPDATE OR DELETE ON entity_aliases FOR EACH ROW EXECUTE FUNCTION notify_changed_of('entity_id');
CREATE TRIGGER changed AFTER INSERT OR DELETE ON group_members FOR EACH ROW EXECUTE FUNCTION notify_changed_of('member_entity_id', 'member_group_id');

DO $$
DECLARE
    tenant_table text;
    own text := '(organization_id = nullif(current_setting(''clm.organization_id'', true), '''')::uuid)';
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['entities', 'entity_aliases', 'identity_groups', 'group_members'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant ON %I TO clm_core_app USING %s', tenant_table, own);
        EXECUTE format('CREATE POLICY everything ON %I FOR SELECT TO clm_backup, clm_auditor, clm_migrate USING (true)', tenant_table);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO clm_core_app', tenant_table);
        EXECUTE format('GRANT SELECT ON %I TO clm_backup', tenant_table);
        EXECUTE format('GRANT SELECT (id, organization_id, revision, row_mac) ON %I TO clm_auditor', tenant_table);
    END LOOP;
END
$$;
