//! What a caller, an operator and an attacker would notice.

use crate::support::{self, Site, event};
use audit_chain::{Arrival, BreakKind, Event, Found, Outcome, Value};
use audit_log::{AuditError, AuditLog, CORE, ChangeError, SECURE};
use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use uuid::Uuid;

#[tokio::test]
async fn sixty_four_callers_at_once_leave_one_chain_without_gaps() {
    let site = Site::secure().await;
    let log = site.log();
    let events: Vec<_> = (0..64 * 8).map(|_| event()).collect();
    let ids: BTreeSet<Uuid> = events.iter().map(|event| event.id).collect();
    let callers = events.chunks(8).map(|events| {
        let (log, events) = (log.clone(), events.to_vec());
        tokio::spawn(async move {
            for event in events {
                log.append(event).await.unwrap();
            }
        })
    });
    join_all(callers).await.into_iter().for_each(|done| done.unwrap());
    let records = site.records().await;
    assert_eq!(records.iter().map(|record| record.event.id).collect::<BTreeSet<_>>(), ids);
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), (1..=64 * 8).collect::<Vec<_>>());
    assert_eq!(site.report().await.breaks, []);
}

#[tokio::test]
async fn a_commit_waits_for_company_only_while_work_lies_ahead() {
    for (ahead, commits) in [(Duration::from_secs(1), 1), (Duration::ZERO, 2)] {
        let site = Site::secure().await;
        let itself: Arc<Mutex<Option<AuditLog>>> = Arc::default();
        let (told, company) = mpsc::channel();
        // The second record is queued when the writer has taken the first.
        let asked = Arc::clone(&itself);
        let ahead = Box::new(move || {
            if let Some(log) = asked.lock().unwrap().take() {
                told.send(tokio::spawn(log.append(event()))).unwrap();
            }
            ahead
        });
        let log = AuditLog::start_behind(site.options(), site.table, false, ahead);
        *itself.lock().unwrap() = Some(log.clone());
        log.append(event()).await.unwrap();
        company.recv().unwrap().await.unwrap().unwrap();
        let transactions = "SELECT count(DISTINCT xmin::text) FROM secure_audit_log";
        let found: i64 = sqlx::query_scalar(transactions).fetch_one(&mut site.superuser().await).await.unwrap();
        assert_eq!((found, site.records().await.len()), (commits, 2));
    }
}

#[tokio::test]
async fn what_is_written_is_read_as_it_was_hashed() {
    for site in [Site::secure().await, Site::core().await] {
        let log = site.log();
        let mut odd = event();
        odd.timestamp = "2026-11-23T01:02:03.123456789Z".parse().unwrap();
        odd.resource_id = Some("a\0b \u{1F511} \\ \" \n".into());
        odd.user_agent = Some(String::new());
        odd.ip_address = Some("::ffff:10.0.0.1".parse().unwrap());
        odd.data = [
            ("path\0".to_owned(), Value::Text("a\0b\u{fffd}\u{7f}".into())),
            ("numbers".to_owned(), Value::List(vec![Value::Integer(i64::MIN), Value::Integer(i64::MAX), Value::Null])),
            ("empty".to_owned(), Value::Map([].into())),
            ("session_id".to_owned(), Value::Text("s".into())),
        ]
        .into();
        log.append(odd.clone()).await.unwrap();
        let mut bare = event();
        (bare.resource_id, bare.accessor, bare.ip_address, bare.data) = (None, None, None, [].into());
        log.append(bare.clone()).await.unwrap();
        let records = site.records().await;
        assert_eq!((&records[0].event, &records[1].event), (&odd.storable(), &bare.storable()));
        assert_eq!(site.report().await.breaks, []);
    }
}

#[tokio::test]
async fn a_state_change_and_its_record_are_there_together_or_not_at_all() {
    let site = Site::secure().await;
    site.sql(
        "CREATE TABLE things (id int PRIMARY KEY, organization text DEFAULT current_setting('clm.organization_id'))",
    )
    .await;
    site.sql("GRANT SELECT, INSERT ON things TO clm_secure_app").await;
    let log = site.log();
    let organization = Uuid::now_v7();
    let insert = |id: i32| {
        let log = log.clone();
        async move {
            log.commit::<_, sqlx::Error, _>(organization, move |connection| {
                Box::pin(async move {
                    sqlx::query("INSERT INTO things (id) VALUES ($1)").bind(id).execute(connection).await?;
                    Ok((id, event()))
                })
            })
            .await
        }
    };
    assert_eq!(insert(1).await.unwrap(), 1);
    // In one batch: one more that is taken, one whose row is there already, and records of others.
    let (taken, refused, appended) = tokio::join!(insert(2), insert(1), log.append(event()));
    assert_eq!(taken.unwrap(), 2);
    assert!(matches!(refused, Err(ChangeError::Change(_))), "{refused:?}");
    appended.unwrap();
    // A change that takes no notice of its error, one that panics, one whose event the log does not take: others of its batch notice nothing.
    let careless = || {
        log.commit::<_, sqlx::Error, _>(organization, |connection| {
            Box::pin(async move {
                drop(sqlx::query("INSERT INTO things (id) VALUES (1)").execute(&mut *connection).await);
                Ok(((), event()))
            })
        })
    };
    let is_refused = |careless: Result<(), ChangeError<sqlx::Error>>| {
        assert!(matches!(careless, Err(ChangeError::Audit(AuditError::Unavailable(_)))), "{careless:?}");
    };
    let panics = log.commit::<(), sqlx::Error, _>(organization, |connection| {
        Box::pin(async move {
            sqlx::query("INSERT INTO things (id) VALUES (3)").execute(connection).await?;
            panic!("a mistake of ours")
        })
    });
    let odd = log.commit::<_, sqlx::Error, _>(organization, |connection| {
        Box::pin(async move {
            sqlx::query("INSERT INTO things (id) VALUES (4)").execute(connection).await?;
            Ok(((), Event { category: "nonsense".into(), ..event() }))
        })
    });
    let (first, panics, odd, appended) = tokio::join!(careless(), panics, odd, log.append(event()));
    is_refused(first);
    assert!(panics.is_err());
    assert!(matches!(odd, Err(ChangeError::Audit(AuditError::Refused(_)))), "{odd:?}");
    appended.unwrap();
    // The careless one by itself, and as the last of a batch, where only the records show its error.
    is_refused(careless().await);
    let (appended, taken, last) = tokio::join!(log.append(event()), insert(5), careless());
    appended.unwrap();
    assert_eq!(taken.unwrap(), 5);
    is_refused(last);
    let rows: Vec<(i32, String)> = sqlx::query_as("SELECT id, organization FROM things ORDER BY id")
        .fetch_all(&mut site.superuser().await)
        .await
        .unwrap();
    assert_eq!(rows, [1, 2, 5].map(|id| (id, organization.to_string())));
    assert_eq!(site.report().await.records(), 6);
    assert_eq!(site.report().await.breaks, []);
}

#[tokio::test]
async fn a_request_is_told_of_once_its_record_is_durable_and_not_by_one_that_came_to_nothing() {
    let site = Site::secure().await;
    site.sql("CREATE TABLE things (id int PRIMARY KEY)").await;
    site.sql("GRANT SELECT, INSERT ON things TO clm_secure_app").await;
    let log = site.log();
    let arrived = || Arc::new(Arrival::new(Instant::now(), None));
    let of = |arrival: &Arc<Arrival>| Event { arrival: Some(Arc::clone(arrival)), ..event() };
    // Inserts the row 1, and minds whether that worked or does not.
    let change = |arrival: &Arc<Arrival>, minds: bool| {
        let (log, event) = (log.clone(), of(arrival));
        async move {
            log.commit::<_, sqlx::Error, _>(event.organization_id, move |connection| {
                Box::pin(async move {
                    let inserted = sqlx::query("INSERT INTO things VALUES (1)").execute(connection).await;
                    if minds {
                        inserted?;
                    }
                    Ok(((), event))
                })
            })
            .await
        }
    };
    let [made, refused, careless, alone, odd, away] = std::array::from_fn(|_| arrived());
    change(&made, true).await.unwrap();
    assert!(made.is_told(false) && !made.is_told(true), "nothing of it failed yet");
    log.append(Event { outcome: Outcome::Failure, ..of(&made) }).await.unwrap();
    assert!(made.is_told(true));
    let (refuses, cares, _) = tokio::join!(change(&refused, true), change(&careless, false), log.append(event()));
    assert!(refuses.is_err() && cares.is_err() && change(&alone, false).await.is_err());
    log.append(Event { category: "nonsense".into(), ..of(&odd) }).await.unwrap_err();
    let directory = tempfile::TempDir::new().unwrap();
    let nowhere = AuditLog::start(site.options().socket(directory.path()), site.table);
    nowhere.append(of(&away)).await.unwrap_err();
    for (what, nothing) in
        [("refused", refused), ("careless", careless), ("alone", alone), ("not taken", odd), ("away", away)]
    {
        assert!(!nothing.is_told(false), "{what}");
    }

    // Not before it is durable.
    let mut blocker = site.superuser().await;
    let mut blocking = blocker.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM audit_chains FOR UPDATE").execute(&mut *blocking).await.unwrap();
    let waits = arrived();
    let appending = tokio::spawn(log.append(of(&waits)));
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'writer' AND wait_event_type = 'Lock'";
    support::until("the record waits", async || {
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut site.superuser().await).await.unwrap() == 1
    })
    .await;
    assert!(!waits.is_told(false));
    blocking.rollback().await.unwrap();
    appending.await.unwrap().unwrap();
    assert!(waits.is_told(false));
}

#[tokio::test]
async fn an_event_the_table_would_refuse_harms_no_other() {
    let site = Site::core().await;
    let log = site.log();
    let odd = Event { category: "key_access".into(), ..event() };
    let (odd, good) = tokio::join!(log.append(odd), log.append(event()));
    assert!(matches!(odd, Err(AuditError::Refused(_))), "{odd:?}");
    good.unwrap();
    // The table and the program have one list.
    for (site, table) in [(site, CORE), (Site::secure().await, SECURE)] {
        let log = site.log();
        for category in table.categories {
            log.append(Event { category: (*category).into(), ..event() }).await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_services_roles_may_add_and_nothing_else() {
    for site in [Site::secure().await, Site::core().await] {
        site.log().append(event()).await.unwrap();
        let table = site.table.name;
        let month: String = sqlx::query_scalar(AssertSqlSafe(format!("SELECT tableoid::regclass::text FROM {table}")))
            .fetch_one(&mut site.superuser().await)
            .await
            .unwrap();
        assert_ne!(month, format!("{table}_default"));
        for refused in [
            format!("UPDATE {table} SET accessor = NULL"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
            format!("UPDATE {month} SET accessor = NULL"),
            format!("DELETE FROM {month}"),
            format!("SELECT * FROM {month}"),
            format!("DROP TABLE {month}"),
            "DELETE FROM audit_chains".to_owned(),
            "DELETE FROM audit_checkpoints".to_owned(),
            "UPDATE audit_checkpoints SET heads = ''".to_owned(),
            "CREATE TABLE mine (id int)".to_owned(),
        ] {
            let error = sqlx::query(AssertSqlSafe(refused.clone())).execute(&mut site.app().await).await.unwrap_err();
            let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
            assert_eq!(code.as_deref(), Some("42501"), "{refused}: {error}");
        }
        // Another organization's records are not seen; one's own are.
        let seen = |organization: Uuid| {
            let site = &site;
            async move {
                let mut app = site.app().await;
                sqlx::query("SELECT set_config('clm.organization_id', $1, false)")
                    .bind(organization.to_string())
                    .execute(&mut app)
                    .await
                    .unwrap();
                let count = format!("SELECT count(*) FROM {table}");
                sqlx::query_scalar::<_, i64>(AssertSqlSafe(count)).fetch_one(&mut app).await.unwrap()
            }
        };
        assert_eq!((seen(Uuid::now_v7()).await, seen(event().organization_id).await), (0, 1));
    }
}

#[tokio::test]
async fn whatever_a_superuser_edits_is_found_and_named() {
    let site = Site::secure().await;
    let log = site.log();
    for _ in 0..5 {
        log.append(event()).await.unwrap();
    }
    site.sql("ALTER TABLE secure_audit_log DROP CONSTRAINT secure_audit_log_severity_check, DROP CONSTRAINT secure_audit_log_result_check")
        .await;
    let named = site.records().await[2].event.id;
    for (edit, kind) in [
        ("accessor = 'other'", BreakKind::Edited),
        ("accessor = NULL", BreakKind::Edited),
        ("event_id = gen_random_uuid()", BreakKind::Edited),
        ("event_timestamp = event_timestamp + interval '1 us'", BreakKind::Edited),
        ("event_timestamp = 'infinity'", BreakKind::Unreadable),
        ("event_timestamp = '200000-01-01'", BreakKind::Unreadable),
        ("event_type = 'x'", BreakKind::Edited),
        ("event_category = 'export'", BreakKind::Edited),
        ("severity = 'critical'", BreakKind::Edited),
        ("severity = 'none'", BreakKind::Unreadable),
        ("organization_id = gen_random_uuid()", BreakKind::Edited),
        ("resource_type = 'x'", BreakKind::Edited),
        ("resource_id = NULL", BreakKind::Edited),
        ("action = 'x'", BreakKind::Edited),
        ("result = 'failure'", BreakKind::Edited),
        ("result = 'none'", BreakKind::Unreadable),
        ("error_message = 'x'", BreakKind::Edited),
        ("result_sha256 = NULL", BreakKind::Edited),
        ("request_id = gen_random_uuid()", BreakKind::Edited),
        ("user_id = gen_random_uuid()", BreakKind::Edited),
        ("ip_address = '10.0.0.2'", BreakKind::Edited),
        ("ip_address = '10.0.0.1/8'", BreakKind::Unreadable),
        ("user_agent = ''", BreakKind::Edited),
        ("event_data = event_data || '{\"n\": 2}'", BreakKind::Edited),
        ("event_data = event_data || '{\"n\": 1.0}'", BreakKind::Unreadable),
        ("event_data = '[]'", BreakKind::Unreadable),
        ("encoding_version = 2", BreakKind::Unreadable),
        ("record_hash = sha256('x')", BreakKind::Edited),
        ("previous_hash = sha256('x')", BreakKind::WrongPrevious),
    ] {
        let mut superuser = site.superuser().await;
        sqlx::query("BEGIN").execute(&mut superuser).await.unwrap();
        let statement = format!("UPDATE secure_audit_log SET {edit} WHERE seq = 3");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut superuser).await.unwrap();
        let found = support::report(&mut superuser, site.table).await.breaks;
        let first = found.first().unwrap_or_else(|| panic!("{edit}: not found"));
        assert_eq!((first.seq, first.kind), (3, kind), "{edit}: {found:?}");
        assert!(first.event_id == Some(named) || edit.starts_with("event_id"), "{edit}: {found:?}");
        sqlx::query("ROLLBACK").execute(&mut superuser).await.unwrap();
    }
    assert_eq!(site.report().await.breaks, []);
    // A tail cut off between two checkpoints: the chain's own row knows.
    site.sql("DELETE FROM secure_audit_log WHERE seq > 3").await;
    let found = site.report().await.breaks;
    assert_eq!((found[0].kind, found[0].first, found[0].seq), (BreakKind::ContradictsHead, 4, 5));
}

#[tokio::test]
async fn partitions_are_made_ahead_and_a_clock_that_jumps_stops_nothing() {
    let site = Site::secure().await;
    let log = site.log();
    let mut jumped = event();
    jumped.timestamp += chrono::TimeDelta::days(400);
    log.append(jumped.clone()).await.unwrap();
    let mut superuser = site.superuser().await;
    let stray: bool =
        sqlx::query_scalar("SELECT audit_default_partition_in_use()").fetch_one(&mut site.app().await).await.unwrap();
    assert!(stray, "the alarm's question");
    // Its month gets no partition any more, but the others do.
    let made: i32 = sqlx::query_scalar("SELECT ensure_audit_partitions($1::date)")
        .bind(jumped.timestamp.date_naive())
        .fetch_one(&mut site.app().await)
        .await
        .unwrap();
    assert_eq!(made, 4);
    log.append(event()).await.unwrap();
    assert_eq!(site.report().await.breaks, []);
    let unreadable: Vec<String> = sqlx::query_scalar(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'secure_audit_log'::regclass AND NOT has_table_privilege('clm_backup', inhrelid, 'SELECT')",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(unreadable, Vec::<String>::new(), "a backup reads each partition by itself");
}

#[tokio::test]
async fn a_long_reader_stops_no_writer_while_partitions_are_made() {
    let site = Site::secure().await;
    let log = site.log();
    log.append(event()).await.unwrap();
    let mut reader = site.superuser().await;
    sqlx::query("BEGIN").execute(&mut reader).await.unwrap();
    sqlx::query("SELECT count(*) FROM secure_audit_log").execute(&mut reader).await.unwrap();
    let mut app = site.app().await;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut app).await.unwrap();
    let making = tokio::spawn(async move {
        sqlx::query("SELECT ensure_audit_partitions('2040-01-01')").execute(&mut app).await.map(|_| ())
    });
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1";
    support::until("the partitions wait for the reader", async || {
        sqlx::query_scalar::<_, i64>(waits).bind(pid).fetch_one(&mut site.superuser().await).await.unwrap() > 0
    })
    .await;
    log.append(event()).await.unwrap();
    let still: i64 = sqlx::query_scalar(waits).bind(pid).fetch_one(&mut site.superuser().await).await.unwrap();
    assert_eq!(still, 1, "the record was written while they waited");
    let error = making.await.unwrap().unwrap_err();
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("55P03"), "gave up: {error}");
}

#[tokio::test]
async fn a_part_of_the_log_is_one_stretch_of_each_chain() {
    let site = Site::secure().await;
    let log = site.log();
    let at = |text: &str| text.parse().unwrap();
    // A clock that steps back over the border of the month.
    for time in [
        "2026-10-30T00:00:00Z",
        "2026-11-01T00:00:00Z",
        "2026-10-31T23:59:59Z",
        "2026-11-02T00:00:00Z",
        "2026-12-01T00:00:00Z",
    ] {
        log.append(Event { timestamp: at(time), ..event() }).await.unwrap();
    }
    let mut superuser = site.superuser().await;
    let mut of = async |from: &str, until: &str| {
        use futures_util::TryStreamExt;
        let part = audit_log::parts(&mut superuser, SECURE, at(from), at(until)).await.unwrap()[0];
        let found: Vec<Found> = audit_log::read_part(&mut superuser, SECURE, part).try_collect().await.unwrap();
        (part.start.seq, found.len())
    };
    assert_eq!(of("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z").await, (0, 3));
    assert_eq!(of("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z").await, (3, 1));
    assert_eq!(of("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z").await, (4, 1));
    assert_eq!(of("2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z").await, (5, 0));
    assert_eq!(of("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z").await, (0, 0));
}

#[tokio::test]
async fn closed_months_get_the_indexes_that_readers_want_and_writers_wait_for_none() {
    for site in [Site::secure().await, Site::core().await] {
        let mut app = site.app().await;
        // The months around today first: the log's own job must find nothing to make, nor this one lock the month that is written to.
        let nearby = "SELECT index_closed_audit_partition('2039-12-01')";
        while sqlx::query_scalar::<_, Option<String>>(nearby).fetch_one(&mut app).await.unwrap().is_some() {}
        sqlx::query("SELECT ensure_audit_partitions('2040-02-01')").execute(&mut app).await.unwrap();
        let name = site.table.name;
        let indexes = async |kind: &str| -> i64 {
            let count = "SELECT count(*) FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indrelid \
                 WHERE h.inhparent = to_regclass($1) AND i.indrelid::regclass::text LIKE $2";
            let mut superuser = site.superuser().await;
            sqlx::query_scalar(count).bind(name).bind(kind).fetch_one(&mut superuser).await.unwrap()
        };
        let all = indexes("%").await;
        let add = "SELECT index_closed_audit_partition('2040-04-20')";
        // While one is being made for last month, records are written, and the service's own job does not wait for it.
        let mut making = site.app().await;
        sqlx::query("BEGIN").execute(&mut making).await.unwrap();
        let first: Option<String> = sqlx::query_scalar(add).fetch_one(&mut making).await.unwrap();
        assert!(first.as_ref().is_some_and(|first| first.ends_with("_type")), "{first:?}");
        let log = site.log();
        log.append(event()).await.unwrap();
        let second: Option<String> = sqlx::query_scalar(add).fetch_one(&mut app).await.unwrap();
        assert_eq!(second, None, "another server makes one");
        // Interrupted: whoever comes next begins there.
        sqlx::query("ROLLBACK").execute(&mut making).await.unwrap();
        // January to March; April is not closed. None is also the answer while the log's own job looks whether there is something for it.
        let mut made = Vec::new();
        while indexes("%").await < all + 18 {
            made.extend(sqlx::query_scalar::<_, Option<String>>(add).fetch_one(&mut app).await.unwrap());
        }
        assert_eq!(Some(&made[0]), first.as_ref());
        assert!(made.len() == 18 && made.iter().all(|index| index.contains("_2040_")), "{made:?}");
        assert_eq!(sqlx::query_scalar::<_, Option<String>>(add).fetch_one(&mut app).await.unwrap(), None);
        assert_eq!(indexes("%").await, all + 18);
        assert_eq!((indexes("%_2040_04").await, indexes("%_2040_03").await), (2, 8));
        log.append(event()).await.unwrap();
        assert_eq!(site.report().await.breaks, []);
    }
}

#[tokio::test]
async fn rows_that_carry_a_mac_are_found_and_read() {
    use futures_util::TryStreamExt;
    let site = Site::secure().await;
    let mut superuser = site.superuser().await;
    let tables = audit_log::bound_tables(&mut superuser).await.unwrap();
    let has = |name: &str| tables.iter().any(|table| table == name);
    assert!(["encryption_keys", "named_keys", "private_keys"].into_iter().all(has), "{tables:?}");
    assert!(!has("hsm_tokens") && !has("key_wrappings"), "they have no revision to compare: {tables:?}");
    site.sql("CREATE TABLE \"odd\"\"name\" (id uuid, revision int, row_mac bytea)").await;
    site.sql("INSERT INTO \"odd\"\"name\" VALUES (gen_random_uuid(), 7, sha256('x')), (gen_random_uuid(), 8, '')")
        .await;
    let rows: Vec<_> = audit_log::read_rows(&mut superuser, "odd\"name").try_collect().await.unwrap();
    assert_eq!((rows[0].1.revision, rows[1].1.revision, rows[1].1.mac), (7, 8, [0xff; 32]));
}
