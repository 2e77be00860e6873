-- The other indexes of the inventory leave out what was deleted, so none of them serves the foreign key.
CREATE INDEX certificate_metadata_organization_id ON certificate_metadata (organization_id);
