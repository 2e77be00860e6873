//! Secrets in every form in which they could stand somewhere, and the search for them.

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

/// What is searched for: names and bytes.
#[derive(Default)]
pub(crate) struct Needles(Vec<(String, Vec<u8>)>);

/// Ready to search.
pub(crate) struct Search {
    names: Vec<String>,
    automaton: AhoCorasick,
}

impl Needles {
    /// A secret in all its forms. Half of it is too much, so both halves are searched for, but of what is short the whole.
    pub(crate) fn add(&mut self, name: &str, secret: &[u8]) {
        if secret.len() < 32 {
            return self.add_part(&format!("{name}, all"), secret);
        }
        let (first, second) = secret.split_at(secret.len() / 2);
        self.add_part(&format!("{name}, first half"), first);
        self.add_part(&format!("{name}, second half"), second);
    }

    /// As they are (which is how DER holds them), in the other byte order (as numbers stand in memory), in hexadecimal digits, in base64, wherever in a
    /// base64 text they begin, and as Rust shows bytes and lists of them.
    fn add_part(&mut self, name: &str, bytes: &[u8]) {
        let mut add = |form: &str, bytes: Vec<u8>| self.0.push((format!("{name}, {form}"), bytes));
        add("raw", bytes.to_vec());
        add("reversed", bytes.iter().rev().copied().collect());
        add("hexadecimal", hex::encode(bytes).into_bytes());
        add("HEXADECIMAL", hex::encode_upper(bytes).into_bytes());
        for shift in 0..3 {
            let shifted = [vec![0; shift], bytes.to_vec()].concat();
            for text in [BASE64_STANDARD.encode(&shifted), BASE64_URL_SAFE.encode(&shifted)] {
                // Characters that hold bits of what stands before or behind are left out.
                add("base64", text.as_bytes()[if shift == 0 { 0 } else { 4 }..text.len() - 4].to_vec());
            }
        }
        let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
        add("a list of numbers", numbers.join(", ").into_bytes());
        add("an array of numbers", numbers.join(",").into_bytes());
        add("escaped", bytes.escape_ascii().to_string().into_bytes());
    }

    pub(crate) fn add_as_it_is(&mut self, name: &str, secret: &[u8]) {
        self.0.push((name.to_owned(), secret.to_vec()));
    }

    pub(crate) fn search(self) -> Search {
        let (names, bytes): (Vec<String>, Vec<Vec<u8>>) = self.0.into_iter().unzip();
        assert!(bytes.iter().all(|bytes| bytes.len() > 8), "what is so short is found anywhere");
        Search { names, automaton: AhoCorasick::new(bytes).unwrap() }
    }
}

impl Search {
    /// Names of what is in a file.
    pub(crate) fn found_in(&self, file: &Path) -> Vec<&str> {
        let found = self.automaton.stream_find_iter(File::open(file).unwrap());
        let found: BTreeSet<&str> = found.map(|found| self.names[found.unwrap().pattern()].as_str()).collect();
        found.into_iter().collect()
    }
}

#[test]
fn a_secret_is_found_in_every_form_wherever_it_stands() {
    let secret: Vec<u8> = (60..76).chain(240..=255).collect();
    let mut needles = Needles::default();
    needles.add("secret", &secret);
    let search = needles.search();
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("file");
    let within = |before: usize, bytes: &[u8]| {
        std::fs::write(&file, [vec![7; before], bytes.to_vec(), vec![7; 50]].concat()).unwrap();
        search.found_in(&file).len()
    };
    for form in [
        secret.clone(),
        secret.iter().rev().copied().collect(),
        hex::encode(&secret).into_bytes(),
        hex::encode_upper(&secret).into_bytes(),
        BASE64_STANDARD.encode(&secret).into_bytes(),
        BASE64_STANDARD.encode([b"x".as_slice(), &secret, b"yz"].concat()).into_bytes(),
        BASE64_STANDARD.encode([b"xy".as_slice(), &secret].concat()).into_bytes(),
        BASE64_URL_SAFE.encode([b"xy".as_slice(), &secret].concat()).into_bytes(),
        format!("{secret:?}").into_bytes(),
        serde_json::to_vec(&secret).unwrap(),
        secret.escape_ascii().to_string().into_bytes(),
    ] {
        // Also across the ends of what is read at once.
        for before in [0, 50, 8 * 1024 - 20, 64 * 1024 - 20, 1024 * 1024 - 20] {
            assert!(within(before, &form) >= 2, "{} after {before}", String::from_utf8_lossy(&form));
        }
    }
    assert_eq!(within(500, b"nothing"), 0);
}
