//! The crate vaultrs, where it keeps secrets.

use super::vaultrs::{client, status_of};
use ::vaultrs::api::kv2::requests::{SetConfigurationRequest, SetSecretMetadataRequest, SetSecretRequestOptions};
use ::vaultrs::api::sys::requests::EnableEngineRequest;
use ::vaultrs::sys::mount;
use ::vaultrs::{kv1, kv2};
use serde_json::{Value, json};
use std::collections::HashMap;
use tests::Site;

#[tokio::test]
async fn vaultrs_keeps_secrets_in_both_versions_of_the_engine() {
    let (site, server) = Site::started("").await.unwrap();
    let operator = client(&site, &server, &server.token);
    let mut options = EnableEngineRequest::builder();
    options.options(HashMap::from([("version".to_owned(), "2".to_owned())]));
    mount::enable(&operator, "secret", "kv", Some(&mut options)).await.unwrap();
    assert_eq!(mount::list(&operator).await.unwrap()["secret/"].mount_type, "kv");

    let mut settings = SetConfigurationRequest::builder();
    settings.max_versions(5u64).delete_version_after("1h");
    kv2::config::set(&operator, "secret", Some(&mut settings)).await.unwrap();
    let shown = kv2::config::read(&operator, "secret").await.unwrap();
    assert_eq!((shown.max_versions, shown.delete_version_after.as_str(), shown.cas_required), (5, "1h0m0s", false));

    assert_eq!(status_of(kv2::read::<Value>(&operator, "secret", "app/a").await), 404);
    assert_eq!(kv2::set(&operator, "secret", "app/a", &json!({"x": 1})).await.unwrap().version, 1);
    let guard = |cas| SetSecretRequestOptions { cas };
    let written = kv2::set_with_options(&operator, "secret", "app/a", &json!({"x": 2}), guard(1)).await.unwrap();
    assert!(written.version == 2 && !written.deletion_time.is_empty());
    assert_eq!(status_of(kv2::set_with_options(&operator, "secret", "app/a", &json!({}), guard(1)).await), 400);
    assert_eq!(kv2::read::<Value>(&operator, "secret", "app/a").await.unwrap(), json!({"x": 2}));
    assert_eq!(kv2::read_version::<Value>(&operator, "secret", "app/a", 1).await.unwrap(), json!({"x": 1}));

    kv2::delete_latest(&operator, "secret", "app/a").await.unwrap();
    // An answer with data, which this client takes for no error of Vault's.
    let deleted = kv2::read::<Value>(&operator, "secret", "app/a").await.unwrap_err();
    assert!(format!("{deleted:?}").contains("code: 404"), "{deleted:?}");
    kv2::undelete_versions(&operator, "secret", "app/a", vec![2]).await.unwrap();
    kv2::delete_versions(&operator, "secret", "app/a", vec![2]).await.unwrap();
    kv2::undelete_versions(&operator, "secret", "app/a", vec![2]).await.unwrap();
    kv2::destroy_versions(&operator, "secret", "app/a", vec![1]).await.unwrap();
    let mut metadata = SetSecretMetadataRequest::builder();
    metadata.max_versions(3u64).cas_required(true);
    kv2::set_metadata(&operator, "secret", "app/a", Some(&mut metadata)).await.unwrap();
    let shown = kv2::read_metadata(&operator, "secret", "app/a").await.unwrap();
    assert_eq!((shown.current_version, shown.max_versions, shown.cas_required), (2, 3, true));
    assert!(shown.versions["1"].destroyed && !shown.versions["2"].destroyed);
    assert_eq!(kv2::list(&operator, "secret", "app").await.unwrap(), ["a"]);
    kv2::delete_metadata(&operator, "secret", "app/a").await.unwrap();
    assert_eq!(status_of(kv2::read_metadata(&operator, "secret", "app/a").await), 404);

    mount::enable(&operator, "old", "kv-v1", None).await.unwrap();
    kv1::set(&operator, "old", "app/a", &HashMap::from([("x", "1"), ("ttl", "90s")])).await.unwrap();
    let read: HashMap<String, String> = kv1::get(&operator, "old", "app/a").await.unwrap();
    assert_eq!(read["x"], "1");
    assert_eq!(kv1::get_raw(&operator, "old", "app/a").await.unwrap().lease_duration, 90);
    assert_eq!(kv1::list(&operator, "old", "app").await.unwrap().data.keys, ["a"]);
    kv1::delete(&operator, "old", "app/a").await.unwrap();
    assert_eq!(status_of(kv1::get::<Value>(&operator, "old", "app/a").await), 404);
}
