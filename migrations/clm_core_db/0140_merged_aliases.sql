-- Where an alias came from: entities that became one leave their aliases to it, and reading an alias tells whose it was.

ALTER TABLE entity_aliases ADD COLUMN merged_from_entity_ids uuid[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN entity_aliases.merged_from_entity_ids IS 'Entities that it came from when they became another, the last one last. Under row_mac where there are any.';
