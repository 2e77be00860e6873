//! What a process holds, in a file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Less is not all of it, bytes.
const LEAST: u64 = 1 << 20;

/// All that a process can write or made itself, from /proc: the code and data that only come from files are left out.
pub(crate) fn memory(pid: u32, directory: &Path) -> PathBuf {
    let path = directory.join(format!("memory.{pid}"));
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut file = File::create(&path).unwrap();
    let mut written = 0;
    let mut page = vec![0; 1 << 16];
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        let from_file = words.nth(3).is_some_and(|name| name.starts_with('/'));
        // The kernel's own pages cannot be read in this way.
        let kernels = ["[vvar]", "[vvar_vclock]", "[vsyscall]"].iter().any(|name| line.ends_with(name));
        if !rights.starts_with('r') || kernels || from_file && !rights.contains('w') {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let (mut at, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        while at < end {
            let size = usize::try_from((end - at).min(page.len() as u64)).unwrap();
            // What was unmapped since the maps were read is not there.
            if memory.seek(SeekFrom::Start(at)).is_err() || memory.read_exact(&mut page[..size]).is_err() {
                break;
            }
            file.write_all(&page[..size]).unwrap();
            at += size as u64;
            written += size as u64;
        }
    }
    assert!(written > LEAST, "{written} bytes of process {pid} are not all of it");
    path
}

/// A core dump by `gcore`, with what a process asks to be left out of it. `None`: this machine lets only root look at another process so.
pub(crate) fn core(pid: u32, directory: &Path) -> Option<PathBuf> {
    let prefix = directory.join("core");
    let output = Command::new("gcore").arg("-a").arg("-o").arg(&prefix).arg(pid.to_string()).output();
    let output = output.expect("gcore comes with gdb: make setup");
    let path = directory.join(format!("core.{pid}"));
    if !path.is_file() {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!rustix::process::geteuid().is_root(), "{said}");
        assert!(said.contains("ptrace: Operation not permitted"), "{said}");
        eprintln!(
            "SKIPPED: no core dump, because only root may trace a process that it did not start (kernel.yama.ptrace_scope)"
        );
        return None;
    }
    assert!(path.metadata().unwrap().len() > LEAST);
    Some(path)
}
