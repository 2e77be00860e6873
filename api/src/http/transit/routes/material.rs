//! Keys that come in and leave.

use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use crate::http::transit::{backup, export, field, import};
use Kind::{Boolean, Duration, Integer, Text};
use Verb::{Read, Write};

const EXPORT: &[Parameter] = &[field("format", Text, "Empty for each type's own; der, pem or raw")];
const BYOK: &[Parameter] =
    &[field("hash", Text, "Hash of RSA-OAEP and its MGF1: SHA1, SHA224, SHA256 (unless given), SHA384 or SHA512")];
const IMPORT: &[Parameter] = &[
    field("allow_plaintext_backup", Boolean, "Backups may hold the key"),
    field("allow_rotation", Boolean, "Later versions may be made here"),
    field("auto_rotate_period", Duration, "0, or an hour and more between rotations; needs `allow_rotation`"),
    field(
        "ciphertext",
        Text,
        "Base64 of RSA-OAEP(wrapping key, AES key) followed by AES-KWP(AES key, PKCS#8 or a secret key's bytes)",
    ),
    field("context", Text, "Read, without meaning here"),
    field("convergent_encryption", Boolean, "Not for imported keys"),
    field("derived", Boolean, "Each context has a key of its own, derived in the token (AES)"),
    field("exportable", Boolean, "The key may be exported; one way"),
    field(
        "hash_function",
        Text,
        "Hash of RSA-OAEP and its MGF1: SHA1, SHA224, SHA256 (unless given), SHA384 or SHA512",
    ),
    field("public_key", Text, "PEM, instead of `ciphertext`: the key verifies only"),
    field(
        "type",
        Text,
        "aes128-cmac, aes192-cmac, aes256-cmac, aes128-gcm96, aes256-gcm96, chacha20-poly1305 (where the token has it), hmac, ecdsa-p256 … ecdsa-p521, ecdh-p256 … ecdh-p521 or rsa-2048 … rsa-4096; ed25519 and x25519 whole where the token unwraps such keys, else, as ml-dsa and ml-kem, the public half alone",
    )
    .required(),
];
const IMPORT_VERSION: &[Parameter] = &[
    field("ciphertext", Text, "As for import"),
    field("hash_function", Text, "As for import"),
    field("public_key", Text, "As for import"),
    field("version", Integer, "Version with a public half alone, which this completes; 0: a new one"),
];

pub(super) const ROUTES: &[Route] = &[
    Route {
        pattern: "wrapping_key",
        endpoints: &[Endpoint::new(
            Read,
            "transit-wrapping-key",
            "The key to send keys under, made at first use",
            |call| Box::pin(import::wrapping_key(call)),
        )
        .audited(true)],
    },
    Route {
        pattern: "keys/{name}/import",
        endpoints: &[Endpoint::new(Write, "transit-import-key", "Take in a key", |call| {
            Box::pin(import::import(call))
        })
        .with(IMPORT)],
    },
    Route {
        pattern: "keys/{name}/import_version",
        endpoints: &[Endpoint::new(Write, "transit-import-version", "Take in a version of an imported key", |call| {
            Box::pin(import::import_version(call))
        })
        .with(IMPORT_VERSION)],
    },
    Route {
        pattern: "export/{type}/{name}",
        endpoints: &[Endpoint::new(Read, "transit-export-key", "Keys of all versions, if they may leave", |call| {
            Box::pin(export::export(call))
        })
        .audited(true)
        .with(EXPORT)],
    },
    Route {
        pattern: "export/{type}/{name}/{version}",
        endpoints: &[Endpoint::new(Read, "transit-export-key-version", "The key of one version", |call| {
            Box::pin(export::export(call))
        })
        .audited(true)
        .with(EXPORT)],
    },
    Route {
        pattern: "byok-export/{destination}/{name}",
        endpoints: &[Endpoint::new(
            Read,
            "transit-byok-export-key",
            "Keys of all versions, wrapped for another key of the mount",
            |call| Box::pin(export::byok(call)),
        )
        .audited(true)
        .with(BYOK)],
    },
    Route {
        pattern: "byok-export/{destination}/{name}/{version}",
        endpoints: &[Endpoint::new(
            Read,
            "transit-byok-export-key-version",
            "The key of one version, wrapped for another key of the mount",
            |call| Box::pin(export::byok(call)),
        )
        .audited(true)
        .with(BYOK)],
    },
    Route {
        pattern: "backup/{name}",
        endpoints: &[Endpoint::new(Read, "transit-back-up-key", "A key, wrapped, to be restored here later", |call| {
            Box::pin(backup::back_up(call))
        })
        .audited(true)],
    },
    Route {
        pattern: "restore",
        endpoints: &[Endpoint::new(Write, "transit-restore-key", "Restore a key under its own name", |call| {
            Box::pin(backup::restore(call))
        })
        .with(backup::RESTORE)],
    },
    Route {
        pattern: "restore/{name}",
        endpoints: &[Endpoint::new(Write, "transit-restore-key-as", "Restore a key under another name", |call| {
            Box::pin(backup::restore(call))
        })
        .with(backup::RESTORE)],
    },
];
