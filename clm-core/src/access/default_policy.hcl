# Look at and keep alive the own token.
path "auth/token/lookup-self" {
    capabilities = ["read"]
}

path "auth/token/renew-self" {
    capabilities = ["update"]
}

path "auth/token/revoke-self" {
    capabilities = ["update"]
}

# See what the own token may do.
path "sys/capabilities-self" {
    capabilities = ["update"]
}

path "sys/internal/ui/resultant-acl" {
    capabilities = ["read"]
}

# Look at the own entity.
path "identity/entity/id/{{identity.entity.id}}" {
    capabilities = ["read"]
}

path "identity/entity/name/{{identity.entity.name}}" {
    capabilities = ["read"]
}

# Keep leases alive; their ids are hard to guess.
path "sys/renew" {
    capabilities = ["update"]
}

path "sys/leases/renew" {
    capabilities = ["update"]
}

path "sys/leases/lookup" {
    capabilities = ["update"]
}

# The token's own storage.
path "cubbyhole/*" {
    capabilities = ["create", "read", "update", "delete", "list"]
}

# Wrap answers, look at wrapping tokens and unwrap them.
path "sys/wrapping/wrap" {
    capabilities = ["update"]
}

path "sys/wrapping/lookup" {
    capabilities = ["update"]
}

path "sys/wrapping/unwrap" {
    capabilities = ["update"]
}

# General purpose tools.
path "sys/tools/hash" {
    capabilities = ["update"]
}

path "sys/tools/hash/*" {
    capabilities = ["update"]
}

path "sys/control-group/request" {
    capabilities = ["update"]
}

# Ask an OIDC provider on behalf of the own entity.
path "identity/oidc/provider/+/authorize" {
    capabilities = ["read", "update"]
}
