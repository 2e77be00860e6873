//! Requests for certificates, and chains kept with keys. The authority is `openssl`.

use super::import::{P256, openssl, pair};
use super::{done, read, refused, started};
use serde_json::json;
use tests::Site;

/// An authority that signed itself: authority.pem, authority.key.
fn authority(site: &Site) {
    openssl(
        site,
        "req -x509 -newkey rsa:2048 -nodes -keyout authority.key -out authority.pem -subj /CN=Authority -days 2",
    );
}

/// A certificate that the authority gives for a request, whose signature it checks; PEM.
fn issued(site: &Site, csr: &str) -> String {
    std::fs::write(site.path("key.csr"), csr).unwrap();
    let certificate =
        openssl(site, "x509 -req -in key.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 1");
    String::from_utf8(certificate).unwrap()
}

fn shown(site: &Site, csr: &str, options: &str) -> String {
    std::fs::write(site.path("key.csr"), csr).unwrap();
    String::from_utf8(openssl(site, &format!("req -in key.csr -noout {options}"))).unwrap()
}

#[tokio::test]
async fn a_request_of_each_type_is_one_that_openssl_signs_and_its_certificate_is_kept() {
    let (site, mut server) = started().await;
    authority(&site);
    let ca = std::fs::read_to_string(site.path("authority.pem")).unwrap();
    let kinds = ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-2048"];
    let mut chains = Vec::new();
    for kind in kinds {
        let leaves = kind == "ecdsa-p256";
        let body = json!({"type": kind, "exportable": leaves, "allow_plaintext_backup": leaves});
        done(&server, &format!("keys/{kind}"), body).await;
        let answer = done(&server, &format!("keys/{kind}/csr"), json!({})).await;
        let data = &answer.body["data"];
        assert_eq!((&data["name"], &data["type"]), (&json!(kind), &json!(kind)));
        let csr = data["csr"].as_str().unwrap();
        let public = read(&server, &format!("export/public-key/{kind}/1?format=pem")).await;
        let public = public.body["data"]["keys"]["1"].as_str().unwrap().to_owned();
        assert_eq!(shown(&site, csr, "-pubkey").trim_end(), public.trim_end(), "{kind}");
        assert_eq!(shown(&site, csr, "-subject").trim_end(), "subject=", "{kind}");

        let chain = format!("{}{ca}", issued(&site, csr));
        let body = json!({"certificate_chain": format!("  {chain}")});
        let set = done(&server, &format!("keys/{kind}/set-certificate"), body).await;
        let data = &set.body["data"];
        assert_eq!(data, &json!({"certificate_chain": chain, "name": kind, "type": kind}), "{kind}");
        chains.push(chain);
    }
    // They last: read anew after a restart.
    let token = server.token.clone();
    drop(server);
    server = site.serve().await.unwrap();
    server.token = token;
    server.until_health(200).await.unwrap();
    for (kind, chain) in kinds.iter().zip(&chains) {
        let key = read(&server, &format!("keys/{kind}")).await.body["data"].clone();
        assert_eq!(&key["keys"]["1"]["certificate_chain"], chain, "{kind}");
        let exported = read(&server, &format!("export/certificate-chain/{kind}")).await;
        assert_eq!(&exported.body["data"]["keys"]["1"], chain, "{exported:?}");
    }
    // A new version has none, and keeps that of the old one.
    let rotated = done(&server, "keys/rsa-2048/rotate", json!({})).await.body["data"]["keys"].clone();
    assert_eq!(
        (&rotated["1"]["certificate_chain"], &rotated["2"]["certificate_chain"]),
        (&json!(chains[4]), &json!(""))
    );
    // It goes into backups, and comes back from them.
    let backup = read(&server, "backup/ecdsa-p256").await.text("backup").to_owned();
    done(&server, "restore/copy", json!({"backup": backup})).await;
    let copy = read(&server, "export/certificate-chain/copy").await;
    assert_eq!(copy.body["data"]["keys"]["1"], json!(chains[0]), "{copy:?}");
    drop(server);
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test]
async fn a_template_gives_subject_and_extensions_but_neither_key_nor_signature() {
    let (site, server) = started().await;
    authority(&site);
    pair(&site, P256);
    let template = openssl(
        &site,
        "req -new -key brought.der -keyform DER -subj /CN=service.example/O=Example -addext subjectAltName=DNS:service.example",
    );
    let template = String::from_utf8(template).unwrap();
    done(&server, "keys/ec", json!({"type": "ecdsa-p384"})).await;
    done(&server, "keys/ec/rotate", json!({})).await;
    let mut publics = Vec::new();
    for version in [1, 2] {
        let body = json!({"csr": template, "version": version});
        let csr = done(&server, "keys/ec/csr", body).await.text("csr").to_owned();
        issued(&site, &csr);
        let subject = shown(&site, &csr, "-subject");
        assert_eq!(subject.trim_end(), "subject=CN = service.example, O = Example");
        assert!(shown(&site, &csr, "-text").contains("DNS:service.example"));
        let public = read(&server, &format!("export/public-key/ec/{version}")).await;
        let public = public.body["data"]["keys"][version.to_string()].as_str().unwrap().to_owned();
        assert_eq!(shown(&site, &csr, "-pubkey").trim_end(), public.trim_end(), "{version}");
        publics.push(public);
    }
    assert_ne!(publics[0], publics[1]);
}

#[tokio::test]
async fn what_is_no_request_or_no_chain_of_this_key_is_refused_with_a_sentence() {
    let (site, server) = started().await;
    authority(&site);
    let ca = std::fs::read_to_string(site.path("authority.pem")).unwrap();
    done(&server, "keys/ec", json!({"type": "ecdsa-p256"})).await;
    done(&server, "keys/other", json!({"type": "ecdsa-p256"})).await;
    done(&server, "keys/aes", json!({"type": "aes256-gcm96"})).await;
    let (_, public) = pair(&site, P256);
    done(&server, "keys/half/import", json!({"type": "ecdsa-p256", "public_key": public})).await;
    let certificate = async |key: &str| {
        let csr = done(&server, &format!("keys/{key}/csr"), json!({})).await.text("csr").to_owned();
        issued(&site, &csr)
    };
    let (own, others) = (certificate("ec").await, certificate("other").await);
    let not_signing = "key type 'aes256-gcm96' does not support signing";
    for (path, body, ends) in [
        ("none/csr", json!({}), "key with provided name 'none' not found"),
        ("aes/csr", json!({}), not_signing),
        (
            "half/csr",
            json!({}),
            "could not create the csr: requested version for signing does not contain a private part",
        ),
        ("ec/csr", json!({"version": 9}), "could not create the csr: no such key version"),
        ("ec/csr", json!({"version": -1}), "could not create the csr: no such key version"),
        ("ec/csr", json!({"csr": "garbage"}), "could not decode PEM CSR"),
        ("ec/csr", json!({"csr": ca}), "could not decode PEM CSR"),
    ] {
        refused(&server, &format!("keys/{path}"), body, ends).await;
    }
    for (key, chain, ends) in [
        ("none", own.clone(), "key with provided name 'none' not found"),
        ("aes", own.clone(), not_signing),
        ("ec", String::new(), "could not decode a PEM block in the certificate chain"),
        ("ec", "garbage".into(), "could not decode a PEM block in the certificate chain"),
        (
            "ec",
            format!("{own}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "could not decode a PEM block in the certificate chain",
        ),
        ("ec", ca.clone(), "the one of this key comes first"),
        ("ec", format!("{ca}{own}"), "the one of this key comes first"),
        ("ec", format!("{own}{others}"), "may be other than an authority's"),
        ("ec", others.clone(), "leaf certificate public key does not match the selected key version"),
        ("ec", "x".repeat(70_000), "a certificate chain has at most 65536 bytes"),
    ] {
        refused(&server, &format!("keys/{key}/set-certificate"), json!({"certificate_chain": chain}), ends).await;
    }
    let bad = json!({"certificate_chain": own, "version": 2});
    refused(&server, "keys/ec/set-certificate", bad, "no such key version").await;
    let key = read(&server, "keys/ec").await.body["data"].clone();
    assert_eq!(key["keys"]["1"]["certificate_chain"], "");
    for (path, ends) in
        [("ec", "no certificate chain was set for this key version"), ("aes", "has no certificate chain")]
    {
        let answer = read(&server, &format!("export/certificate-chain/{path}")).await;
        assert!(answer.status == 400 && answer.error().ends_with(ends), "{answer:?}");
    }
    // The public half alone takes a certificate: its private one is elsewhere.
    let request = openssl(&site, "req -new -key brought.der -keyform DER -subj /CN=x");
    let theirs = issued(&site, &String::from_utf8(request).unwrap());
    done(&server, "keys/half/set-certificate", json!({"certificate_chain": theirs})).await;
}
