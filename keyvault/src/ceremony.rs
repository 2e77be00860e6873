//! The key ceremony: root, MAC and audit keys are made in the token, once, apart from the server.

use crate::{Error, Result};
use hsm_bridge::{Bridge, KeyType, ObjectAttributes, PublicKey, Purpose, TokenKey};
use uuid::Uuid;

/// Label of the root wrapping key.
pub const ROOT_LABEL: &str = "clm-root-v1";
/// Label of the key of row MACs and token HMACs.
pub const MAC_LABEL: &str = "clm-mac-v1";
/// Label of the key that signs audit checkpoints.
pub const AUDIT_LABEL: &str = "clm-audit-v1";

/// What a ceremony made, for its transcript.
#[derive(Clone, Debug)]
pub struct Ceremony {
    /// CKA_ID of the root key.
    pub root_key_id: Uuid,
    /// CKA_ID of the MAC key.
    pub mac_key_id: Uuid,
    /// CKA_ID of the audit key.
    pub audit_key_id: Uuid,
    /// Public half of the audit key: whoever verifies the log needs it.
    pub audit_public_key: PublicKey,
}

/// Makes the three keys. Refuses when one of them is there: there is never a second root key.
pub async fn create(bridge: &Bridge) -> Result<Ceremony> {
    let existing = bridge.find_objects("clm-").await?;
    if let Some(object) =
        existing.iter().find(|object| [ROOT_LABEL, MAC_LABEL, AUDIT_LABEL].contains(&object.label.as_str()))
    {
        return Err(Error::Operator(format!(
            "the token holds `{}` already: the ceremony was held; a second root key is never made",
            object.label
        )));
    }
    let (root_key_id, mac_key_id, audit_key_id) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    // The root last: with it there, the ceremony is complete.
    bridge.generate_token_key(mac_key_id, MAC_LABEL, KeyType::Hmac(32), Purpose::Mac).await?;
    let (_, public) = bridge.generate_token_key(audit_key_id, AUDIT_LABEL, KeyType::EcP256, Purpose::Signing).await?;
    let audit_public_key =
        public.ok_or_else(|| Error::Operator("the token gave no public half of the audit key".into()))?;
    bridge.generate_token_key(root_key_id, ROOT_LABEL, KeyType::Aes256, Purpose::Wrapping).await?;
    let ceremony = Ceremony { root_key_id, mac_key_id, audit_key_id, audit_public_key };
    check(bridge).await?;
    Ok(ceremony)
}

/// Public half of the audit key, from the token itself.
pub async fn audit_public_key(bridge: &Bridge, audit_key_id: Uuid) -> Result<PublicKey> {
    Ok(bridge.public_key(TokenKey { id: audit_key_id, key_type: KeyType::EcP256 }).await?)
}

/// Finds the keys and checks what protects them; also for a root key made beforehand with the vendor's tool.
pub async fn check(bridge: &Bridge) -> Result<(Uuid, Uuid, Uuid)> {
    let objects = bridge.find_objects("clm-").await?;
    let find = |label: &str| -> Result<(Uuid, &ObjectAttributes)> {
        let mut found = objects
            .iter()
            .filter(|object| object.label == label && object.class.contains("KEY") && !object.class.contains("PUBLIC"));
        match (found.next(), found.next()) {
            (Some(object), None) => {
                let id = object.id.ok_or_else(|| Error::Operator(format!("CKA_ID of `{label}` is not 16 bytes")))?;
                Ok((id, object))
            }
            (None, _) => Err(Error::Operator(format!(
                "the token holds no `{label}`: hold the ceremony with `clm ceremony root`"
            ))),
            (Some(_), Some(_)) => {
                Err(Error::Operator(format!("the token holds more than one `{label}`: remove the wrong one")))
            }
        }
    };
    let (root_id, root) = find(ROOT_LABEL)?;
    let (mac_id, mac) = find(MAC_LABEL)?;
    let (audit_id, audit) = find(AUDIT_LABEL)?;
    for (object, type_wanted) in [(root, KeyType::Aes256), (mac, KeyType::Hmac(32)), (audit, KeyType::EcP256)] {
        if !object.sensitive || object.extractable || !object.never_extractable || !object.private {
            return Err(Error::Operator(format!(
                "`{}` must be CKA_SENSITIVE, CKA_PRIVATE, not CKA_EXTRACTABLE and CKA_NEVER_EXTRACTABLE",
                object.label
            )));
        }
        if object.key_type != Some(type_wanted) {
            return Err(Error::Operator(format!("`{}` must be a key of type {type_wanted:?}", object.label)));
        }
    }
    if !(root.wrap && root.unwrap) || root.encrypt || root.decrypt || root.sign {
        return Err(Error::Operator(format!("`{ROOT_LABEL}` must be able to wrap and unwrap, and nothing else")));
    }
    Ok((root_id, mac_id, audit_id))
}
