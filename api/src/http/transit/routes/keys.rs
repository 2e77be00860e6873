//! Keys: made, read, configured, rotated, certified.

use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use crate::http::transit::{certificate, field, keys, settings};
use Kind::{Boolean, Duration, Integer, Text};
use Verb::{Delete, Read, Write};

const CREATE: &[Parameter] = &[
    field("allow_plaintext_backup", Boolean, "Backups may hold the key"),
    field("auto_rotate_period", Duration, "0, or an hour and more between rotations"),
    field("context", Text, "Read, without meaning here"),
    field("convergent_encryption", Boolean, "Equal plaintexts have equal ciphertexts; for derived keys"),
    field("derived", Boolean, "Each context has a key of its own, derived from this one"),
    field("exportable", Boolean, "The secret or private key may be exported; one way"),
    field("key_size", Integer, "Bytes of an HMAC key, 32 to 512"),
    field("parameter_set", Text, "44, 65 or 87, with Vault's type ml-dsa"),
    field("max_bytes", Integer, "So many bytes a version protects; 0: no limit. Not in Vault"),
    field("max_uses", Integer, "So many inputs a version encrypts, signs or makes MACs of; 0: no limit. Not in Vault"),
    field("originator_usage_period", Duration, "So long a version protects; 0: no limit. Not in Vault"),
    field("recipient_usage_period", Duration, "So long a version decrypts and verifies; 0: no limit. Not in Vault"),
    field("state", Text, "active unless given, or pre_activation: nothing works until it is made active. Not in Vault"),
    field(
        "storage",
        Text,
        "wrapped (in PostgreSQL), or token: an object of the HSM that nobody can extract. Not in Vault",
    ),
    field(
        "type",
        Text,
        "aes256-gcm96 unless given; aes128-cmac, aes192-cmac, aes256-cmac, aes128-gcm96, ecdh-p256, ecdh-p384, ecdh-p521, ecdsa-p256, ecdsa-p384, ecdsa-p521, ed25519, hmac, rsa-2048, rsa-3072, rsa-4096, and where the token makes them chacha20-poly1305, ml-dsa-44, ml-dsa-65, ml-dsa-87, ml-kem-512, ml-kem-768, ml-kem-1024 or x25519",
    ),
];
const READ: &[Parameter] = &[field("context", Text, "Read, without meaning here")];
const LIST: &[Parameter] = &[field("after", Text, "Names after this one"), field("limit", Integer, "At most so many")];
const CONFIG: &[Parameter] = &[
    field("allow_plaintext_backup", Boolean, "Backups may hold the key; one way"),
    field("auto_rotate_period", Duration, "0, or an hour and more between rotations"),
    field("deletion_allowed", Boolean, "The key may be deleted"),
    field("exportable", Boolean, "The private half may be exported; one way"),
    field("max_bytes", Integer, "So many bytes a version protects; 0: no limit. Not in Vault"),
    field("max_uses", Integer, "So many inputs a version encrypts, signs or makes MACs of; 0: no limit. Not in Vault"),
    field("min_decryption_version", Integer, "Older versions decrypt and verify no more"),
    field("min_encryption_version", Integer, "Older versions encrypt and sign no more; 0: only the newest does"),
    field("originator_usage_period", Duration, "So long a version protects; 0: no limit. Not in Vault"),
    field("recipient_usage_period", Duration, "So long a version decrypts and verifies; 0: no limit. Not in Vault"),
];
const TRIM: &[Parameter] = &[field("min_available_version", Integer, "Versions before it are destroyed").required()];
const CONFIG_KEYS: &[Parameter] = &[field("disable_upsert", Boolean, "Encrypting makes no keys")];
const CACHE: &[Parameter] = &[field("size", Integer, "0, or 10 and more; kept and shown, without meaning here")];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "keys",
        endpoints: &[Endpoint::new(Verb::List, "transit-list-keys", "Names of the keys", |call| {
            Box::pin(keys::list(call))
        })
        .with(LIST)],
    },
    Route {
        pattern: "keys/{name}",
        endpoints: &[
            Endpoint::new(Write, "transit-create-key", "Make a key in the HSM", |call| Box::pin(keys::create(call)))
                .with(CREATE),
            Endpoint::new(Read, "transit-read-key", "One key, with its public halves", |call| {
                Box::pin(keys::read(call))
            })
            .with(READ),
            Endpoint::new(Delete, "transit-delete-key", "Delete a key for which that is allowed", |call| {
                Box::pin(keys::delete(call))
            }),
        ],
    },
    Route {
        pattern: "keys/{name}/config",
        endpoints: &[Endpoint::new(Write, "transit-configure-key", "Change settings of a key", |call| {
            Box::pin(keys::configure(call))
        })
        .with(CONFIG)],
    },
    Route {
        pattern: "keys/{name}/rotate",
        endpoints: &[Endpoint::new(Write, "transit-rotate-key", "Make a new version", |call| {
            Box::pin(keys::rotate(call))
        })],
    },
    Route {
        pattern: "keys/{name}/csr",
        endpoints: &[Endpoint::new(
            Write,
            "transit-request-certificate",
            "A request (PKCS#10) for a certificate",
            |call| Box::pin(certificate::request(call)),
        )
        .with(certificate::REQUEST)],
    },
    Route {
        pattern: "keys/{name}/set-certificate",
        endpoints: &[Endpoint::new(
            Write,
            "transit-set-certificate",
            "Keep a chain of certificates with a key",
            |call| Box::pin(certificate::set(call)),
        )
        .with(certificate::SET)],
    },
    Route {
        pattern: "keys/{name}/trim",
        endpoints: &[Endpoint::new(Write, "transit-trim-key", "Destroy old versions", |call| {
            Box::pin(keys::trim(call))
        })
        .with(TRIM)],
    },
    Route {
        pattern: "config/keys",
        endpoints: &[
            Endpoint::new(Read, "transit-read-keys-config", "Settings for all keys of the mount", |call| {
                Box::pin(settings::read_keys(call))
            }),
            Endpoint::new(Write, "transit-write-keys-config", "Change settings for all keys of the mount", |call| {
                Box::pin(settings::write_keys(call))
            })
            .with(CONFIG_KEYS),
        ],
    },
    Route {
        pattern: "cache-config",
        endpoints: &[
            Endpoint::new(Read, "transit-read-cache-config", "Size of the cache", |call| {
                Box::pin(settings::read_cache(call))
            }),
            Endpoint::new(Write, "transit-write-cache-config", "Set the size of the cache", |call| {
                Box::pin(settings::write_cache(call))
            })
            .with(CACHE),
        ],
    },
];
