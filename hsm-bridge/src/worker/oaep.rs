//! RSA-OAEP (RFC 8017, 7.1): by the token, or, where that lacks the hash and the caller allows it, raw in the token and unpadded here.

use super::failure::{Attempt, Failure, at, is_of_the_data};
use crate::{Error, HashAlgorithm, Result, RsaDecrypted, WorkerUnpadding};
use aws_lc_rs::digest;
use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// CKM_RSA_PKCS_OAEP with an empty label.
pub(super) fn mechanism(hash: HashAlgorithm) -> Result<Mechanism<'static>> {
    let (hash_alg, mgf) = match hash {
        HashAlgorithm::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1),
        HashAlgorithm::Sha2_224 => (MechanismType::SHA224, PkcsMgfType::MGF1_SHA224),
        HashAlgorithm::Sha2_256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256),
        HashAlgorithm::Sha2_384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384),
        HashAlgorithm::Sha2_512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512),
        other => return Err(Error::Unsupported(format!("RSA-OAEP with {other:?}"))),
    };
    Ok(Mechanism::RsaPkcsOaep(PkcsOaepParams::new(hash_alg, mgf, PkcsOaepSource::empty())))
}

/// The token knows the mechanism, but not with this hash; it says so before it looks at any ciphertext.
pub(super) fn lacks_hash(error: &CryptokiError) -> bool {
    use RvError::{ArgumentsBad, MechanismInvalid, MechanismParamInvalid};
    matches!(error, CryptokiError::Pkcs11(ArgumentsBad | MechanismInvalid | MechanismParamInvalid, _))
}

pub(super) fn decrypt(
    session: &Session,
    key: ObjectHandle,
    hash: HashAlgorithm,
    ciphertext: &[u8],
    unpadding: WorkerUnpadding,
) -> Attempt<RsaDecrypted> {
    let (decrypted, unpadded_in_worker) = match session.decrypt(&mechanism(hash)?, key, ciphertext) {
        Err(error) if lacks_hash(&error) => {
            let unpadded = raw(session, key, hash, ciphertext, unpadding);
            (unpadded.map(|unpadded| unpadded.map(|plaintext| plaintext.to_vec())), true)
        }
        other => (other.map(Some).map_err(at("C_Decrypt")), false),
    };
    let plaintext = match decrypted {
        Err(Failure::Token(_, error)) if is_of_the_data(&error) => None,
        other => other?,
    };
    Ok(RsaDecrypted { plaintext, unpadded_in_worker })
}

/// Raw RSA in the token, the padding undone here.
pub(super) fn unpad(
    session: &Session,
    key: ObjectHandle,
    hash: HashAlgorithm,
    ciphertext: &[u8],
    unpadding: WorkerUnpadding,
) -> Attempt<Zeroizing<Vec<u8>>> {
    raw(session, key, hash, ciphertext, unpadding)?
        .ok_or_else(|| Error::Refused { function: "RSA-OAEP".into(), reason: "decryption error".into() }.into())
}

/// `None`: the padding is wrong.
fn raw(
    session: &Session,
    key: ObjectHandle,
    hash: HashAlgorithm,
    ciphertext: &[u8],
    unpadding: WorkerUnpadding,
) -> Attempt<Option<Zeroizing<Vec<u8>>>> {
    if unpadding == WorkerUnpadding::Refused {
        return Err(Error::Unsupported(format!("RSA-OAEP with {hash:?}, and it is not to be undone outside it")).into());
    }
    let raw = Zeroizing::new(session.decrypt(&Mechanism::RsaX509, key, ciphertext).map_err(at("C_Decrypt"))?);
    // As long as the modulus, which is as long as the ciphertext: a token may leave out leading zeros.
    let mut encoded = Zeroizing::new(vec![0; ciphertext.len().saturating_sub(raw.len())]);
    encoded.extend_from_slice(&raw);
    Ok(decode(hash, &encoded))
}

/// EME-OAEP decoding (RFC 8017, 7.1.2, step 3) with an empty label. Time depends on lengths alone, also on that of a message that is well
/// padded: nothing tells how a padding is wrong (J. Manger, CRYPTO 2001).
pub(super) fn decode(hash: HashAlgorithm, encoded: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let algorithm = digest_algorithm(hash);
    let length = algorithm.output_len();
    if encoded.len() < 2 * length + 2 {
        return None;
    }
    let (first, rest) = encoded.split_first()?;
    let (masked_seed, masked_block) = rest.split_at(length);
    let mut seed = Zeroizing::new(masked_seed.to_vec());
    mask(algorithm, masked_block, &mut seed);
    let mut block = Zeroizing::new(masked_block.to_vec());
    mask(algorithm, &seed, &mut block);

    let (label_hash, padded) = block.split_at(length);
    let mut good = first.ct_eq(&0) & label_hash.ct_eq(digest::digest(algorithm, &[]).as_ref());
    let mut looking = Choice::from(1);
    let mut separator = 0u32;
    for (index, byte) in padded.iter().enumerate() {
        let (zero, one) = (byte.ct_eq(&0), byte.ct_eq(&1));
        let index = u32::try_from(index).ok()?;
        separator.conditional_assign(&index, looking & one);
        good &= !looking | zero | one;
        looking &= !one;
    }
    good &= !looking;
    if !bool::from(good) {
        return None;
    }
    padded.get(separator as usize + 1..).map(|message| Zeroizing::new(message.to_vec()))
}

/// XORs MGF1 of `seed` (RFC 8017, B.2.1) over `target`.
fn mask(algorithm: &'static digest::Algorithm, seed: &[u8], target: &mut [u8]) {
    for (counter, chunk) in (0u32..).zip(target.chunks_mut(algorithm.output_len())) {
        let mut context = digest::Context::new(algorithm);
        context.update(seed);
        context.update(&counter.to_be_bytes());
        chunk.iter_mut().zip(context.finish().as_ref()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

fn digest_algorithm(hash: HashAlgorithm) -> &'static digest::Algorithm {
    match hash {
        HashAlgorithm::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        HashAlgorithm::Sha2_224 => &digest::SHA224,
        HashAlgorithm::Sha2_256 => &digest::SHA256,
        HashAlgorithm::Sha2_384 => &digest::SHA384,
        HashAlgorithm::Sha2_512 => &digest::SHA512,
        // `mechanism` knows none of SHA-3, and comes first.
        HashAlgorithm::Sha3_224 | HashAlgorithm::Sha3_256 => &digest::SHA3_256,
        HashAlgorithm::Sha3_384 => &digest::SHA3_384,
        HashAlgorithm::Sha3_512 => &digest::SHA3_512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASHES: [HashAlgorithm; 5] = [
        HashAlgorithm::Sha1,
        HashAlgorithm::Sha2_224,
        HashAlgorithm::Sha2_256,
        HashAlgorithm::Sha2_384,
        HashAlgorithm::Sha2_512,
    ];

    /// EME-OAEP encoding (RFC 8017, 7.1.1, step 2) of `block`: hash of the label, padding and message as given.
    fn encode(hash: HashAlgorithm, first: u8, block: &[u8]) -> Vec<u8> {
        let algorithm = digest_algorithm(hash);
        let mut seed = vec![7; algorithm.output_len()];
        let mut masked = block.to_vec();
        mask(algorithm, &seed, &mut masked);
        mask(algorithm, &masked, &mut seed);
        [vec![first], seed, masked].concat()
    }

    fn block(hash: HashAlgorithm, zeros: usize, separator: u8, message: &[u8]) -> Vec<u8> {
        let label = digest::digest(digest_algorithm(hash), &[]);
        [label.as_ref(), &vec![0; zeros], &[separator], message].concat()
    }

    #[test]
    fn what_the_rsa_crate_padded_is_unpadded() {
        use rsa::traits::{PrivateKeyParts, PublicKeyParts};
        let mut random = rsa::rand_core::OsRng;
        let key = rsa::RsaPrivateKey::new(&mut random, 1024).expect("a key");
        for message in [&b""[..], b"a", &[0; 32], &[1; 62]] {
            let padding = rsa::Oaep::new::<rsa::sha2::Sha256>();
            let ciphertext = key.to_public_key().encrypt(&mut random, padding, message).expect("it fits");
            let raw = rsa::BigUint::from_bytes_be(&ciphertext).modpow(key.d(), key.n()).to_bytes_be();
            let encoded = [vec![0; 128 - raw.len()], raw].concat();
            assert_eq!(decode(HashAlgorithm::Sha2_256, &encoded).expect("well padded").as_slice(), message);
            assert!(decode(HashAlgorithm::Sha1, &encoded).is_none(), "another hash");
        }
    }

    #[test]
    fn each_way_of_being_badly_padded_is_refused() {
        for hash in HASHES {
            let good = block(hash, 5, 1, b"key");
            assert_eq!(decode(hash, &encode(hash, 0, &good)).expect("good").as_slice(), b"key");
            assert!(decode(hash, &encode(hash, 1, &good)).is_none(), "first byte");
            assert!(decode(hash, &encode(hash, 0, &block(hash, 5, 2, b"key"))).is_none(), "separator");
            assert!(decode(hash, &encode(hash, 0, &block(hash, 5, 0, &[0; 9]))).is_none(), "no separator");
            let mut label = good.clone();
            label[0] ^= 1;
            assert!(decode(hash, &encode(hash, 0, &label)).is_none(), "label");
            assert!(decode(hash, &[0; 3]).is_none(), "length");
        }
    }

    proptest! {
        #[test]
        fn every_message_comes_back_and_no_bytes_make_it_fall(
            which in 0usize..5, zeros in 0usize..70, message in prop::collection::vec(any::<u8>(), 0..70), noise in prop::collection::vec(any::<u8>(), 0..300)
        ) {
            let hash = HASHES[which];
            let decoded = decode(hash, &encode(hash, 0, &block(hash, zeros, 1, &message)));
            prop_assert_eq!(decoded.as_deref(), Some(&message));
            prop_assert!(decode(hash, &noise).is_none());
        }
    }
}
