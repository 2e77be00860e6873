//! What the other database keeps and shall not read: encrypted in the HSM under the organization's key for what its tokens keep.
//!
//! The text is the key's id, the IV and AES-256-GCM's ciphertext with its tag (SP 800-38D), bound to organization and context: moved
//! to another row it does not decrypt.

use crate::row_mac::RowBytes;
use crate::{Error, Result, Vault};
use hsm_bridge::Ciphertext;
use uuid::Uuid;
use zeroize::Zeroizing;

const ID: usize = 16;
const IV: usize = 12;

impl Vault {
    /// Encrypts `content`; whoever asks has a record of its own of why.
    pub async fn seal_text(&self, organization_id: Uuid, context: &str, content: &[u8]) -> Result<Vec<u8>> {
        let key = self.spent_cubbyhole_key(organization_id).await?;
        let aad = bound(organization_id, context, key.id());
        let sealed = self.inner.bridge.aes_gcm_encrypt(&key.reference(), content.to_vec(), aad).await?;
        Ok([key.id().as_bytes().as_slice(), &sealed.iv, &sealed.ciphertext_and_tag].concat())
    }

    /// What was sealed in that organization and context; anything else is refused.
    pub async fn open_text(&self, organization_id: Uuid, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let unreadable = || {
            Error::Operator(format!("{context} was changed behind the service's back, or is not of this installation"))
        };
        let (id, rest) = sealed.split_first_chunk::<ID>().ok_or_else(unreadable)?;
        let (iv, ciphertext_and_tag) = rest.split_first_chunk::<IV>().ok_or_else(unreadable)?;
        let key = self.stored_cubbyhole_key(organization_id, Some(Uuid::from_bytes(*id))).await?;
        let key = key.ok_or_else(unreadable)?;
        let sealed = Ciphertext { iv: *iv, ciphertext_and_tag: ciphertext_and_tag.to_vec() };
        match self
            .inner
            .bridge
            .aes_gcm_decrypt(&key.reference(), sealed, bound(organization_id, context, key.id()))
            .await
        {
            Ok(content) => Ok(Zeroizing::new(content)),
            Err(hsm_bridge::Error::Refused { .. }) => Err(unreadable()),
            Err(other) => Err(other.into()),
        }
    }
}

fn bound(organization_id: Uuid, context: &str, key_id: Uuid) -> Vec<u8> {
    RowBytes::new("sealed_text").id(Some(organization_id)).text(context).id(Some(key_id)).finish()
}
