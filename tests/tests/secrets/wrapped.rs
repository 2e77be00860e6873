//! Secrets in wrapping tokens, and what tokens keep: encrypted like secrets, and nowhere in the clear.

use super::{ask, done, started};
use serde_json::json;

const SECRET: &str = "correct horse battery staple";

#[tokio::test]
async fn a_secret_that_was_read_into_a_wrapping_token_is_taken_out_once_and_nothing_shows_it_before() {
    let (site, mut server) = started().await;
    let data = json!({"password": SECRET});
    server.put("secret/data/app/a", json!({ "data": data })).await.unwrap();
    server.put("kv/app/a", data.clone()).await.unwrap();
    server.put("cubbyhole/mine", data.clone()).await.unwrap();
    let mut tokens = Vec::new();
    for line in ["GET secret/data/app/a", "GET kv/app/a", "GET clm/secrets/app.a", "GET secret/subkeys/app/a"] {
        "120".clone_into(&mut server.wrap_ttl);
        let wrapped = ask(&server, line).await;
        server.wrap_ttl.clear();
        assert_eq!(wrapped.status, 200, "{line}: {wrapped:?}");
        let info = &wrapped.body["wrap_info"];
        assert_eq!(info["creation_path"], line.split_once(' ').unwrap().1);
        assert!(wrapped.body["data"].is_null() && !wrapped.body.to_string().contains(SECRET), "{wrapped:?}");
        tokens.push(info["token"].as_str().unwrap().to_owned());
    }
    // While they are kept: neither database, log nor metrics has the value.
    let metrics = server.get("sys/metrics?format=prometheus").await.unwrap().body.to_string();
    let log = std::fs::read_to_string(site.path("server.log")).unwrap();
    assert!(!metrics.contains(SECRET) && !log.contains(SECRET));
    for database in [&site.secure, &site.core] {
        let dump = std::process::Command::new("pg_dump").arg(database.url("clm_admin")).output().unwrap();
        assert!(dump.status.success(), "{dump:?}");
        let dump = String::from_utf8_lossy(&dump.stdout);
        assert!(dump.contains("audit_log") && !dump.contains(SECRET) && !dump.contains(&hex::encode(SECRET)));
        assert!(!dump.contains(&base64::Engine::encode(&base64::prelude::BASE64_STANDARD, SECRET)));
    }
    let mut taken = Vec::new();
    for token in &tokens {
        let unwrap = json!({ "token": token });
        let answer = server.put("sys/wrapping/unwrap", unwrap.clone()).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        taken.push(answer.body["data"].clone());
        assert_eq!(server.put("sys/wrapping/unwrap", unwrap).await.unwrap().status, 400, "once");
    }
    assert_eq!(taken[0]["data"], data);
    assert_eq!((&taken[0]["metadata"]["version"], &taken[1]), (&json!(1), &data));
    assert_eq!((&taken[2]["data"], &taken[2]["name"]), (&data, &json!("app.a")));
    assert_eq!(taken[3]["subkeys"], json!({"password": null}));
    assert_eq!(done(&server, "GET cubbyhole/mine").await, data);
    // A deleted version is no secret to keep: it is answered as it is.
    done(&server, "DELETE secret/data/app/a").await;
    "120".clone_into(&mut server.wrap_ttl);
    let gone = ask(&server, "GET secret/data/app/a").await;
    server.wrap_ttl.clear();
    assert_eq!((gone.status.as_u16(), &gone.body["wrap_info"]), (404, &json!(null)));
    // The value was read four times, and is on record by its HMAC.
    let mut superuser = site.secure.superuser().await.unwrap();
    let reads: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT event_data ->> 'value_hmac' FROM secure_audit_log WHERE event_type LIKE 'secret.read%' AND result = 'success' AND event_data ? 'value_hmac'",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(reads.len(), 1, "{reads:?}");
}
