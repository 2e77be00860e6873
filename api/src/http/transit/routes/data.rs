//! Data, and what protects it: signatures, MACs, ciphertexts, data keys, keys that are shared with others.

use crate::http::table::{Endpoint, Kind, Parameter, Route, Verb};
use crate::http::transit::{agree, cmac, data_key, decrypt, encapsulate, encrypt, field, hmac, sign, verify};
use Kind::{Boolean, Integer, Objects, Text};
use Verb::Write;

const SIGN: &[Parameter] = &[
    field("algorithm", Text, "The old name of `hash_algorithm`; its value does not count"),
    field("batch_input", Objects, "Items with `input` and `reference`, instead of `input`"),
    field("context", Text, "Read, without meaning here: no key that signs is derived"),
    field("hash_algorithm", Text, "sha1, sha2-224 … sha2-512, sha3-224 … sha3-512 or none; the path's goes over it"),
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

pub(super) const ROUTES: &[Route] = &[
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
        pattern: "datakeypair/{plaintext}/{name}",
        endpoints: &[Endpoint::new(
            Write,
            "transit-datakeypair",
            "A new key pair for the caller, its private half encrypted, and on `plaintext` in the clear as well",
            |call| Box::pin(data_key::make_pair(call)),
        )
        .with(data_key::PAIR_FIELDS)],
    },
    Route {
        pattern: "rewrap/{name}",
        endpoints: &[Endpoint::new(Write, "transit-rewrap", "Encrypt a ciphertext with another version", |call| {
            Box::pin(decrypt::rewrap(call))
        })
        .with(decrypt::REWRAP)],
    },
];
