//! AES-GCM, HMAC and AES by a library that the token does not know, with keys that were exported.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, PaddedBlockEncryptingKey, UnboundCipherKey};

fn gcm(key: &[u8]) -> LessSafeKey {
    let algorithm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
    LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap())
}

/// The plaintext of IV ‖ ciphertext ‖ tag.
pub(crate) fn gcm_open(key: &[u8], sealed: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
    let (iv, rest) = sealed.split_first_chunk().unwrap();
    let mut rest = rest.to_vec();
    let opened = gcm(key).open_in_place(Nonce::assume_unique_for_key(*iv), Aad::from(aad), &mut rest).ok()?;
    Some(opened.to_vec())
}

/// IV ‖ ciphertext ‖ tag.
pub(crate) fn gcm_seal(key: &[u8], iv: &[u8; 12], plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
    let mut sealed = plaintext.to_vec();
    gcm(key).seal_in_place_append_tag(Nonce::assume_unique_for_key(*iv), Aad::from(aad), &mut sealed).unwrap();
    [&iv[..], &sealed].concat()
}

/// AES-ECB of two blocks: what CKM_AES_ECB_ENCRYPT_DATA makes of them.
pub(crate) fn ecb(key: &[u8], blocks: &[u8; 32]) -> Vec<u8> {
    let algorithm = if key.len() == 16 { &AES_128 } else { &AES_256 };
    let key = PaddedBlockEncryptingKey::ecb_pkcs7(UnboundCipherKey::new(algorithm, key).unwrap()).unwrap();
    let mut data = blocks.to_vec();
    key.encrypt(&mut data).unwrap();
    data.truncate(blocks.len());
    data
}
