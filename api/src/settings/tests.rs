use super::{SealKind, Settings, TlsVersion};
use std::io::Write;

fn load(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Settings> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    Settings::read(Some(file.path()), variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn the_environment_goes_over_the_file() {
    let text = "[server]\nlisten = '127.0.0.1:1'\n[server.tls]\ncertificate='c'\nkey='k'\nmin_version='1.3'\n[seal]\ntype='shamir'";
    let settings = load(text, &[("CLM_SERVER__LISTEN", "127.0.0.1:2"), ("CLM_LOG", "debug")]).expect("valid");
    assert_eq!(settings.server.listen.port(), 2);
    assert_eq!(settings.server.tls.expect("set").min_version, TlsVersion::Tls13);
    assert_eq!(settings.seal.kind, SealKind::Shamir);
}

#[test]
fn an_unknown_key_is_named() {
    for (text, variables, name) in [
        ("[server]\nlistne = '127.0.0.1:1'", vec![], "listne"),
        ("[sever]\n", vec![], "sever"),
        ("", vec![("CLM_SEAL__TIPE", "shamir")], "tipe"),
    ] {
        let error = format!("{:#}", load(text, &variables).expect_err("must be refused"));
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn plain_http_stays_on_the_machine() {
    let mut server = Settings::default().server;
    server.check().expect("loopback");
    server.listen = "0.0.0.0:8200".parse().expect("an address");
    assert!(server.check().expect_err("refused").to_string().contains("allow_plain_http"));
    server.allow_plain_http = true;
    server.check().expect("said so");
}
