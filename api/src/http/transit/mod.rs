//! `transit/`: named keys, and what is done with them.

mod agree;
pub(super) mod alias;
mod backup;
mod batch;
mod certificate;
mod cmac;
mod data_key;
mod decrypt;
mod destruction;
mod encapsulate;
mod encrypt;
mod export;
mod hmac;
mod import;
mod keys;
mod mac;
mod options;
mod settings;
mod shown;
mod sign;
mod state;
pub(super) mod tools;
mod usage;
mod verify;
mod versioned;

use super::table::{Endpoint, Kind, Parameter, Route, Verb};
use Kind::{Boolean, Duration, Integer, Objects, Text};
use Verb::{Delete, Read, Write};

const fn field(name: &'static str, kind: Kind, description: &'static str) -> Parameter {
    Parameter::new(name, kind, description)
}

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
        "aes256-gcm96 unless given; aes128-cmac, aes192-cmac, aes256-cmac, aes128-gcm96, ecdh-p256, ecdh-p384, ecdh-p521, ecdsa-p256, ecdsa-p384, ecdsa-p521, ed25519, hmac, rsa-2048, rsa-3072, rsa-4096, and where the token makes them ml-dsa-44, ml-dsa-65, ml-dsa-87, ml-kem-512, ml-kem-768 or ml-kem-1024",
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
const SIGN: &[Parameter] = &[
    field("algorithm", Text, "The old name of `hash_algorithm`; its value does not count"),
    field("batch_input", Objects, "Items with `input` and `reference`, instead of `input`"),
    field("context", Text, "Read, without meaning here: no key that signs is derived"),
    field("hash_algorithm", Text, "sha1, sha2-224 … sha2-512, sha3-256 … sha3-512 or none; the path's goes over it"),
    field("input", Text, "Base64 of what is to be signed"),
    field("key_version", Integer, "Version that signs; 0: the newest"),
    field("marshaling_algorithm", Text, "asn1 or jws"),
    field("prehashed", Boolean, "The input is a digest"),
    field("salt_length", Text, "auto, hash or a number of bytes (RSASSA-PSS)"),
    field("signature_algorithm", Text, "pss or pkcs1v15 (RSA)"),
];
const VERIFY: &[Parameter] = &[
    field("algorithm", Text, "The old name of `hash_algorithm`; its value does not count"),
    field("batch_input", Objects, "Items with `input`, `signature`, `hmac` or `cmac`, and `reference`"),
    field("context", Text, "Read, without meaning here: no key that signs is derived"),
    field("cmac", Text, "vault:v<version>:<base64>, instead of `signature`"),
    field("hash_algorithm", Text, "As for signing"),
    field("hmac", Text, "vault:v<version>:<base64>, instead of `signature`"),
    field("input", Text, "Base64 of what was signed"),
    field("mac_length", Integer, "Bytes of the CMAC, as it was made"),
    field("marshaling_algorithm", Text, "asn1 or jws, as the signature was written"),
    field("prehashed", Boolean, "The input is a digest"),
    field("salt_length", Text, "auto, hash or a number of bytes (RSASSA-PSS)"),
    field("signature", Text, "vault:v<version>:<base64>"),
    field("signature_algorithm", Text, "pss or pkcs1v15 (RSA)"),
];

const EXPORT: &[Parameter] = &[field("format", Text, "Empty for each type's own; der, pem or raw")];
const BYOK: &[Parameter] =
    &[field("hash", Text, "Hash of RSA-OAEP and its MGF1: SHA1, SHA256 (unless given), SHA384 or SHA512")];
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
        "aes128-cmac, aes192-cmac, aes256-cmac, aes128-gcm96, aes256-gcm96, hmac, ecdsa-p256 … ecdsa-p521, ed25519 (public) or rsa-2048 … rsa-4096",
    )
    .required(),
];
const IMPORT_VERSION: &[Parameter] = &[
    field("ciphertext", Text, "As for import"),
    field("hash_function", Text, "As for import"),
    field("public_key", Text, "As for import"),
    field("version", Integer, "Version with a public half alone, which this completes; 0: a new one"),
];
const TRIM: &[Parameter] = &[field("min_available_version", Integer, "Versions before it are destroyed").required()];
const CONFIG_KEYS: &[Parameter] = &[field("disable_upsert", Boolean, "Encrypting makes no keys")];
const CACHE: &[Parameter] = &[field("size", Integer, "0, or 10 and more; kept and shown, without meaning here")];
pub(super) const ROUTES: &[Route] = &[
    // Used most: found first.
    Route {
        pattern: "sign/{name}",
        endpoints: &[Endpoint::new(Write, "transit-sign", "Sign", |call| Box::pin(sign::sign(call))).with(SIGN)],
    },
    Route {
        pattern: "sign/{name}/{urlalgorithm}",
        endpoints: &[Endpoint::new(Write, "transit-sign-with-algorithm", "Sign, the hash in the path", |call| {
            Box::pin(sign::sign(call))
        })
        .with(SIGN)],
    },
    Route {
        pattern: "encapsulate/{name}/{into}",
        endpoints: &[Endpoint::new(Write, "transit-encapsulate", "A new shared secret, as a key", |call| {
            Box::pin(encapsulate::encapsulate(call))
        })
        .with(encapsulate::ENCAPSULATE)],
    },
    Route {
        pattern: "decapsulate/{name}/{into}",
        endpoints: &[Endpoint::new(Write, "transit-decapsulate", "A shared secret that was sent, as a key", |call| {
            Box::pin(encapsulate::decapsulate(call))
        })
        .with(encapsulate::DECAPSULATE)],
    },
    Route {
        pattern: "agree/{name}/{into}",
        endpoints: &[Endpoint::new(Write, "transit-agree", "A key that two sides agree on by ECDH", |call| {
            Box::pin(agree::agree(call))
        })
        .with(agree::FIELDS)],
    },
    Route {
        pattern: "verify/{name}",
        endpoints: &[
            Endpoint::new(Write, "transit-verify", "Verify", |call| Box::pin(verify::verify(call))).with(VERIFY)
        ],
    },
    Route {
        pattern: "verify/{name}/{urlalgorithm}",
        endpoints: &[Endpoint::new(Write, "transit-verify-with-algorithm", "Verify, the hash in the path", |call| {
            Box::pin(verify::verify(call))
        })
        .with(VERIFY)],
    },
    Route {
        pattern: "encrypt/{name}",
        endpoints: &[Endpoint::new(Write, "transit-encrypt", "Encrypt, making the key if need be", |call| {
            Box::pin(encrypt::encrypt(call))
        })
        .with(encrypt::FIELDS)
        .creating(encrypt::exists)],
    },
    Route {
        pattern: "decrypt/{name}",
        endpoints: &[Endpoint::new(Write, "transit-decrypt", "Decrypt", |call| Box::pin(decrypt::decrypt(call)))
            .with(decrypt::FIELDS)],
    },
    Route {
        pattern: "hmac/{name}",
        endpoints: &[
            Endpoint::new(Write, "transit-hmac", "Make an HMAC", |call| Box::pin(hmac::hmac(call))).with(hmac::FIELDS)
        ],
    },
    Route {
        pattern: "hmac/{name}/{urlalgorithm}",
        endpoints: &[Endpoint::new(
            Write,
            "transit-hmac-with-algorithm",
            "Make an HMAC, the hash in the path",
            |call| Box::pin(hmac::hmac(call)),
        )
        .with(hmac::FIELDS)],
    },
    Route {
        pattern: "cmac/{name}",
        endpoints: &[
            Endpoint::new(Write, "transit-cmac", "Make a CMAC", |call| Box::pin(cmac::cmac(call))).with(cmac::FIELDS)
        ],
    },
    Route {
        pattern: "cmac/{name}/{url_mac_length}",
        endpoints: &[Endpoint::new(Write, "transit-cmac-with-length", "Make a CMAC, its length in the path", |call| {
            Box::pin(cmac::cmac(call))
        })
        .with(cmac::FIELDS)],
    },
    Route {
        pattern: "datakey/{plaintext}/{name}",
        endpoints: &[Endpoint::new(
            Write,
            "transit-datakey",
            "A new key for the caller, encrypted, and on `plaintext` in the clear as well",
            |call| Box::pin(data_key::make(call)),
        )
        .with(data_key::FIELDS)],
    },
    Route {
        pattern: "rewrap/{name}",
        endpoints: &[Endpoint::new(Write, "transit-rewrap", "Encrypt a ciphertext with another version", |call| {
            Box::pin(decrypt::rewrap(call))
        })
        .with(decrypt::REWRAP)],
    },
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
        pattern: "keys/{name}/state",
        endpoints: &[
            Endpoint::new(
                Read,
                "transit-read-key-state",
                "States of a key and its versions, and all transitions",
                |call| Box::pin(state::read(call)),
            ),
            Endpoint::new(Write, "transit-set-key-state", "Bring a key into another state", |call| {
                Box::pin(state::set(call))
            })
            .with(state::FIELDS),
        ],
    },
    Route {
        pattern: "keys/{name}/state/{version}",
        endpoints: &[Endpoint::new(
            Write,
            "transit-set-key-version-state",
            "Bring one version into another state",
            |call| Box::pin(state::set(call)),
        )
        .with(state::FIELDS)],
    },
    Route {
        pattern: "keys/{name}/schedule-destruction",
        endpoints: &[Endpoint::new(
            Write,
            "transit-schedule-destruction",
            "Destroy a key after a waiting period, in which it does nothing",
            |call| Box::pin(destruction::schedule(call)),
        )
        .with(destruction::SCHEDULE)],
    },
    Route {
        pattern: "keys/{name}/cancel-destruction",
        endpoints: &[Endpoint::new(
            Write,
            "transit-cancel-destruction",
            "Keep a key that was to be destroyed",
            |call| Box::pin(destruction::cancel(call)),
        )],
    },
    Route {
        pattern: "keys/{name}/soft-delete",
        endpoints: &[Endpoint::new(
            Delete,
            "transit-soft-delete-key",
            "Have a key do nothing until restored",
            |call| Box::pin(destruction::soft_delete(call)),
        )],
    },
    Route {
        pattern: "keys/{name}/soft-delete-restore",
        endpoints: &[Endpoint::new(Write, "transit-restore-soft-deleted-key", "Have it work again", |call| {
            Box::pin(destruction::restore(call))
        })],
    },
    Route {
        pattern: "keys/{name}/usage",
        endpoints: &[Endpoint::new(Read, "transit-read-key-usage", "Who used which version, and when last", |call| {
            Box::pin(usage::read(call))
        })],
    },
    Route {
        pattern: "keys/{name}/aliases",
        endpoints: &[Endpoint::new(Read, "transit-read-key-aliases", "Names that stand for a key", |call| {
            Box::pin(alias::of_key(call))
        })],
    },
    Route {
        pattern: "aliases",
        endpoints: &[Endpoint::new(Verb::List, "transit-list-aliases", "Names that stand for keys", |call| {
            Box::pin(alias::list(call))
        })],
    },
    Route {
        pattern: "aliases/{alias}",
        endpoints: &[
            Endpoint::new(Write, "transit-point-alias", "Have a name stand for a key from now on", |call| {
                Box::pin(alias::point(call))
            })
            .with(alias::POINT),
            Endpoint::new(Read, "transit-read-alias", "The key that a name stands for", |call| {
                Box::pin(alias::read(call))
            }),
            Endpoint::new(Delete, "transit-delete-alias", "Have a name stand for nothing any more", |call| {
                Box::pin(alias::delete(call))
            }),
        ],
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
    Route {
        pattern: "random",
        endpoints: &[Endpoint::new(Write, "transit-random", "Random bytes of the HSM", |call| {
            Box::pin(tools::random(call))
        })
        .with(tools::RANDOM)],
    },
    Route {
        pattern: "random/{urlbytes}",
        endpoints: &[Endpoint::new(Write, "transit-random-bytes", "So many random bytes of the HSM", |call| {
            Box::pin(tools::random(call))
        })
        .with(tools::RANDOM)],
    },
    Route {
        pattern: "random/{source}/{urlbytes}",
        endpoints: &[Endpoint::new(Write, "transit-random-source", "Random bytes of a source: the HSM", |call| {
            Box::pin(tools::random(call))
        })
        .with(tools::RANDOM)],
    },
    Route {
        pattern: "hash",
        endpoints: &[
            Endpoint::new(Write, "transit-hash", "A digest", |call| Box::pin(tools::hash(call))).with(tools::HASH)
        ],
    },
    Route {
        pattern: "hash/{urlalgorithm}",
        endpoints: &[Endpoint::new(Write, "transit-hash-with-algorithm", "A digest, the hash in the path", |call| {
            Box::pin(tools::hash(call))
        })
        .with(tools::HASH)],
    },
];
