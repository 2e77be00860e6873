//! What is done with data: signatures, MACs, AES-GCM and ChaCha20-Poly1305, RSA-OAEP. A batch is cut in chunks, so that single requests are not held up behind it.

use super::call::{Route, cost};
use super::{Bridge, on, unexpected};
use crate::protocol::{Reply, Request, Strings};
use crate::{
    Ciphertext, Error, HashAlgorithm, KeyRef, Plaintext, Result, RsaDecrypted, Sealed, SignMechanism, WorkerUnpadding,
};

impl Bridge {
    /// One signature per item of `data`, in order.
    pub async fn sign(&self, key: &KeyRef, mechanism: SignMechanism, data: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let name = key.name();
        self.chunked(
            key,
            cost(key.key_type()),
            data,
            |data| Request::Sign { key: name, mechanism, data: Strings(data) },
            list,
        )
        .await
    }

    /// HMAC of each item (FIPS 198-1).
    pub async fn hmac(&self, key: &KeyRef, hash: HashAlgorithm, data: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let name = key.name();
        self.chunked(
            key,
            cost(key.key_type()),
            data,
            |data| Request::Hmac { key: name, hash, data: Strings(data) },
            list,
        )
        .await
    }

    /// AES-CMAC of each item (SP 800-38B), 16 bytes.
    pub async fn cmac(&self, key: &KeyRef, data: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let name = key.name();
        self.chunked(key, cost(key.key_type()), data, |data| Request::Cmac { key: name, data: Strings(data) }, list)
            .await
    }

    /// AES-GCM (SP 800-38D); IV from the token's generator.
    pub async fn aes_gcm_encrypt(&self, key: &KeyRef, data: Vec<u8>, aad: Vec<u8>) -> Result<Ciphertext> {
        let item = Plaintext { data: data.into(), aad, context: None };
        self.aead_encrypt_all(key, vec![item]).await?.pop().ok_or_else(|| nothing("C_Encrypt"))
    }

    /// AES-GCM; a bad tag is `Refused`.
    pub async fn aes_gcm_decrypt(&self, key: &KeyRef, ciphertext: Ciphertext, aad: Vec<u8>) -> Result<Vec<u8>> {
        let item = Sealed { ciphertext, aad, context: None };
        let opened = self.aead_decrypt_all(key, vec![item]).await?.pop().ok_or_else(|| nothing("C_Decrypt"))?;
        opened.ok_or_else(|| Error::Refused { function: "C_Decrypt".into(), reason: "the tag does not fit".into() })
    }

    /// One ciphertext per item, in order, by AES-GCM or, of such keys, ChaCha20-Poly1305 (RFC 8439); IVs from the token's generator, or MACs made in it.
    pub async fn aead_encrypt_all(&self, key: &KeyRef, items: Vec<Plaintext>) -> Result<Vec<Ciphertext>> {
        let (name, each) = (key.name(), with_context(key, items.iter().any(|item| item.context.is_some())));
        let key_type = key.key_type();
        self.chunked(key, each, items, |items| Request::AeadEncrypt { key: name, key_type, items }, ciphertexts).await
    }

    /// One plaintext per item, in order; `None`: its tag does not fit.
    pub async fn aead_decrypt_all(&self, key: &KeyRef, items: Vec<Sealed>) -> Result<Vec<Option<Vec<u8>>>> {
        let (name, each) = (key.name(), with_context(key, items.iter().any(|item| item.context.is_some())));
        let key_type = key.key_type();
        self.chunked(key, each, items, |items| Request::AeadDecrypt { key: name, key_type, items }, opened).await
    }

    /// RSA-OAEP decryption (RFC 8017, 7.1) of each item, with an empty label.
    pub async fn rsa_decrypt(
        &self,
        key: &KeyRef,
        hash: HashAlgorithm,
        items: Vec<Vec<u8>>,
        unpadding: WorkerUnpadding,
    ) -> Result<Vec<RsaDecrypted>> {
        let request = |items| Request::RsaDecrypt { key: key.name(), hash, items, unpadding };
        let read = |reply| match reply {
            Reply::RsaDecrypted(decrypted) => Ok(decrypted),
            other => Err(unexpected(&other)),
        };
        self.chunked(key, cost(key.key_type()), items, request, read).await
    }

    pub(super) async fn chunked<T, R>(
        &self,
        key: &KeyRef,
        each: u64,
        data: Vec<T>,
        request: impl Fn(Vec<T>) -> Request,
        read: fn(Reply) -> Result<Vec<R>>,
    ) -> Result<Vec<R>> {
        // About 1.5 ms of work a chunk.
        let size = usize::try_from((1_500 / each).clamp(1, 25)).unwrap_or(1);
        let route = |items: usize, affinity| Route { cost: each * items as u64, affinity, ..on(key) };
        if data.len() <= size {
            let count = data.len();
            return whole(count, read(self.call(route(count, Some(key.id())), &[key], request(data)).await?)?);
        }
        let (count, keys) = (data.len(), [key]);
        let mut calls = Vec::with_capacity(data.len() / size + 1);
        let mut rest = data;
        while !rest.is_empty() {
            let later = rest.split_off(size.min(rest.len()));
            calls.push(self.call(route(rest.len(), None), &keys, request(rest)));
            rest = later;
        }
        let mut results = Vec::new();
        for reply in futures_util::future::join_all(calls).await {
            results.append(&mut read(reply?)?);
        }
        whole(count, results)
    }
}

/// Deriving a key and destroying it takes longer than what is then done with it.
fn with_context(key: &KeyRef, derives: bool) -> u64 {
    cost(key.key_type()) + if derives { 150 } else { 0 }
}

fn ciphertexts(reply: Reply) -> Result<Vec<Ciphertext>> {
    match reply {
        Reply::Ciphertexts(ciphertexts) => Ok(ciphertexts),
        other => Err(unexpected(&other)),
    }
}

fn opened(reply: Reply) -> Result<Vec<Option<Vec<u8>>>> {
    match reply {
        Reply::Opened(plaintexts) => Ok(plaintexts),
        other => Err(unexpected(&other)),
    }
}

fn nothing(function: &str) -> Error {
    Error::Internal(format!("{function}: one item went in and none came back"))
}

pub(super) fn list(reply: Reply) -> Result<Vec<Vec<u8>>> {
    match reply {
        Reply::List(Strings(list)) => Ok(list),
        other => Err(unexpected(&other)),
    }
}

/// As many results as there were items: they are told apart by their places alone.
fn whole<R>(items: usize, results: Vec<R>) -> Result<Vec<R>> {
    if results.len() == items {
        return Ok(results);
    }
    Err(Error::Internal(format!("{items} items went to a worker, and {} results came back", results.len())))
}
