//! How each operation is called so that it succeeds, and which record that leaves.

/// One operation.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    /// What its path names; `$MOVE` is the id that `remount` gave.
    pub(crate) name: &'static str,
    /// JSON, or what follows the path from a `?` on; `$TOKEN` and `$ACCESSOR` are another token's, `$SHARE` is the seal's, `$SECRET` and
    /// `$SECRET_ACCESSOR` are a fresh SecretID's, `$WRAPPED` is a fresh wrapping token, `$CHAIN` a certificate of the key `ec`.
    pub(crate) body: &'static str,
    /// Type of the one record that it leaves; `None`: none.
    pub(crate) event: Option<&'static str>,
    /// Types of the others, where both databases hold a part.
    pub(crate) others: &'static [&'static str],
    /// Answers whoever asks: reviewed one by one.
    pub(crate) open: bool,
}

const fn recorded(id: &'static str, name: &'static str, body: &'static str, event: &'static str) -> Row {
    Row { id, name, body, event: Some(event), others: &[], open: false }
}

const fn silent(id: &'static str, name: &'static str, body: &'static str) -> Row {
    Row { id, name, body, event: None, others: &[], open: false }
}

const fn open(id: &'static str, body: &'static str, event: Option<&'static str>) -> Row {
    Row { id, name: "", body, event, others: &[], open: true }
}

const fn with(others: &'static [&'static str], row: Row) -> Row {
    Row { others, ..row }
}

const POLICY: &str = r#"{"policy":"path \"x\" { capabilities = [\"read\"] }"}"#;
const INPUT: &str = r#"{"input":"YQ=="}"#;
/// `$CIPHERTEXT` is one that `transit/encrypt/aes` gave.
const ENCRYPTED: &str = r#"{"ciphertext":"$CIPHERTEXT","context":"Y3R4"}"#;
/// The generator of P-256, which is a public key like any other.
const PUBLIC: &str = r#"{"type":"ecdsa-p256","public_key":"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----"}"#;
/// `$SIGNATURE` is one that `transit/sign/ec` gave.
const SIGNED: &str = r#"{"input":"YQ==","signature":"$SIGNATURE"}"#;

/// In an order in which each works: the first initialises, the second unseals (seal shamir), the last seals.
pub(crate) const TABLE: &[Row] = &[
    open("init", r#"{"secret_shares":1,"secret_threshold":1}"#, Some("system.init")),
    open("unseal", r#"{"key":"$SHARE"}"#, None),
    open("init-status", "", None),
    open("health", "", None),
    open("leader", "", None),
    open("openapi", "", None),
    open("seal-status", "", None),
    open("ui-mounts-list", "", None),
    recorded("mounts-enable", "second", r#"{"type":"transit"}"#, "mount.enable"),
    recorded("mounts-tune", "second", r#"{"default_lease_ttl":"1h"}"#, "mount.tune"),
    silent("mounts-read", "second", ""),
    silent("mounts-read-tuning", "second", ""),
    silent("mounts-list", "", ""),
    silent("ui-mounts-read", "second", ""),
    silent("ui-resultant-acl", "", ""),
    recorded("remount", "", r#"{"from":"second","to":"third"}"#, "mount.move"),
    silent("remount-status", "$MOVE", ""),
    recorded("mounts-disable", "third", "", "mount.disable"),
    recorded("auth-enable", "approle", r#"{"type":"approle"}"#, "mount.enable"),
    recorded("auth-tune", "approle", r#"{"default_lease_ttl":"1h"}"#, "mount.tune"),
    silent("auth-read", "approle", ""),
    silent("auth-read-tuning", "approle", ""),
    silent("auth-list", "", ""),
    recorded("approle-write-role", "r", r#"{"role_id":"r"}"#, "app_role.write"),
    silent("approle-read-role", "r", ""),
    silent("approle-list-roles", "", ""),
    recorded("approle-write-role-id", "r", r#"{"role_id":"r"}"#, "app_role.write"),
    silent("approle-read-role-id", "r", ""),
    recorded("approle-write-property", "r", r#"{"token_ttl":"1h"}"#, "app_role.write"),
    silent("approle-read-property", "r", ""),
    recorded("approle-delete-property", "r", "", "app_role.write"),
    recorded("approle-create-custom-secret-id", "r", r#"{"secret_id":"chosen"}"#, "secret_id.create"),
    recorded("approle-create-secret-id", "r", "", "secret_id.create"),
    silent("approle-list-secret-ids", "r", ""),
    silent("approle-look-up-secret-id", "r", r#"{"secret_id":"chosen"}"#),
    silent("approle-look-up-accessor", "r", r#"{"secret_id_accessor":"$SECRET_ACCESSOR"}"#),
    open("approle-login", r#"{"role_id":"r","secret_id":"chosen"}"#, Some("login.approle")),
    recorded("approle-destroy-accessor", "r", r#"{"secret_id_accessor":"$SECRET_ACCESSOR"}"#, "secret_id.destroy"),
    recorded("approle-destroy-secret-id", "r", r#"{"secret_id":"$SECRET"}"#, "secret_id.destroy"),
    recorded("approle-destroy-secret-id-delete", "r", "?secret_id=$SECRET", "secret_id.destroy"),
    recorded("approle-destroy-accessor-delete", "r", "?secret_id_accessor=$SECRET_ACCESSOR", "secret_id.destroy"),
    recorded("approle-tidy", "", "", "tidy.start"),
    recorded("approle-delete-role", "r", "", "app_role.delete"),
    recorded("auth-disable", "approle", "", "mount.disable"),
    recorded("policies-acl-write", "a", POLICY, "policy.write"),
    silent("policies-acl-read", "a", ""),
    silent("policies-acl-list", "", ""),
    recorded("policies-acl-delete", "a", "", "policy.delete"),
    recorded("policy-write", "b", POLICY, "policy.write"),
    silent("policy-read", "b", ""),
    silent("policy-list", "", ""),
    silent("policy-list-read", "", ""),
    recorded("policy-delete", "b", "", "policy.delete"),
    silent("capabilities", "", r#"{"paths":["x"],"token":"$TOKEN"}"#),
    silent("capabilities-accessor", "", r#"{"paths":["x"],"accessor":"$ACCESSOR"}"#),
    silent("capabilities-self", "", r#"{"paths":["x"]}"#),
    recorded("cubbyhole-write", "mine/a", r#"{"a":1}"#, "cubbyhole.write"),
    silent("cubbyhole-read", "mine/a", ""),
    silent("cubbyhole-list", "mine", ""),
    silent("cubbyhole-list-all", "", ""),
    recorded("cubbyhole-delete", "mine/a", "", "cubbyhole.delete"),
    recorded("kv1-write", "app/a", r#"{"a":1}"#, "secret.write"),
    recorded("kv1-read", "app/a", "", "secret.read"),
    recorded("kv1-list", "app", "", "secret.list"),
    recorded("kv1-list-all", "", "", "secret.list"),
    recorded("kv1-delete", "app/a", "", "secret.delete"),
    recorded("kv2-write-config", "", r#"{"max_versions":5}"#, "secret_mount.configure"),
    recorded("kv2-read-config", "", "", "secret_mount.read"),
    recorded("kv2-write-data", "app/a", r#"{"data":{"a":1}}"#, "secret.write"),
    recorded("kv2-patch-data", "app/a", r#"{"data":{"b":1}}"#, "secret.patch"),
    recorded("kv2-read-data", "app/a", "?version=1", "secret.read"),
    recorded("kv2-read-subkeys", "app/a", "?depth=1", "secret.read_subkeys"),
    recorded("kv2-write-metadata", "app/a", r#"{"max_versions":3}"#, "secret_metadata.write"),
    recorded("kv2-patch-metadata", "app/a", r#"{"custom_metadata":{"a":"b"}}"#, "secret_metadata.patch"),
    recorded("kv2-read-metadata", "app/a", "", "secret_metadata.read"),
    recorded("kv2-list", "app", "", "secret.list"),
    recorded("kv2-list-all", "", "", "secret.list"),
    recorded("kv2-delete-data", "app/a", "", "secret.delete"),
    recorded("kv2-undelete-versions", "app/a", r#"{"versions":[2]}"#, "secret.undelete"),
    recorded("kv2-delete-versions", "app/a", r#"{"versions":[1,2]}"#, "secret.delete"),
    recorded("kv2-destroy-versions", "app/a", r#"{"versions":[1]}"#, "secret.destroy"),
    recorded("kv2-delete-metadata", "app/a", "", "secret_metadata.delete"),
    recorded("rotate", "", "", "data_key.rotate"),
    recorded("rotate-keyring", "", "", "data_key.rotate"),
    silent("key-status", "", ""),
    with(&["cubbyhole.write"], recorded("wrapping-wrap", "", "{}", "wrapping.wrap")),
    open("wrapping-look-up", r#"{"token":"$WRAPPED"}"#, None),
    open("wrapping-look-up-own", "", None),
    with(
        &["cubbyhole.write", "cubbyhole.delete"],
        open("wrapping-rewrap", r#"{"token":"$WRAPPED"}"#, Some("wrapping.rewrap")),
    ),
    with(&["cubbyhole.delete"], open("wrapping-unwrap", r#"{"token":"$WRAPPED"}"#, Some("wrapping.unwrap"))),
    silent("metrics", "", ""),
    silent("hsm-status", "", ""),
    silent("hsm-integrity", "", ""),
    recorded("hsm-integrity-repair", "", "", "integrity.repair"),
    recorded("token-create", "", "{}", "token.create"),
    recorded("token-create-orphan", "", "{}", "token.create"),
    recorded("token-write-role", "r", r#"{"allowed_policies":"p1","orphan":true}"#, "token_role.write"),
    recorded("token-create-by-role", "r", "{}", "token.create"),
    silent("token-read-role", "r", ""),
    silent("token-list-roles", "", ""),
    recorded("token-delete-role", "r", "", "token_role.delete"),
    recorded("token-tidy", "", "", "tidy.start"),
    silent("token-look-up", "", r#"{"token":"$TOKEN"}"#),
    silent("token-look-up-read", "", ""),
    silent("token-look-up-self", "", ""),
    silent("token-look-up-self-write", "", ""),
    silent("token-look-up-accessor", "", r#"{"accessor":"$ACCESSOR"}"#),
    silent("token-list-accessors", "", ""),
    recorded("token-renew", "", r#"{"token":"$TOKEN"}"#, "token.renew"),
    recorded("token-renew-accessor", "", r#"{"accessor":"$ACCESSOR"}"#, "token.renew"),
    recorded("token-renew-self", "", "{}", "token.renew"),
    recorded("token-revoke", "", r#"{"token":"$TOKEN"}"#, "token.revoke"),
    recorded("token-revoke-accessor", "", r#"{"accessor":"$ACCESSOR"}"#, "token.revoke"),
    recorded("token-revoke-orphan", "", r#"{"token":"$TOKEN"}"#, "token.revoke"),
    recorded("token-revoke-self", "", "", "token.revoke"),
    recorded("transit-create-key", "ec", r#"{"type":"ecdsa-p256"}"#, "key.create"),
    silent("transit-list-keys", "", ""),
    silent("transit-read-key", "ec", ""),
    recorded("transit-sign", "ec", INPUT, "key.sign"),
    recorded("transit-sign-with-algorithm", "ec", INPUT, "key.sign"),
    recorded("transit-verify", "ec", SIGNED, "key.verify"),
    recorded("transit-verify-with-algorithm", "ec", SIGNED, "key.verify"),
    with(
        &["key.create"],
        recorded("transit-encrypt", "aes", r#"{"plaintext":"YQ==","context":"Y3R4"}"#, "key.encrypt"),
    ),
    recorded("transit-decrypt", "aes", ENCRYPTED, "key.decrypt"),
    recorded("transit-rewrap", "aes", ENCRYPTED, "key.rewrap"),
    recorded("transit-datakey", "aes", r#"{"context":"Y3R4"}"#, "key.datakey"),
    recorded("transit-hmac", "aes", INPUT, "key.hmac"),
    recorded("transit-hmac-with-algorithm", "aes", INPUT, "key.hmac"),
    recorded("transit-rotate-key", "ec", "", "key.rotate"),
    recorded("transit-configure-key", "ec", r#"{"deletion_allowed":true,"min_encryption_version":1}"#, "key.configure"),
    recorded("transit-export-key", "ec", "", "key.export"),
    recorded("transit-export-key-version", "ec", "", "key.export"),
    recorded("transit-wrapping-key", "", "", "key.create"),
    recorded("transit-import-key", "imported", PUBLIC, "key.import"),
    recorded("transit-import-version", "imported", PUBLIC, "key.import"),
    recorded("transit-byok-export-key", "leaving", "", "key.export"),
    recorded("transit-byok-export-key-version", "leaving", "", "key.export"),
    recorded("transit-request-certificate", "ec", "{}", "key.request_certificate"),
    recorded("transit-set-certificate", "ec", r#"{"certificate_chain":"$CHAIN"}"#, "key.set_certificate"),
    recorded("transit-trim-key", "ec", r#"{"min_available_version":1}"#, "key.trim"),
    recorded("transit-delete-key", "ec", "", "key.delete"),
    recorded("transit-write-keys-config", "", r#"{"disable_upsert":true}"#, "mount.tune"),
    silent("transit-read-keys-config", "", ""),
    recorded("transit-write-cache-config", "", r#"{"size":100}"#, "mount.tune"),
    silent("transit-read-cache-config", "", ""),
    recorded("transit-random", "", "", "random.generate"),
    recorded("transit-random-bytes", "", "", "random.generate"),
    recorded("transit-random-source", "", "", "random.generate"),
    recorded("transit-hash", "", INPUT, "data.hash"),
    recorded("transit-hash-with-algorithm", "", INPUT, "data.hash"),
    recorded("tools-random", "", "", "random.generate"),
    recorded("tools-random-bytes", "", "", "random.generate"),
    recorded("tools-random-source", "", "", "random.generate"),
    recorded("tools-hash", "", INPUT, "data.hash"),
    recorded("tools-hash-with-algorithm", "", INPUT, "data.hash"),
    recorded("seal", "", "", "system.seal"),
];
