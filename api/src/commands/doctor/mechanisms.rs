//! What the token cannot do, and what that costs.

use super::finding::Finding;
use keyvault::Capabilities;

struct Mechanism {
    names: &'static [&'static str],
    /// Without it the service does not work at all.
    essential: bool,
    cost: &'static str,
}

const fn essential(names: &'static [&'static str], cost: &'static str) -> Mechanism {
    Mechanism { names, essential: true, cost }
}

const fn optional(names: &'static [&'static str], cost: &'static str) -> Mechanism {
    Mechanism { names, essential: false, cost }
}

/// What the service asks of a token. AES-KWP is not among them: without it a worker does not start, and says so.
const WANTED: &[Mechanism] = &[
    essential(&["CKM_AES_KEY_GEN"], "no wrapping keys can be made"),
    essential(&["CKM_GENERIC_SECRET_KEY_GEN", "CKM_SHA256_HMAC"], "rows and tokens cannot be bound by MACs"),
    essential(&["CKM_EC_KEY_PAIR_GEN", "CKM_ECDSA"], "checkpoints of the audit logs and ECDSA keys are impossible"),
    optional(&["CKM_RSA_PKCS_KEY_PAIR_GEN", "CKM_RSA_PKCS"], "no RSA keys, no PKCS #1 v1.5 signatures"),
    optional(&["CKM_RSA_PKCS_PSS"], "RSA keys sign with PKCS #1 v1.5 only"),
    optional(&["CKM_RSA_PKCS_OAEP"], "RSA keys do not decrypt, and keys cannot be imported"),
    optional(&["CKM_AES_GCM"], "symmetric keys do not encrypt"),
    optional(
        &["CKM_SHA_1_HMAC", "CKM_SHA224_HMAC", "CKM_SHA384_HMAC", "CKM_SHA512_HMAC"],
        "HMAC with that hash is impossible",
    ),
];

pub(super) fn examine(token: &Capabilities) -> Vec<Finding> {
    let has = |name: &str| token.mechanisms.iter().any(|mechanism| mechanism == name);
    let mut findings = Vec::new();
    for mechanism in WANTED {
        for name in mechanism.names.iter().filter(|name| !has(name)) {
            let says = format!(
                "this token lacks {name}: {}. Enable it in the token's settings or policy, or use another token",
                mechanism.cost
            );
            let check = format!("hsm.mechanism.{name}");
            let finding = if mechanism.essential { Finding::failed } else { Finding::warning };
            findings.push(finding(check, says));
        }
    }
    if !token.ed25519 {
        let says = "this token does not sign with Ed25519: no such keys. Enable CKM_EDDSA and CKM_EC_EDWARDS_KEY_PAIR_GEN, or use another token";
        findings.push(Finding::warning("hsm.mechanism.ed25519", says));
    } else if !token.wraps_ed25519 {
        let says = "this token does not wrap Ed25519 keys: they stay on it as objects, and are lost with it unless its vendor's backup holds them";
        findings.push(Finding::warning("hsm.mechanism.ed25519_wrap", says));
    }
    if findings.is_empty() {
        let says = format!("{} mechanisms, and none of those that the service uses is missing", token.mechanisms.len());
        findings.push(Finding::ok("hsm.mechanisms", says));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;

    fn without(name: &str) -> Vec<(String, State)> {
        let all = WANTED.iter().flat_map(|mechanism| mechanism.names);
        let token = Capabilities {
            mechanisms: all.filter(|each| **each != name).map(|each| (*each).to_owned()).collect(),
            ed25519: true,
            wraps_ed25519: true,
            ..Capabilities::default()
        };
        examine(&token).into_iter().map(|finding| (finding.check, finding.state)).collect()
    }

    #[test]
    fn each_mechanism_that_is_missing_is_named_with_what_it_costs() {
        assert_eq!(without(""), [("hsm.mechanisms".to_owned(), State::Ok)]);
        for mechanism in WANTED {
            let state = if mechanism.essential { State::Failed } else { State::Warning };
            for name in mechanism.names {
                assert_eq!(without(name), [(format!("hsm.mechanism.{name}"), state)]);
            }
        }
    }
}
