//! What everything ran on, for the head of the table.

use crate::postgres::setting;
use crate::service::Service;
use anyhow::Result;
use std::path::Path;

/// Lines of Markdown.
pub(crate) async fn describe(service: &mut Service) -> Result<Vec<String>> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let processors = std::thread::available_parallelism()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let superuser = &mut service.superuser;
    let directory = setting(superuser, "data_directory").await?;
    let mut lines = vec![
        format!(
            "{processors} processors ({model}), Linux {}; load average at the start {}",
            kernel.trim(),
            load.split(' ').take(2).collect::<Vec<_>>().join(" ")
        ),
        format!(
            "PostgreSQL {}, its data on {}",
            setting(superuser, "server_version").await?,
            file_system(Path::new(&directory))
        ),
    ];
    let mut settings = Vec::new();
    for name in ["fsync", "synchronous_commit", "full_page_writes", "wal_sync_method"] {
        settings.push(format!("{name} = {}", setting(superuser, name).await?));
    }
    lines.push(settings.join(", "));
    Ok(lines)
}

/// Type of the file system that holds a path: the deepest mount point above it.
fn file_system(path: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of = |line: &str| {
        let mut words = line.split(' ');
        let (device, point, kind) = (words.next()?, words.next()?, words.next()?);
        path.starts_with(point).then(|| (point.len(), format!("{kind} ({device})")))
    };
    mounts
        .lines()
        .filter_map(of)
        .max_by_key(|(length, _)| *length)
        .map_or_else(|| "an unknown file system".into(), |(_, name)| name)
}
