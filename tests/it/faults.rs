//! Lets system calls fail, each at each of its occurrences, in every verb that writes (`verbs.rs`). What must be right then
//! is in `trouble.rs`; and a sync that failed never passes for one that did not.
//!
//! `MAILDEX_LONG=1` tries all of them; else of each verb a part, always the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::crash::INDEX_LOST;
use crate::mailbox::skipped;
use crate::sweep::{Place, STRACE, Sweep, strace_works};
use crate::tally::Tally;
use crate::trouble::{Excuse, Told, Tries, is_script, step, under};
use crate::verbs::ALL;

/// How many are tried of each verb if there is no time for all.
const PART: usize = 8;

/// Calls that may fail, and how. Of those that open files: what they need depends on what they are to do.
const CALLS: [(&str, &[&str]); 35] = [
    ("openat, to make", &["ENOSPC", "EDQUOT", "EMFILE", "EIO", "ENOMEM", "EINTR"]),
    ("openat, without a name", &["EOPNOTSUPP", "ENOSPC", "EDQUOT", "EMFILE", "EIO"]),
    ("open", &["EMFILE", "EIO", "ENOMEM", "EINTR"]),
    ("openat", &["EMFILE", "EIO", "ENOMEM", "EINTR"]),
    ("read", &["EIO", "EINTR"]),
    ("pread64", &["EIO", "EINTR"]),
    ("getdents64", &["EIO", "ENOMEM", "EINTR"]),
    ("statx", &["EIO", "ENOMEM"]),
    ("fstat", &["EIO"]),
    ("newfstatat", &["EIO", "ENOMEM"]),
    ("fstatfs", &["EIO", "EINTR"]),
    ("mmap, shared", &["ENOMEM", "EMFILE"]),
    ("write", &["ENOSPC", "EIO", "EDQUOT", "EINTR"]),
    ("writev", &["ENOSPC", "EIO"]),
    ("pwrite64", &["ENOSPC", "EIO", "EDQUOT", "EINTR"]),
    ("fallocate", &["ENOSPC", "EIO", "EDQUOT", "EINTR", "EOPNOTSUPP"]),
    ("ftruncate", &["ENOSPC", "EIO", "EINTR"]),
    ("fsync", &["EIO", "ENOSPC", "EDQUOT", "EINTR"]),
    ("fdatasync", &["EIO", "ENOSPC"]),
    ("msync", &["EIO", "ENOMEM"]),
    ("renameat", &["ENOSPC", "EIO", "EDQUOT", "ENOMEM"]),
    ("rename", &["ENOSPC", "EIO"]),
    ("renameat2", &["EINVAL", "ENOSYS", "ENOSPC", "EIO", "EDQUOT", "ENOMEM"]),
    ("linkat", &["ENOSPC", "EIO", "EDQUOT", "ENOMEM", "EMLINK"]),
    ("unlinkat", &["EIO", "ENOMEM"]),
    ("mkdirat", &["ENOSPC", "EDQUOT", "EIO"]),
    ("flock", &["ENOLCK", "EINTR", "ENOMEM"]),
    ("fchmod", &["EIO", "EPERM"]),
    ("fchown", &["EIO", "EPERM"]),
    ("utimensat", &["EIO", "EPERM"]),
    ("copy_file_range", &["EIO", "ENOSPC", "EXDEV"]),
    ("sendfile", &["EIO", "EINVAL"]),
    ("inotify_init1", &["EMFILE", "ENOSPC", "ENOMEM", "ENOSYS"]),
    ("inotify_add_watch", &["ENOSPC", "EMFILE", "ENOMEM"]),
    ("clone3", &["EAGAIN", "ENOMEM"]),
];

/// A call that is to fail: the so-manieth of its name, of any process or thread.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub error: &'static str,
    pub name: String,
    pub nth: usize,
    /// The file that it names, if it names one.
    pub file: String,
}

/// The command of a verb under strace.
pub fn traced(place: &Place, sweep: &Sweep, log: &Path, expressions: &[&str]) -> Command {
    let log = log.to_str().expect("a path in UTF-8");
    let expressions = expressions.iter().flat_map(|expression| ["-e", expression]);
    let strace: Vec<_> = ["strace", "-f", "-o", log].into_iter().chain(expressions).collect();
    under(place, sweep.command, &strace)
}

/// What can fail once a process has begun to work, which is when it first names the folder.
pub fn faults(sweep: &Sweep) -> Vec<Fault> {
    let place = (sweep.folder)();
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let names: BTreeSet<_> =
        CALLS.iter().map(|(name, _)| format!("?{}", name.split(',').next().expect("a name"))).collect();
    let names = format!("trace={}", names.into_iter().collect::<Vec<_>>().join(","));
    place.mailbox.finish(&mut traced(&place, sweep, log.path(), &[&names])).ok();
    let log = fs::read_to_string(log.path()).expect("read the log of strace");
    let inbox = place.mailbox.path();
    let inbox = inbox.to_str().expect("a path in UTF-8");
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let (mut begun, mut faults) = (BTreeSet::new(), BTreeSet::new());
    let main = log.split_whitespace().next().expect("a process id");
    for line in log.lines() {
        let Some((process, call)) = line.split_once(char::is_whitespace) else { continue };
        let Some((name, arguments)) = call.trim_start().split_once('(') else { continue };
        let nth = counts.entry((process, name)).or_default();
        *nth += 1;
        let nth = *nth;
        if arguments.contains(inbox) {
            begun.insert(process);
        }
        // A thread of a process that has begun. What else threads do depends on the moment.
        let is_thread = !is_script(sweep) && begun.contains(main) && name.starts_with("inotify");
        if !begun.contains(process) && !is_thread {
            continue;
        }
        // The crate notify wakes its thread by a write, and panics if that fails, which of an eventfd cannot be.
        if sweep.command[0] == "watch" && name == "write" {
            continue;
        }
        let kind = match name {
            "openat" if arguments.contains("O_TMPFILE") => "openat, without a name",
            "openat" if arguments.contains("O_CREAT") => "openat, to make",
            "mmap" if arguments.contains("MAP_SHARED") => "mmap, shared",
            "mmap" => continue, // memory: who cannot have it is ended by the run-time
            _ => name,
        };
        let errors = CALLS.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, errors)| errors);
        let file = arguments.split('"').nth(1).unwrap_or_default();
        faults.extend(errors.iter().map(|error| Fault { error, name: name.into(), nth, file: file.into() }));
    }
    faults.into_iter().collect()
}

/// The faults of a verb: `at` is where its part begins.
fn verb(at: usize) {
    let (name, sweep) = &ALL[at];
    if !strace_works() {
        return skipped(&format!("failing calls in {}", sweep.name), STRACE);
    }
    let all = faults(sweep);
    assert!(all.len() > 20, "{name}: only {all:?}");
    let step = step(all.len(), PART);
    each(sweep, all.iter().skip(at % step).step_by(step), all.len());
}

/// Lets each of them happen; they are some of so many.
fn each<'f>(sweep: &Sweep, faults: impl Iterator<Item = &'f Fault>, of: usize) {
    let expected = sweep.undisturbed_beside();
    let mut tries = Tries::default();
    for Fault { error, name, nth, .. } in faults {
        let is_sync = ["fsync", "fdatasync", "msync"].contains(&&**name);
        let excuse = Excuse {
            not_begun: is_script(sweep),
            must_tell: is_sync && *error != "EINTR" && !is_script(sweep),
            ..Excuse::default()
        };
        tries.one(sweep, &expected, excuse, |place| {
            let log = tempfile::NamedTempFile::new().expect("a temporary file");
            let inject = format!("inject={name}:error={error}:when={nth}");
            let run = place.mailbox.finish(&mut traced(place, sweep, log.path(), &[&format!("trace={name}"), &inject]));
            let log = fs::read_to_string(log.path()).expect("read the log of strace");
            let failed: Vec<_> = log.lines().filter(|line| line.contains("INJECTED")).collect();
            Told { run, trouble: failed.join("\n") }
        });
    }
    tries.end(Tally::Faults, &format!("failing calls in {} (of {of})", sweep.name));
}

/// It was taken for empty, and its mail got new UIDs.
#[test]
fn a_directory_that_cannot_be_opened_while_an_index_is_made_anew_costs_no_uid() {
    if !strace_works() {
        return skipped("directories that cannot be opened", STRACE);
    }
    let all = faults(&INDEX_LOST);
    let is_sub = |fault: &&Fault| fault.name == "openat" && ["new", "cur"].contains(&&*fault.file);
    let of_subs: Vec<_> = all.iter().filter(is_sub).filter(|fault| fault.error == "EMFILE").collect();
    assert!(of_subs.len() >= 4, "listed, and read from: {all:?}");
    each(&INDEX_LOST, of_subs.iter().copied(), all.len());
}

macro_rules! verbs {
    ($($at:literal $name:ident)*) => {$(
        #[test]
        fn $name() {
            assert_eq!(ALL[$at].0, stringify!($name).trim_start_matches("r#"));
            verb($at);
        }
    )*};
}

verbs! {
    0 build 1 refresh 2 reader 3 next_block 4 offsets_lost 5 index_lost 6 copied 7 repair 8 flag 9 flag_many 10 inc
    11 compact 12 replace 13 expunge 14 deliver 15 import 16 import_above 17 r#move 18 copy 19 dedupe 20 export
    21 export_dovecot 22 lock_run 23 lock_acquire 24 lock_break 25 changes 26 watch
}
