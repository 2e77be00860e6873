//! Hashes and byte strings in text: lower-case hexadecimal (RFC 4648, 8).

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(crate) mod bytes {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

pub(crate) mod hash {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(hash))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

pub(crate) mod optional_hash {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(hash: &Option<[u8; 32]>, serializer: S) -> Result<S::Ok, S::Error> {
        match hash {
            None => serializer.serialize_none(),
            Some(hash) => hash::serialize(hash, serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| parse(&text).map_err(D::Error::custom)).transpose()
    }
}

fn parse(text: &str) -> Result<[u8; 32], &'static str> {
    let bytes = hex::decode(text).map_err(|_| "a hash is hexadecimal")?;
    bytes.try_into().map_err(|_| "a hash has 32 bytes")
}
