//! `token_*` of a role: what tokens made through it are like.

use crate::cidr;
use crate::error::{Error, Result};
use crate::token::{ROOT_POLICY, sanitized, with_default};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What a role says of its tokens. Times in seconds, 0: the mount's, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the words are the API's, which puts `token_` in front of each")]
pub struct TokenSettings {
    pub ttl: u64,
    pub max_ttl: u64,
    /// As they were sent; lower case only on tokens.
    pub policies: Vec<String>,
    pub bound_cidrs: Vec<IpNet>,
    pub explicit_max_ttl: u64,
    pub no_default_policy: bool,
    pub num_uses: u32,
    pub period: u64,
    /// `default`, `service`, `batch`, `default-service` or `default-batch`; empty: `default`.
    pub token_type: String,
    pub strictly_bind_ip: bool,
    /// What was said by its old name, which is the new one without `token_`, is read back by that, too.
    pub old_names: Vec<String>,
}

/// Wanted settings; `None`: as it is. Times in seconds.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "as above")]
pub struct TokenSettingsChange {
    pub ttl: Option<u64>,
    pub max_ttl: Option<u64>,
    pub policies: Option<Vec<String>>,
    pub bound_cidrs: Option<Vec<String>>,
    pub explicit_max_ttl: Option<u64>,
    pub no_default_policy: Option<bool>,
    pub num_uses: Option<i64>,
    pub period: Option<u64>,
    pub token_type: Option<String>,
    pub strictly_bind_ip: Option<bool>,
    /// Old names that were used.
    pub old_names: Vec<String>,
}

const TYPES: [&str; 5] = ["default", "service", "batch", "default-service", "default-batch"];

impl TokenSettings {
    /// With `change`, if that can be.
    pub(crate) fn changed(mut self, change: TokenSettingsChange) -> Result<Self> {
        let named = [
            ("bound_cidrs", change.bound_cidrs.is_some()),
            ("max_ttl", change.max_ttl.is_some()),
            ("num_uses", change.num_uses.is_some()),
            ("period", change.period.is_some()),
            ("policies", change.policies.is_some()),
            ("ttl", change.ttl.is_some()),
        ];
        for (name, _) in named.into_iter().filter(|(_, is_named)| *is_named) {
            self.old_names.retain(|known| known != name);
            self.old_names.extend(change.old_names.iter().filter(|used| *used == name).cloned());
        }
        self.ttl = change.ttl.unwrap_or(self.ttl);
        self.max_ttl = change.max_ttl.unwrap_or(self.max_ttl);
        self.policies = change.policies.unwrap_or(self.policies);
        if let Some(networks) = change.bound_cidrs {
            self.bound_cidrs = cidr::parse_all(&networks)?;
        }
        self.explicit_max_ttl = change.explicit_max_ttl.unwrap_or(self.explicit_max_ttl);
        self.no_default_policy = change.no_default_policy.unwrap_or(self.no_default_policy);
        if let Some(uses) = change.num_uses {
            self.num_uses = count(uses, "token_num_uses")?;
        }
        self.period = change.period.unwrap_or(self.period);
        if let Some(token_type) = change.token_type {
            if !token_type.is_empty() && !TYPES.contains(&token_type.as_str()) {
                return Err(Error::invalid(format!("invalid 'token_type' value {token_type:?}: {}", TYPES.join(", "))));
            }
            self.token_type = token_type;
        }
        self.strictly_bind_ip = change.strictly_bind_ip.unwrap_or(self.strictly_bind_ip);
        self.check()
    }

    fn check(self) -> Result<Self> {
        if self.max_ttl > 0 && self.ttl > self.max_ttl {
            return Err(Error::invalid("'token_ttl' cannot be greater than 'token_max_ttl'"));
        }
        if matches!(self.token_type.as_str(), "batch" | "default-batch") {
            let unfit = [(self.period > 0, "periodic tokens"), (self.num_uses > 0, "tokens with limited use count")];
            if let Some((_, what)) = unfit.into_iter().find(|(is, _)| *is) {
                return Err(Error::invalid(format!(
                    "'token_type' cannot be 'batch' or 'default_batch' when set to generate {what}"
                )));
            }
        }
        if self.strictly_bind_ip && !self.bound_cidrs.is_empty() {
            return Err(Error::invalid("'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one"));
        }
        if self.policies.iter().any(|policy| policy.trim().eq_ignore_ascii_case(ROOT_POLICY)) {
            return Err(Error::invalid("auth methods cannot create root tokens"));
        }
        Ok(self)
    }

    /// Policies of its tokens, sorted; the default one, where it is wanted, among them.
    pub(crate) fn token_policies(&self) -> Result<Vec<String>> {
        let policies = sanitized(&self.policies);
        if policies.iter().any(|policy| policy == ROOT_POLICY) {
            return Err(Error::invalid("auth methods cannot create root tokens"));
        }
        Ok(if self.no_default_policy { policies } else { with_default(policies) })
    }

    /// As reading a role shows them.
    pub fn data(&self) -> Map<String, Value> {
        let Value::Object(mut data) = json!({
            "token_bound_cidrs": self.bound_cidrs.iter().map(cidr::shown).collect::<Vec<_>>(),
            "token_explicit_max_ttl": self.explicit_max_ttl,
            "token_max_ttl": self.max_ttl,
            "token_no_default_policy": self.no_default_policy,
            "token_num_uses": self.num_uses,
            "token_period": self.period,
            "token_policies": self.policies,
            "token_strictly_bind_ip": self.strictly_bind_ip,
            "token_ttl": self.ttl,
            "token_type": if self.token_type.is_empty() { "default" } else { self.token_type.as_str() },
        }) else {
            return Map::new();
        };
        let none = [json!(0), json!([])];
        for name in &self.old_names {
            let value = data.get(&format!("token_{name}")).filter(|value| !none.contains(value)).cloned();
            data.extend(value.map(|value| (name.clone(), value)));
        }
        data
    }
}

/// A number of uses.
pub(crate) fn count(uses: i64, name: &str) -> Result<u32> {
    if uses < 0 {
        return Err(Error::invalid(format!("'{name}' cannot be negative")));
    }
    i32::try_from(uses)
        .ok()
        .and_then(|uses| u32::try_from(uses).ok())
        .ok_or_else(|| Error::invalid(format!("'{name}' is too large")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: TokenSettingsChange) -> String {
        TokenSettings::default().changed(change).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let told = refused(TokenSettingsChange { ttl: Some(7200), max_ttl: Some(3600), ..Default::default() });
        assert_eq!(told, "'token_ttl' cannot be greater than 'token_max_ttl'");
        let batch = || TokenSettingsChange { token_type: Some("batch".into()), ..Default::default() };
        refused(TokenSettingsChange { num_uses: Some(1), ..batch() });
        refused(TokenSettingsChange { period: Some(1), ..batch() });
        refused(TokenSettingsChange { token_type: Some("weird".into()), ..Default::default() });
        refused(TokenSettingsChange { num_uses: Some(-1), ..Default::default() });
        refused(TokenSettingsChange { bound_cidrs: Some(vec!["bad".into()]), ..Default::default() });
        refused(TokenSettingsChange { policies: Some(vec![" Root".into()]), ..Default::default() });
        let networks = Some(vec!["10.0.0.0/8".into()]);
        let both = TokenSettingsChange { strictly_bind_ip: Some(true), bound_cidrs: networks, ..Default::default() };
        assert!(refused(both).contains("set only one"));
    }

    #[test]
    fn what_is_not_named_stays_and_old_names_are_read_back() {
        let first = TokenSettingsChange {
            ttl: Some(60),
            policies: Some(vec!["p".into()]),
            old_names: vec!["policies".into()],
            ..Default::default()
        };
        let settings = TokenSettings::default().changed(first).expect("valid");
        let second = TokenSettingsChange { max_ttl: Some(120), ..Default::default() };
        let settings = settings.changed(second).expect("valid");
        let data = settings.data();
        assert_eq!((&data["token_ttl"], &data["token_max_ttl"]), (&json!(60), &json!(120)));
        assert_eq!((&data["policies"], &data["token_policies"]), (&json!(["p"]), &json!(["p"])));
        let third = TokenSettingsChange { policies: Some(Vec::new()), ..Default::default() };
        assert!(settings.changed(third).expect("valid").data().get("policies").is_none());
        let all = TokenSettingsChange {
            ttl: Some(60),
            max_ttl: Some(0),
            num_uses: Some(3),
            bound_cidrs: Some(vec!["10.0.0.1".into()]),
            old_names: ["ttl", "max_ttl", "num_uses", "bound_cidrs"].map(String::from).to_vec(),
            ..Default::default()
        };
        let settings = TokenSettings::default().changed(all).expect("valid");
        let data = settings.data();
        assert_eq!(
            (&data["ttl"], &data["num_uses"], &data["bound_cidrs"]),
            (&json!(60), &json!(3), &json!(["10.0.0.1"]))
        );
        assert!(data.get("max_ttl").is_none(), "what says nothing is not shown twice");
        // The new name takes the old one back.
        let by_new = TokenSettingsChange { ttl: Some(90), ..Default::default() };
        let data = settings.changed(by_new).expect("valid").data();
        assert_eq!((data.get("ttl"), &data["token_ttl"], &data["num_uses"]), (None, &json!(90), &json!(3)));
    }
}
