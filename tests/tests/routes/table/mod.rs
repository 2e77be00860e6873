//! How each operation is called so that it succeeds, and which record that leaves; rows by subject, in an order in which each works.

mod keys;
mod logins;
mod organizations;
mod secrets;
mod service;
mod settings;

/// One operation.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    /// What its path names; `$MOVE` is the id that `remount` gave, `$NOTIFICATION` of something that people were told, `$PAIR` the first of two
    /// versions of a pair of keys.
    pub(crate) name: &'static str,
    /// `$ENTITY`, `$ALIAS`, `$GROUP` and such are ids of what earlier rows made, `$LOGIN` is the accessor of a login method.
    /// `$PROVIDER` is an OpenID provider, `$JWT` a token of it, `$STATE` and `$GRANT` are with what a browser comes back from it, `$CLUSTER` is an API server of Kubernetes, `$AUTHORITY` is who made the certificate that the
    /// connection shows. `$REQUEST` is a login that waits for `$PASSCODE`, of the method `$METHOD`.
    /// JSON, or what follows the path from a `?` on; `$TOKEN` and `$ACCESSOR` are another token's, `$SHARE` is the seal's, `$NONCE` of making a root token,
    /// JSON, or what follows the path from a `?` on; `$TOKEN` and `$ACCESSOR` are another token's, `$SHARE` is the seal's, `$NONCE` of making a root token or new shares,
    /// `$LEASE` is another token's lease,
    /// `$SECRET` and `$SECRET_ACCESSOR` are a fresh SecretID's, `$WRAPPED` is a fresh wrapping token, `$CHAIN` a certificate of the key `ec`,
    /// `$SENT` a fresh private key, wrapped for the mount, `$CODE` what the authenticator program of `userpass-enroll-totp` shows.
    pub(crate) body: &'static str,
    /// Type of the one record that it leaves; `None`: of no kind of its own, `request.answered` unless it is open.
    pub(crate) event: Option<&'static str>,
    /// Types of the others, where both databases hold a part.
    pub(crate) others: &'static [&'static str],
    /// The token of these tests lacks the mechanism: refused with 400, which is what is recorded. Tested where there is one.
    pub(crate) lacking: bool,
    /// Answers whoever asks: reviewed one by one.
    pub(crate) open: bool,
    /// What it is always answered here: there is nothing that it could succeed with. A record of it, if there is one, tells of a failure.
    pub(crate) refused: Option<u16>,
}

const fn recorded(id: &'static str, name: &'static str, body: &'static str, event: &'static str) -> Row {
    Row { id, name, body, event: Some(event), others: &[], lacking: false, open: false, refused: None }
}

const fn lacking(id: &'static str, name: &'static str, body: &'static str, event: &'static str) -> Row {
    Row { lacking: true, ..recorded(id, name, body, event) }
}

const fn silent(id: &'static str, name: &'static str, body: &'static str) -> Row {
    Row { id, name, body, event: None, others: &[], lacking: false, open: false, refused: None }
}

const fn open(id: &'static str, body: &'static str, event: Option<&'static str>) -> Row {
    Row { id, name: "", body, event, others: &[], lacking: false, open: true, refused: None }
}

const fn refused(status: u16, row: Row) -> Row {
    Row { refused: Some(status), ..row }
}

const fn with(others: &'static [&'static str], row: Row) -> Row {
    Row { others, ..row }
}

const INPUT: &str = r#"{"input":"YQ=="}"#;
/// A certificate, and a request for one, that are there from the beginning.
pub(crate) const CERTIFICATE: &str = "0c0c0c0c-0000-4000-8000-000000000001";

/// Parts in their order: the first row initialises, the second unseals (seal shamir), the last seals.
const PARTS: [&[Row]; 6] =
    [service::ROWS, logins::ROWS, settings::ROWS, secrets::ROWS, keys::ROWS, organizations::ROWS];

const LENGTH: usize = {
    let (mut length, mut part) = (0, 0);
    while part < PARTS.len() {
        length += PARTS[part].len();
        part += 1;
    }
    length
};

/// All of them.
pub(crate) static TABLE: [Row; LENGTH] = {
    let mut all = [PARTS[0][0]; LENGTH];
    let (mut at, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut row = 0;
        while row < PARTS[part].len() {
            all[at] = PARTS[part][row];
            (at, row) = (at + 1, row + 1);
        }
        part += 1;
    }
    all
};
