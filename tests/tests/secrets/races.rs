//! Many writers of one secret, through two servers.

use super::{ask, done, started};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::BTreeSet;
use tests::Site;

const WRITERS: usize = 64;

/// Versions of successful writes, by chain: each server writes one, in the order of its commits.
async fn recorded(site: &Site, path: &str) -> Vec<i32> {
    let mut superuser = site.secure.superuser().await.unwrap();
    let rows = sqlx::query(
        "SELECT (event_data ->> 'version')::integer AS version, chain_id, seq FROM secure_audit_log \
         WHERE event_type = 'secret.write' AND result = 'success' AND event_data ->> 'secret' = $1 ORDER BY chain_id, seq",
    )
    .bind(path)
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let of_chains: Vec<(uuid::Uuid, i32)> = rows.iter().map(|row| (row.get("chain_id"), row.get("version"))).collect();
    for pair in of_chains.windows(2) {
        assert!(pair[0].0 != pair[1].0 || pair[0].1 < pair[1].1, "a chain has versions out of order: {of_chains:?}");
    }
    of_chains.into_iter().map(|(_, version)| version).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_writers_with_the_same_check_and_set_exactly_one_wins_each_round() {
    let (site, server) = started().await;
    let mut other = site.serve().await.unwrap();
    other.token.clone_from(&server.token);
    other.until_health(200).await.unwrap();
    let rounds = 6;
    for round in 0..rounds {
        let write = |writer: usize| {
            let body = json!({"data": {"writer": writer, "round": round}, "options": {"cas": round}});
            let server = if writer.is_multiple_of(2) { &server } else { &other };
            async move { server.put("secret/data/one", body).await.unwrap() }
        };
        let answers = join_all((0..WRITERS).map(write)).await;
        let winners: Vec<usize> =
            answers.iter().enumerate().filter(|(_, answer)| answer.status == 200).map(|(writer, _)| writer).collect();
        let [winner] = winners.as_slice() else { panic!("round {round}: {winners:?} won") };
        assert_eq!(answers[*winner].body["data"]["version"], round + 1);
        for (writer, answer) in answers.iter().enumerate().filter(|(writer, _)| writer != winner) {
            let told = (answer.status.as_u16(), answer.error());
            assert_eq!(told, (400, "check-and-set parameter did not match the current version"), "{writer}");
        }
        // What is read at once, by whichever server, is the winner's.
        for server in [&server, &other] {
            let read = done(server, "GET secret/data/one").await;
            assert_eq!(
                (&read["data"], &read["metadata"]["version"]),
                (&json!({"writer": winner, "round": round}), &json!(round + 1))
            );
        }
    }
    let versions: BTreeSet<i32> = recorded(&site, "one").await.into_iter().collect();
    assert_eq!(versions, (1..=rounds).collect());
    assert!(site.succeeds(&["audit", "verify", "--rows"]).unwrap().contains("holds"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_without_it_none_is_lost_and_no_version_is_given_twice() {
    let (site, server) = started().await;
    let mut other = site.serve().await.unwrap();
    other.token.clone_from(&server.token);
    other.until_health(200).await.unwrap();
    done(&server, "POST secret/config {\"max_versions\":1000}").await;
    let write = |writer: usize| {
        let server = if writer.is_multiple_of(2) { &server } else { &other };
        async move { (writer, server.put("secret/data/one", json!({"data": {"writer": writer}})).await.unwrap()) }
    };
    let mut given: Vec<(i64, usize)> = Vec::new();
    for (writer, answer) in join_all((0..WRITERS).map(write)).await {
        // Two servers may be in each other's way too often; then it is said, and nothing was written.
        match answer.status.as_u16() {
            200 => given.push((answer.body["data"]["version"].as_i64().unwrap(), writer)),
            503 => assert!(answer.error().contains("changed by others"), "{answer:?}"),
            _ => panic!("{answer:?}"),
        }
    }
    given.sort_unstable();
    let versions: Vec<i64> = given.iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, (1..=i64::try_from(given.len()).unwrap()).collect::<Vec<_>>());
    assert!(given.len() > WRITERS / 2, "{} of {WRITERS} came through", given.len());
    for (version, writer) in given {
        let read: Value = done(&server, &format!("GET secret/data/one?version={version}")).await;
        assert_eq!(read["data"]["writer"], writer, "version {version}");
    }
    assert_eq!(ask(&server, "GET secret/data/one?version=65").await.status, 404);
}
