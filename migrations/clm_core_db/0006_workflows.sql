-- Workflows: what needs whose approval. A decision gives authority, so its row carries revision and MAC.
-- Certificates and requests are rows of clm_secure_db: no foreign keys.

CREATE TABLE workflows (
    id                      uuid        PRIMARY KEY,
    organization_id         uuid        NOT NULL REFERENCES organizations (id),
    workflow_name           text        NOT NULL,
    workflow_code           text        NOT NULL,
    workflow_type           text        NOT NULL CHECK (workflow_type IN ('certificate_request', 'renewal', 'revocation', 'key_rotation', 'import', 'export')),
    description             text,
    workflow_definition     jsonb       NOT NULL CHECK (jsonb_typeof(workflow_definition -> 'steps') = 'array'),
    auto_approve_conditions jsonb       CHECK (jsonb_typeof(auto_approve_conditions) = 'object'),
    requires_approval       boolean     NOT NULL DEFAULT true,
    approval_chain          jsonb       NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(approval_chain) = 'array'),
    status                  text        NOT NULL CHECK (status IN ('draft', 'active', 'inactive', 'archived')),
    version                 integer     NOT NULL CHECK (version > 0),
    revision                bigint      NOT NULL CHECK (revision > 0),
    row_mac                 bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_by_user_id      uuid        REFERENCES users (id),
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now(),
    deleted_at              timestamptz,
    UNIQUE (organization_id, workflow_code)
);
CREATE INDEX workflows_status ON workflows (organization_id, workflow_type, status) WHERE deleted_at IS NULL;
COMMENT ON TABLE workflows IS 'Definitions: the steps, and who approves.';
COMMENT ON COLUMN workflows.workflow_definition IS '{"steps":[…]}';

CREATE TABLE workflow_instances (
    id                     uuid        PRIMARY KEY,
    organization_id        uuid        NOT NULL REFERENCES organizations (id),
    workflow_id            uuid        NOT NULL REFERENCES workflows (id),
    instance_code          text        NOT NULL,
    workflow_type          text        NOT NULL CHECK (workflow_type IN ('certificate_request', 'renewal', 'revocation', 'key_rotation', 'import', 'export')),
    current_step           integer     NOT NULL CHECK (current_step >= 0),
    current_step_name      text,
    status                 text        NOT NULL CHECK (status IN ('initiated', 'in_progress', 'pending_approval', 'approved', 'rejected', 'completed', 'failed', 'cancelled')),
    context_data           jsonb       NOT NULL DEFAULT '{}',
    input_data             jsonb       NOT NULL DEFAULT '{}',
    output_data            jsonb       NOT NULL DEFAULT '{}',
    certificate_id         uuid,
    certificate_request_id uuid,
    started_at             timestamptz NOT NULL,
    completed_at           timestamptz,
    initiated_by_user_id   uuid        REFERENCES users (id),
    revision               bigint      NOT NULL CHECK (revision > 0),
    row_mac                bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organization_id, instance_code),
    CHECK (started_at <= completed_at),
    CHECK ((status IN ('rejected', 'completed', 'failed', 'cancelled')) = (completed_at IS NOT NULL))
);
CREATE INDEX workflow_instances_workflow_id ON workflow_instances (workflow_id);
CREATE INDEX workflow_instances_status ON workflow_instances (organization_id, status) WHERE completed_at IS NULL;
CREATE INDEX workflow_instances_certificate_id ON workflow_instances (certificate_id) WHERE certificate_id IS NOT NULL;
CREATE INDEX workflow_instances_certificate_request_id ON workflow_instances (certificate_request_id) WHERE certificate_request_id IS NOT NULL;
CREATE INDEX workflow_instances_initiated_by_user_id ON workflow_instances (initiated_by_user_id) WHERE initiated_by_user_id IS NOT NULL;
COMMENT ON TABLE workflow_instances IS 'Workflows that run or ran.';

CREATE TABLE workflow_steps (
    id                   uuid        PRIMARY KEY,
    organization_id      uuid        NOT NULL REFERENCES organizations (id),
    workflow_instance_id uuid        NOT NULL REFERENCES workflow_instances (id),
    step_number          integer     NOT NULL CHECK (step_number > 0),
    step_name            text        NOT NULL,
    step_type            text        NOT NULL CHECK (step_type IN ('approval', 'validation', 'action', 'notification', 'decision')),
    status               text        NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed', 'failed', 'skipped')),
    assigned_to_user_id  uuid        REFERENCES users (id),
    assigned_to_role_id  uuid        REFERENCES roles (id),
    executed_by_user_id  uuid        REFERENCES users (id),
    step_input           jsonb       NOT NULL DEFAULT '{}',
    step_output          jsonb       NOT NULL DEFAULT '{}',
    error_message        text,
    started_at           timestamptz,
    completed_at         timestamptz,
    revision             bigint      NOT NULL CHECK (revision > 0),
    row_mac              bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    created_at           timestamptz NOT NULL DEFAULT now(),
    UNIQUE (workflow_instance_id, step_number),
    CHECK (started_at <= completed_at),
    CHECK ((status IN ('completed', 'failed', 'skipped')) = (completed_at IS NOT NULL))
);
CREATE INDEX workflow_steps_organization_id ON workflow_steps (organization_id);
CREATE INDEX workflow_steps_assigned_to_user_id ON workflow_steps (assigned_to_user_id) WHERE assigned_to_user_id IS NOT NULL;
CREATE INDEX workflow_steps_assigned_to_role_id ON workflow_steps (assigned_to_role_id) WHERE assigned_to_role_id IS NOT NULL;
COMMENT ON TABLE workflow_steps IS 'Steps of an instance: who was to do it, who did, and what came of it.';

CREATE VIEW pending_approvals WITH (security_invoker = true) AS
SELECT s.id, s.organization_id, s.workflow_instance_id, i.instance_code, i.workflow_type, s.step_number, s.step_name,
    s.assigned_to_user_id, s.assigned_to_role_id, i.initiated_by_user_id, i.certificate_id, i.certificate_request_id, i.started_at, s.created_at
FROM workflow_steps s
JOIN workflow_instances i ON i.id = s.workflow_instance_id
WHERE s.step_type = 'approval' AND s.status IN ('pending', 'in_progress') AND i.completed_at IS NULL;
COMMENT ON VIEW pending_approvals IS 'Approvals that somebody is waited for.';
