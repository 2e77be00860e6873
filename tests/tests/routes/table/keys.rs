//! Keys.

use super::{INPUT, Row, lacking, recorded, silent, with};

const CONFIG: &str =
    r#"{"deletion_allowed":true,"min_encryption_version":1,"exportable":true,"allow_plaintext_backup":true}"#;
/// `$CIPHERTEXT` is one that `transit/encrypt/aes` gave.
const ENCRYPTED: &str = r#"{"ciphertext":"$CIPHERTEXT","context":"Y3R4"}"#;
/// `$SIGNATURE` is one that `transit/sign/ec` gave.
const SIGNED: &str = r#"{"input":"YQ==","signature":"$SIGNATURE"}"#;
/// The other side is somebody's who is forgotten.
const PEER: &str = r#"{"kdf":"aes-ecb-encrypt-data","public_key":"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5BdxQAp3zRlJZ0cgt2kE7DePhKrv\nbCDebiEdAWetO/lMoQ/pAIALBBq7nn42aGty3ykJV4DqcRpxa5huKma44g==\n-----END PUBLIC KEY-----\n"}"#;

pub(super) const ROWS: &[Row] = &[
    recorded("transit-create-key", "ec", r#"{"type":"ecdsa-p256"}"#, "key.create"),
    silent("transit-list-keys", "", ""),
    silent("transit-read-key", "ec", ""),
    recorded("transit-sign", "ec", INPUT, "key.sign"),
    recorded("transit-sign-with-algorithm", "ec", INPUT, "key.sign"),
    recorded("transit-agree", "dh", PEER, "key.agree"),
    lacking("transit-encapsulate", "ec", "{}", "key.encapsulate"),
    lacking("transit-decapsulate", "ec", r#"{"ciphertext":"YQ=="}"#, "key.decapsulate"),
    recorded("transit-verify", "ec", SIGNED, "key.verify"),
    recorded("transit-verify-with-algorithm", "ec", SIGNED, "key.verify"),
    with(
        &["key.create"],
        recorded("transit-encrypt", "aes", r#"{"plaintext":"YQ==","context":"Y3R4"}"#, "key.encrypt"),
    ),
    recorded("transit-decrypt", "aes", ENCRYPTED, "key.decrypt"),
    recorded("transit-rewrap", "aes", ENCRYPTED, "key.rewrap"),
    recorded("transit-datakey", "aes", r#"{"context":"Y3R4"}"#, "key.datakey"),
    recorded("transit-datakeypair", "aes", r#"{"context":"Y3R4","key_type":"ecdsa-p256"}"#, "key.datakeypair"),
    recorded("transit-hmac", "aes", INPUT, "key.hmac"),
    recorded("transit-hmac-with-algorithm", "aes", INPUT, "key.hmac"),
    recorded("transit-cmac", "mac", INPUT, "key.cmac"),
    recorded("transit-cmac-with-length", "mac", INPUT, "key.cmac"),
    recorded("transit-rotate-key", "ec", "", "key.rotate"),
    recorded("transit-configure-key", "ec", CONFIG, "key.configure"),
    recorded("transit-back-up-key", "ec", "", "key.backup"),
    recorded("transit-restore-key", "", r#"{"backup":"$BACKUP","force":true}"#, "key.restore"),
    recorded("transit-restore-key-as", "copy", r#"{"backup":"$BACKUP"}"#, "key.restore"),
    recorded("transit-export-key", "ec", "", "key.export"),
    recorded("transit-export-key-version", "ec", "", "key.export"),
    recorded("transit-wrapping-key", "", "", "key.create"),
    recorded("transit-import-key", "imported", r#"{"type":"ecdsa-p256","ciphertext":"$SENT"}"#, "key.import"),
    recorded("transit-import-version", "imported", r#"{"ciphertext":"$SENT","hash_function":"SHA1"}"#, "key.import"),
    recorded("transit-byok-export-key", "leaving", "", "key.export"),
    recorded("transit-byok-export-key-version", "leaving", "", "key.export"),
    recorded("transit-request-certificate", "ec", "{}", "key.request_certificate"),
    recorded("transit-set-certificate", "ec", r#"{"certificate_chain":"$CHAIN"}"#, "key.set_certificate"),
    recorded("transit-point-alias", "other-name", r#"{"key_name":"ec"}"#, "key_alias.point"),
    silent("transit-read-alias", "other-name", ""),
    silent("transit-list-aliases", "", ""),
    silent("transit-read-key-aliases", "ec", ""),
    recorded("transit-delete-alias", "other-name", "", "key_alias.delete"),
    silent("transit-read-key-usage", "ec", ""),
    recorded("transit-set-key-state", "ec", r#"{"state":"suspended","reason":"a pause"}"#, "key.state"),
    recorded("transit-set-key-version-state", "ec", r#"{"state":"deactivated","reason":"old"}"#, "key.state"),
    silent("transit-read-key-state", "ec", ""),
    recorded("transit-schedule-destruction", "ec", "{}", "key.schedule_destruction"),
    recorded("transit-cancel-destruction", "ec", "", "key.cancel_destruction"),
    recorded("transit-soft-delete-key", "ec", "", "key.soft_delete"),
    recorded("transit-restore-soft-deleted-key", "ec", "", "key.soft_delete_restore"),
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
];
