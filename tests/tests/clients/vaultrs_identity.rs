//! The crate vaultrs, where it says who somebody is: people, entities and their groups, other login methods, namespaces.

use super::vaultrs::{client, status_of};
use ::vaultrs::api::auth::cert::requests::CreateCaCertificateRoleRequest;
use ::vaultrs::api::auth::kubernetes::requests::CreateKubernetesRoleRequest;
use ::vaultrs::api::auth::oidc::requests::{SetConfigurationRequest, SetRoleRequest};
use ::vaultrs::api::auth::userpass::requests::CreateUserRequest;
use ::vaultrs::api::identity::entity::requests::{CreateEntityRequest, UpdateEntityByIdRequest};
use ::vaultrs::api::identity::entity_alias::requests::{CreateEntityAliasRequest, UpdateEntityAliasByIdRequest};
use ::vaultrs::api::identity::group::requests::{CreateGroupByNameRequest, CreateGroupRequest, UpdateGroupByIdRequest};
use ::vaultrs::api::identity::group_alias::requests::{CreateGroupAliasRequest, UpdateGroupAliasByIdRequest};
use ::vaultrs::auth::{cert, kubernetes, oidc, userpass};
use ::vaultrs::client::{Client, VaultClient};
use ::vaultrs::identity::{entity, entity_alias, group, group_alias};
use ::vaultrs::sys::{auth, mount, policy};
use ::vaultrs::token;
use std::collections::HashMap;
use tests::{Authority, Server, Site};

const READS_MOUNTS: &str = "path \"sys/mounts\" { capabilities = [\"read\"] }";

async fn begun() -> (Site, Server, VaultClient) {
    let (site, server) = Site::started("").await.unwrap();
    let operator = client(&site, &server, &server.token);
    policy::set(&operator, "reader", READS_MOUNTS).await.unwrap();
    (site, server, operator)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn vaultrs_makes_people_who_log_in_with_passwords() {
    let (site, server, operator) = begun().await;
    auth::enable(&operator, "people", "userpass", None).await.unwrap();
    assert_eq!(status_of(userpass::user::list(&operator, "people").await), 404);
    let mut wanted = CreateUserRequest::builder();
    wanted.token_policies(texts(&["reader"])).token_ttl("20m").token_bound_cidrs(texts(&["127.0.0.1"]));
    userpass::user::set(&operator, "people", "bob", "pw", Some(&mut wanted)).await.unwrap();
    assert_eq!(userpass::user::list(&operator, "people").await.unwrap().keys, ["bob"]);
    let shown = userpass::user::read(&operator, "people", "bob").await.unwrap();
    assert_eq!(
        (shown.token_ttl, shown.token_policies, shown.token_bound_cidrs),
        (1200, texts(&["reader"]), texts(&["127.0.0.1"]))
    );

    let mut person = client(&site, &server, "");
    assert_eq!(status_of(userpass::login(&person, "people", "bob", "no").await), 400);
    let login = userpass::login(&person, "people", "bob", "pw").await.unwrap();
    assert_eq!((login.lease_duration, login.metadata.unwrap()["username"].as_str()), (1200, "bob"));
    person.set_token(&login.client_token);
    assert!(mount::list(&person).await.unwrap().contains_key("sys/"));
    userpass::user::update_password(&operator, "people", "bob", "new").await.unwrap();
    userpass::user::update_policies(&operator, "people", "bob", "default").await.unwrap();
    let stranger = client(&site, &server, "");
    assert_eq!(status_of(userpass::login(&stranger, "people", "bob", "pw").await), 400);
    assert_eq!(userpass::login(&stranger, "people", "bob", "new").await.unwrap().policies, ["default"]);
    userpass::user::delete(&operator, "people", "bob").await.unwrap();
    assert_eq!(status_of(userpass::user::read(&operator, "people", "bob").await), 404);
}

#[tokio::test]
async fn vaultrs_says_who_somebody_is_and_in_which_groups() {
    let (site, server, operator) = begun().await;
    auth::enable(&operator, "userpass", "userpass", None).await.unwrap();
    let accessor = auth::list(&operator).await.unwrap()["userpass/"].accessor.clone();
    assert_eq!(status_of(entity::list_by_id(&operator).await), 404);
    let team = HashMap::from([("team".to_owned(), "blue".to_owned())]);
    let mut wanted = CreateEntityRequest::builder();
    wanted.name("alice").metadata(team.clone()).policies(texts(&["reader"]));
    let alice = entity::create(&operator, Some(&mut wanted)).await.unwrap().id;
    entity::create_or_update_by_name(&operator, "eve", None).await.unwrap();
    entity::create_or_update_by_name(&operator, "eve", None).await.unwrap();
    let eve = entity::read_by_name(&operator, "eve").await.unwrap();
    assert_eq!((eve.metadata, eve.merged_entity_ids, eve.disabled), (None, None, false));
    assert_eq!(entity::list_by_name(&operator).await.unwrap().keys, ["alice", "eve"]);
    let mut update = UpdateEntityByIdRequest::builder();
    update.disabled(true);
    entity::update_by_id(&operator, &eve.id, Some(&mut update)).await.unwrap();
    assert!(entity::read_by_id(&operator, &eve.id).await.unwrap().disabled);
    update.disabled(false);
    entity::update_by_id(&operator, &eve.id, Some(&mut update)).await.unwrap();

    let mut known = CreateEntityAliasRequest::builder();
    known.custom_metadata(team.clone());
    let alias = entity_alias::create(&operator, "alice", &alice, &accessor, Some(&mut known)).await.unwrap();
    assert_eq!(alias.canonical_id, alice);
    let shown = entity_alias::read_by_id(&operator, &alias.id).await.unwrap();
    assert_eq!((shown.mount_path.as_str(), shown.custom_metadata), ("auth/userpass/", Some(team.clone())));
    assert_eq!(entity_alias::list_by_id(&operator).await.unwrap().key_info[&alias.id].name, "alice");
    let mut update = UpdateEntityAliasByIdRequest::builder();
    update.name("alice").canonical_id(&*alice).mount_accessor(&*accessor);
    entity_alias::update_by_id(&operator, &alias.id, Some(&mut update)).await.unwrap();
    let read = entity::read_by_id(&operator, &alice).await.unwrap();
    assert_eq!((read.aliases.len(), read.aliases[0].id.as_str(), read.metadata), (1, alias.id.as_str(), Some(team)));

    userpass::user::set(&operator, "userpass", "alice", "pw", None).await.unwrap();
    let mut person = client(&site, &server, "");
    person.set_token(&userpass::login(&person, "userpass", "alice", "pw").await.unwrap().client_token);
    assert_eq!(token::lookup_self(&person).await.unwrap().entity_id, alice);
    assert!(mount::list(&person).await.is_ok());
    let mut none = UpdateEntityByIdRequest::builder();
    none.policies(Vec::new());
    entity::update_by_id(&operator, &alice, Some(&mut none)).await.unwrap();
    assert_eq!(status_of(mount::list(&person).await), 403);

    // Groups: in one that is in another, of which she has the policies.
    let mut inner = CreateGroupRequest::builder();
    inner.member_entity_ids(vec![alice.clone()]);
    let inner = group::create(&operator, Some(&mut inner)).await.unwrap();
    let mut outer = CreateGroupByNameRequest::builder();
    outer.policies(texts(&["reader"])).member_group_ids(vec![inner.id.clone()]);
    group::create_or_update_by_name(&operator, "outer", Some(&mut outer)).await.unwrap();
    let outer = group::read_by_name(&operator, "outer").await.unwrap();
    assert_eq!((outer.member_group_ids, outer.group_type.as_str()), (Some(vec![inner.id.clone()]), "internal"));
    assert_eq!(group::read_by_id(&operator, &inner.id).await.unwrap().parent_group_ids, Some(vec![outer.id.clone()]));
    assert!(mount::list(&person).await.is_ok());
    let read = entity::read_by_id(&operator, &alice).await.unwrap();
    assert_eq!((read.direct_group_ids, read.inherited_group_ids), (vec![inner.id.clone()], vec![outer.id.clone()]));
    let mut update = UpdateGroupByIdRequest::builder();
    update.name("inner").member_entity_ids(Vec::new());
    group::update_by_id(&operator, &inner.id, Some(&mut update)).await.unwrap();
    assert_eq!(status_of(mount::list(&person).await), 403);
    assert_eq!(group::list_by_name(&operator).await.unwrap().keys, ["inner", "outer"]);
    group::delete_by_name(&operator, "outer").await.unwrap();
    assert_eq!(group::list_by_id(&operator).await.unwrap().keys, std::slice::from_ref(&inner.id));
    group::delete_by_id(&operator, &inner.id).await.unwrap();
    assert_eq!(status_of(group::list_by_id(&operator).await), 404);

    // An external one, by a name that a login method gives it.
    let mut external = CreateGroupRequest::builder();
    external.group_type("external");
    let external = group::create(&operator, Some(&mut external)).await.unwrap();
    let mut named = CreateGroupAliasRequest::builder();
    named.canonical_id(&*external.id);
    let alias = group_alias::create(&operator, "staff", &accessor, Some(&mut named)).await.unwrap();
    assert_eq!(group_alias::read_by_id(&operator, &alias.id).await.unwrap().canonical_id, external.id);
    let mut renamed = UpdateGroupAliasByIdRequest::builder();
    renamed.name("crew").canonical_id(&*external.id);
    group_alias::update_by_id(&operator, &alias.id, &accessor, Some(&mut renamed)).await.unwrap();
    assert_eq!(group_alias::read_by_id(&operator, &alias.id).await.unwrap().name, "crew");
    assert_eq!(group_alias::list_by_id(&operator).await.unwrap().keys, std::slice::from_ref(&alias.id));
    group_alias::delete_by_id(&operator, &alias.id).await.unwrap();

    // Two who are one.
    entity::merge(&operator, vec![eve.id.clone()], alice.clone(), None).await.unwrap();
    assert_eq!(entity::read_by_id(&operator, &alice).await.unwrap().merged_entity_ids, Some(vec![eve.id]));
    entity_alias::delete_by_id(&operator, &entity::read_by_id(&operator, &alice).await.unwrap().aliases[0].id)
        .await
        .unwrap();
    entity::delete_by_id(&operator, &alice).await.unwrap();
    entity::create_or_update_by_name(&operator, "gone", None).await.unwrap();
    entity::delete_by_name(&operator, "gone").await.unwrap();
    let made = entity::create(&operator, None).await.unwrap().id;
    entity::batch_delete(&operator, vec![made]).await.unwrap();
    assert_eq!(status_of(entity::list_by_id(&operator).await), 404);
}

#[tokio::test]
async fn vaultrs_sets_up_login_methods_that_others_vouch_for() {
    let (_site, _server, operator) = begun().await;
    for method in ["cert", "jwt", "kubernetes"] {
        auth::enable(&operator, method, method, None).await.unwrap();
    }
    let authority = Authority::create("people").unwrap();
    let mut wanted = CreateCaCertificateRoleRequest::builder();
    wanted.token_policies(texts(&["reader"])).allowed_common_names(texts(&["web"]));
    cert::ca_cert_role::set(&operator, "cert", "web", &authority.pem, Some(&mut wanted)).await.unwrap();
    let shown = cert::ca_cert_role::read(&operator, "cert", "web").await.unwrap();
    assert_eq!((shown.certificate.trim(), shown.allowed_common_names), (authority.pem.trim(), Some(texts(&["web"]))));
    assert_eq!(cert::ca_cert_role::list(&operator, "cert").await.unwrap().keys, ["web"]);
    cert::ca_cert_role::delete(&operator, "cert", "web").await.unwrap();

    kubernetes::configure(&operator, "kubernetes", "https://127.0.0.1:1", None).await.unwrap();
    assert_eq!(kubernetes::read_config(&operator, "kubernetes").await.unwrap().kubernetes_host, "https://127.0.0.1:1");
    let mut wanted = CreateKubernetesRoleRequest::builder();
    wanted.bound_service_account_names(texts(&["app"])).bound_service_account_namespaces(texts(&["prod"]));
    kubernetes::role::create(&operator, "kubernetes", "web", Some(&mut wanted)).await.unwrap();
    let shown = kubernetes::role::read(&operator, "kubernetes", "web").await.unwrap();
    assert_eq!(shown.bound_service_account_names, ["app"]);
    assert_eq!(kubernetes::role::list(&operator, "kubernetes").await.unwrap().keys, ["web"]);
    kubernetes::role::delete(&operator, "kubernetes", "web").await.unwrap();

    let key = rcgen::KeyPair::generate().unwrap().public_key_pem();
    let mut wanted = SetConfigurationRequest::builder();
    wanted.jwt_validation_pubkeys(vec![key.clone()]).default_role("dev");
    oidc::config::set(&operator, "jwt", Some(&mut wanted)).await.unwrap();
    let shown = oidc::config::read(&operator, "jwt").await.unwrap();
    assert_eq!(shown.default_role.as_deref(), Some("dev"));
    let mut wanted = SetRoleRequest::builder();
    wanted.role_type("jwt").bound_audiences(texts(&["us"]));
    oidc::role::set(&operator, "jwt", "dev", "sub", Vec::new(), Some(&mut wanted)).await.unwrap();
    let shown = oidc::role::read(&operator, "jwt", "dev").await.unwrap();
    assert_eq!((shown.role_type.as_str(), shown.bound_audiences), ("jwt", Some(texts(&["us"]))));
    assert_eq!(oidc::role::list(&operator, "jwt").await.unwrap().keys, ["dev"]);
    assert_eq!(status_of(oidc::login(&operator, "jwt", "a.b.c", None).await), 400);
    oidc::role::delete(&operator, "jwt", "dev").await.unwrap();
}

#[tokio::test]
async fn vaultrs_works_in_a_namespace_and_nowhere_else() {
    let (site, server, _) = begun().await;
    for code in ["team", "other"] {
        assert_eq!(server.put(&format!("sys/namespaces/{code}"), serde_json::json!({})).await.unwrap().status, 200);
    }
    let inside = |code: &str, token: &str| {
        let mut inside = client(&site, &server, token);
        inside.middle.namespace = Some(code.to_owned());
        inside
    };
    let administrator = inside("team", &server.token);
    auth::enable(&administrator, "userpass", "userpass", None).await.unwrap();
    policy::set(&administrator, "reader", READS_MOUNTS).await.unwrap();
    let mut wanted = CreateUserRequest::builder();
    wanted.token_policies(texts(&["reader"]));
    userpass::user::set(&administrator, "userpass", "bob", "pw", Some(&mut wanted)).await.unwrap();
    let alone = inside("team", "");
    let given = userpass::login(&alone, "userpass", "bob", "pw").await.unwrap().client_token;
    assert!(mount::list(&inside("team", &given)).await.unwrap().contains_key("sys/"));
    assert_eq!(entity::list_by_name(&administrator).await.unwrap().keys.len(), 1);
    for elsewhere in [inside("other", &given), client(&site, &server, &given)] {
        assert_eq!(status_of(mount::list(&elsewhere).await), 403);
    }
    assert_eq!(status_of(userpass::login(&inside("other", ""), "userpass", "bob", "pw").await), 403);
    assert_eq!(status_of(entity::list_by_name(&client(&site, &server, &server.token)).await), 404);
}
