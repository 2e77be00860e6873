//! Who may do what with secrets.

use super::{ask, done, started, token};

#[tokio::test]
async fn a_new_secret_needs_create_one_that_is_there_update_and_a_patch_patch() {
    let (_site, mut server) = started().await;
    let root = server.token.clone();
    for (capability, write_new, write_old, patch, metadata_new) in [
        ("create", 200, 403, 403, 204),
        ("update", 403, 200, 403, 403),
        ("patch", 403, 403, 200, 403),
        ("read", 403, 403, 403, 403),
    ] {
        server.token.clone_from(&root);
        done(&server, "POST secret/data/old {\"data\":{}}").await;
        done(&server, "DELETE secret/metadata/new").await;
        done(&server, "DELETE secret/metadata/newer").await;
        server.token = token(&server, &format!("path \"secret/*\" {{ capabilities = [\"{capability}\"] }}")).await;
        for (line, status) in [
            ("POST secret/data/new {\"data\":{}}", write_new),
            ("POST secret/data/old {\"data\":{}}", write_old),
            ("PATCH secret/data/old {\"data\":{}}", patch),
            ("POST secret/metadata/newer {}", metadata_new),
        ] {
            assert_eq!(ask(&server, line).await.status.as_u16(), status, "{capability}: {line}");
        }
    }
}

#[tokio::test]
async fn the_paths_below_a_mount_are_what_rules_name() {
    let (_site, mut server) = started().await;
    done(&server, "POST secret/data/app/a {\"data\":{\"x\":1}}").await;
    let root = server.token.clone();
    for (rule, allowed) in [
        ("path \"secret/app/*\" { capabilities = [\"read\", \"list\"] }", &[][..]),
        ("path \"secret/data/app/*\" { capabilities = [\"read\"] }", &["GET secret/data/app/a"][..]),
        ("path \"secret/metadata/app/*\" { capabilities = [\"list\"] }", &["LIST secret/metadata/app"][..]),
        ("path \"secret/subkeys/*\" { capabilities = [\"read\"] }", &["GET secret/subkeys/app/a"][..]),
        (
            "path \"secret/destroy/*\" { capabilities = [\"update\"] }",
            &["POST secret/destroy/app/a {\"versions\":[9]}"][..],
        ),
    ] {
        server.token.clone_from(&root);
        server.token = token(&server, rule).await;
        for line in [
            "GET secret/data/app/a",
            "GET secret/metadata/app/a",
            "LIST secret/metadata/app",
            "GET secret/subkeys/app/a",
            "DELETE secret/data/app/a",
            "POST secret/destroy/app/a {\"versions\":[9]}",
        ] {
            let expected = allowed.contains(&line);
            assert_eq!(ask(&server, line).await.status.is_success(), expected, "{rule}: {line}");
        }
    }
}
