//! What the machine allows: limits of inotify, without which watching is slow.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Finding, Severity, Tell};

/// Of a limit so many percent are near.
const NEAR_PERCENT: u64 = 90;

/// Tells how near this user is to the limits of inotify, as far as `/proc` shows. Once for all folders.
pub fn host(tell: Tell<'_>) {
    let used = used(Path::new("/proc"), rustix::process::geteuid().as_raw());
    let limit = |name: &str| {
        let path = Path::new("/proc/sys/fs/inotify").join(name);
        let text = fs::read_to_string(&path).ok()?;
        Some((path, text.trim().parse().ok()?))
    };
    let limits = [("max_user_instances", "instances", used.0), ("max_user_watches", "watches", used.1)];
    for (name, what, used) in limits {
        if let Some((path, limit)) = limit(name) {
            tell(&finding(path, what, used, limit));
        }
    }
}

fn finding(path: PathBuf, what: &str, used: u64, limit: u64) -> Finding {
    let is_near = used.saturating_mul(100) >= limit.saturating_mul(NEAR_PERCENT);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let raise = format!("watching polls when it is reached; raise it: sysctl fs.inotify.{name}={}", limit.max(64) * 2);
    Finding {
        severity: if is_near { Severity::Note } else { Severity::Detail },
        kind: "inotify",
        path,
        at: None,
        what: format!("this user has {used} of {limit} inotify {what}, as far as /proc shows"),
        found: String::new(),
        expected: String::new(),
        hint: is_near.then_some(raise),
    }
}

/// Instances and watches of a user's processes.
fn used(proc: &Path, user: u32) -> (u64, u64) {
    let (mut instances, mut watches) = (0, 0);
    let processes = fs::read_dir(proc).into_iter().flatten().flatten();
    let is_number = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    for process in processes.filter(|entry| is_number(&entry.file_name())) {
        if process.metadata().is_ok_and(|meta| meta.uid() != user) {
            continue;
        }
        for fd in fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten() {
            let is_inotify = fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == "anon_inode:inotify");
            if is_inotify {
                let info = process.path().join("fdinfo").join(fd.file_name());
                let text = fs::read_to_string(info).unwrap_or_default();
                instances += 1;
                watches += text.lines().filter(|line| line.starts_with("inotify wd:")).count() as u64;
            }
        }
    }
    (instances, watches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn instances_and_watches_of_one_user_are_counted() {
        let temp = tempfile::tempdir().unwrap();
        let process = |pid: &str, fds: &[(&str, &str, &str)]| {
            for sub in ["fd", "fdinfo"] {
                fs::create_dir_all(temp.path().join(pid).join(sub)).unwrap();
            }
            for (fd, to, info) in fds {
                symlink(to, temp.path().join(pid).join("fd").join(fd)).unwrap();
                fs::write(temp.path().join(pid).join("fdinfo").join(fd), info).unwrap();
            }
        };
        let inotify = "anon_inode:inotify";
        process("1", &[("0", "/dev/null", ""), ("3", inotify, "pos:\t0\ninotify wd:2 ino:1\ninotify wd:1 ino:2\n")]);
        process("27", &[("3", inotify, "pos:\t0\n"), ("4", inotify, "inotify wd:1\n")]);
        process("self", &[("3", inotify, "inotify wd:1\n")]);
        let user = fs::metadata(temp.path()).unwrap().uid();
        assert_eq!(used(temp.path(), user), (3, 3));
        assert_eq!(used(temp.path(), user + 1), (0, 0));
    }

    #[test]
    fn a_limit_that_is_near_is_worth_a_note() {
        let severity = |used, limit| finding("/proc/sys/fs/inotify/max_user_watches".into(), "watches", used, limit);
        assert_eq!(severity(89, 100).severity, Severity::Detail);
        let near = severity(90, 100);
        assert_eq!(near.severity, Severity::Note);
        assert!(near.hint.unwrap().ends_with("sysctl fs.inotify.max_user_watches=200"));
    }
}
