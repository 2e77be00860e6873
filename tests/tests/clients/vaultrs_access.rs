//! The crate vaultrs, where it says who may do what: AppRole, answers in wrapping tokens.

use super::vaultrs::{client, status_of};
use ::vaultrs::api::ResponseWrapper;
use ::vaultrs::api::auth::approle::requests::{GenerateNewSecretIDRequest, SetAppRoleRequest};
use ::vaultrs::api::auth::approle::responses::GenerateNewSecretIDResponse;
use ::vaultrs::auth::approle;
use ::vaultrs::auth::approle::role;
use ::vaultrs::client::Client;
use ::vaultrs::sys::{auth, mount, policy, wrapping};
use tests::Site;

#[tokio::test]
async fn vaultrs_logs_a_program_in_with_a_secret_id_that_it_was_handed_in_a_wrapping_token() {
    let (site, server) = Site::started("").await.unwrap();
    let operator = client(&site, &server, &server.token);
    policy::set(&operator, "reader", "path \"sys/mounts\" { capabilities = [\"read\"] }").await.unwrap();
    auth::enable(&operator, "programs", "approle", None).await.unwrap();
    assert_eq!(auth::list(&operator).await.unwrap()["programs/"].mount_type, "approle");
    assert_eq!(status_of(role::list(&operator, "programs").await), 404);
    let mut wanted = SetAppRoleRequest::builder();
    wanted.token_policies(vec!["reader".to_owned()]).token_ttl("20m").secret_id_num_uses(4u64);
    role::set(&operator, "programs", "builder", Some(&mut wanted)).await.unwrap();
    assert_eq!(role::list(&operator, "programs").await.unwrap().keys, ["builder"]);
    let shown = role::read(&operator, "programs", "builder").await.unwrap();
    assert_eq!((shown.token_ttl, shown.secret_id_num_uses, shown.bind_secret_id), (1200, 4, true));
    role::update_id(&operator, "programs", "builder", "builder-1").await.unwrap();
    assert_eq!(role::read_id(&operator, "programs", "builder").await.unwrap().role_id, "builder-1");

    let request = GenerateNewSecretIDRequest::builder().mount("programs").role_name("builder").build().unwrap();
    let wrapped = request.wrap(&operator).await.unwrap();
    assert_eq!(wrapped.lookup(&operator).await.unwrap().creation_path, "auth/programs/role/builder/secret-id");
    let program = client(&site, &server, &wrapped.info.token);
    let secret: GenerateNewSecretIDResponse = wrapping::unwrap(&program, None).await.unwrap();
    assert_eq!(status_of(wrapping::unwrap::<GenerateNewSecretIDResponse>(&program, None).await), 400);

    let mut program = client(&site, &server, "");
    let login = approle::login(&program, "programs", "builder-1", &secret.secret_id).await.unwrap();
    assert_eq!(
        (login.policies.as_slice(), login.lease_duration),
        (&["default".to_owned(), "reader".to_owned()][..], 1200)
    );
    program.set_token(&login.client_token);
    assert!(mount::list(&program).await.unwrap().contains_key("sys/"));
    assert_eq!(status_of(approle::login(&operator, "programs", "builder-1", "wrong").await), 400);

    let seen = role::secret::read(&operator, "programs", "builder", &secret.secret_id).await.unwrap();
    assert_eq!((seen.secret_id_accessor.as_str(), seen.secret_id_num_uses), (secret.secret_id_accessor.as_str(), 3));
    let accessors = role::secret::list(&operator, "programs", "builder").await.unwrap();
    assert_eq!(accessors.keys, std::slice::from_ref(&secret.secret_id_accessor));
    role::secret::read_accessor(&operator, "programs", "builder", &secret.secret_id_accessor).await.unwrap();
    let custom = role::secret::custom(&operator, "programs", "builder", "by-hand", None).await.unwrap();
    assert_eq!(custom.secret_id, "by-hand");
    role::secret::delete(&operator, "programs", "builder", "by-hand").await.unwrap();
    role::secret::delete_accessor(&operator, "programs", "builder", &secret.secret_id_accessor).await.unwrap();
    assert_eq!(status_of(approle::login(&operator, "programs", "builder-1", &secret.secret_id).await), 400);
    role::delete(&operator, "programs", "builder").await.unwrap();
    auth::disable(&operator, "programs").await.unwrap();
    assert_eq!(status_of(mount::list(&program).await), 403);
}
