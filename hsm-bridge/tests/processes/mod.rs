//! Processes as /proc shows them, and their end.

pub(crate) fn kill(pid: u32, signal: &str) {
    assert!(
        std::process::Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap().success()
    );
}

/// Running, and no zombie.
pub(crate) fn alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z")
}

pub(crate) fn parent_of(pid: u32) -> u32 {
    stat(pid).unwrap()[1].parse().unwrap()
}

fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}
