//! Every verb that writes (`verbs.rs`) with too little of something: descriptors, memory, room in a file, on the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::crash::{DELIVER, INDEX_LOST, NEXT_BLOCK, REFRESH};
use crate::mailbox::{Mailbox, figures, forbidden, installed, long, mail, skipped};
use crate::sweep::{Place, Sweep};
use crate::tally::Tally;
use crate::trouble::{Excuse, Told, Tries, step, under};
use crate::verbs::ALL;

const PRLIMIT: &str = "install util-linux";

/// Runs verbs under each of some limits; of `part` of them, if not all are to be tried.
fn limited(what: &str, sweeps: &[&Sweep], part: usize, excuse: Excuse, limits: &[String]) {
    if !installed("prlimit") {
        return skipped(what, PRLIMIT);
    }
    let mut tries = Tries::default();
    let step = step(limits.len(), part);
    let mut last = String::new();
    for (at, sweep) in sweeps.iter().enumerate() {
        let expected = sweep.undisturbed_beside();
        for limit in limits.iter().skip(at % step).step_by(step) {
            tries.one(sweep, &expected, excuse, |place| {
                let run = place.mailbox.finish(&mut under(place, sweep.command, &["prlimit", limit]));
                last.push_str(&run.errors());
                Told { run, trouble: limit.clone() }
            });
        }
    }
    assert!(tries.done > 0 && !last.is_empty(), "{what}: {} told, {} done; told last: {last}", tries.told, tries.done);
    tries.end(Tally::Faults, what);
}

fn all() -> Vec<&'static Sweep> {
    ALL.iter().map(|(_, sweep)| sweep).collect()
}

/// With fewer than 12 descriptors it ended with 101.
#[test]
fn with_few_descriptors_every_verb_says_so() {
    let limits: Vec<_> = (3..=24).map(|limit| format!("--nofile={limit}:{limit}")).collect();
    let excuse = Excuse { not_begun: true, ..Excuse::default() };
    limited("few descriptors", &all(), 2, excuse, &limits);
    let place = crate::crash::built();
    for limit in 5..12 {
        let limit = format!("--nofile={limit}:{limit}");
        let run = place.mailbox.finish(&mut under(&place, &["list"], &["prlimit", &limit]));
        assert!([Some(0), Some(3)].contains(&run.code()), "{limit}: {run}");
    }
}

/// A new generation was made in which no mail could be read, and listed.
#[test]
fn an_index_made_anew_with_few_descriptors_is_whole_or_not_made() {
    let limits: Vec<_> = (5..=17).map(|limit| format!("--nofile={limit}:{limit}")).collect();
    let excuse = Excuse { not_begun: true, ..Excuse::default() };
    limited("an index made anew with few descriptors", &[&INDEX_LOST], limits.len(), excuse, &limits);
}

/// Who has no memory is ended, by us or by the run-time; and a mail server gets a status that makes it try again.
#[test]
fn with_little_memory_nothing_is_harmed() {
    let limits: Vec<_> = (3..=40).map(|mib| format!("--as={0}:{0}", mib * (1 << 20))).collect();
    let excuse = Excuse { not_begun: true, ..Excuse::default() };
    limited("little memory", &all(), 1, excuse, &limits);
}

/// The longest file that may be, byte by byte. It was ended by SIGXFSZ.
#[test]
fn a_file_that_may_not_grow_is_told_at_every_offset() {
    for (sweep, part) in [(REFRESH, 12), (DELIVER, 8), (NEXT_BLOCK, 4)] {
        let place = (sweep.folder)();
        let len = |place: &Place| fs::metadata(place.mailbox.file("maildex.index.1")).expect("stat").len();
        let before = len(&place);
        place.run(sweep.command, 0).expect("an undisturbed run");
        let end = len(&place).max(before + 8);
        let limits: Vec<_> = (before..=end).rev().map(|bytes| format!("--fsize={bytes}:{bytes}")).collect();
        limited(&format!("{} with a file that may not grow", sweep.name), &[&sweep], part, Excuse::default(), &limits);
    }
    // From nothing on: the lockfile, the header.
    let limits: Vec<_> = (0..24).map(|n| format!("--fsize={0}:{0}", n * 397)).collect();
    limited("files that may not grow at all", &all(), 1, Excuse { not_begun: true, ..Excuse::default() }, &limits);
}

/// A file system in memory that is soon full.
struct Small(PathBuf);

impl Small {
    fn mount(place: &Path, kib: usize) -> Option<Small> {
        let size = format!("size={kib}k");
        let run = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(place).output();
        run.is_ok_and(|run| run.status.success()).then(|| Small(place.to_path_buf()))
    }

    /// Takes all the room but so many pages.
    fn fill(&self, spare: u64) {
        let path = self.0.join("filler");
        let file = fs::File::create(path).expect("make a file");
        let mut len = 0;
        while rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), len, 4096).is_ok() {
            len += 4096;
        }
        file.set_len(len.saturating_sub(spare * 4096)).expect("give room back");
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).expect("remove the file");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Page by page, which is how a file system gives room: told, reading goes on, and when there is room again all is well.
#[test]
fn on_a_full_disk_reading_goes_on_and_nothing_is_lost() {
    let temp = tempfile::tempdir().expect("a directory");
    let Some(small) = Small::mount(temp.path(), 4096) else {
        return forbidden("a full file system", "allow mount: run as root, with CAP_SYS_ADMIN");
    };
    let (mut tried, mut told) = (0u32, 0u32);
    let verbs: [&[&str]; 6] =
        [&["build"], &["list"], &["flag", "+F", "1:5"], &["compact"], &["deliver"], &["uids", "export", "list"]];
    for verb in verbs {
        for spare in (0..48).step_by(if long() { 1 } else { 12 }) {
            let mailbox = Mailbox::in_directory(temp.path()).messages(508);
            let mut place = Place::new(mailbox).build();
            // With the last of them the offsets file needs another block.
            for n in 0..12 {
                place.mailbox.deliver(format!("new/{n}.new"), mail(&format!("new {n}")));
            }
            small.fill(spare);
            let run = place.mailbox.finish(&mut under(&place, verb, &[]));
            tried += 1;
            told += u32::from(run.code() != Some(0));
            let is_told = run.errors().contains("No space left on device");
            let is_right = match run.code() {
                Some(0) => true,
                Some(75) => is_told && verb[0] == "deliver",
                Some(3 | 4) => is_told && verb[0] != "deliver",
                _ => false,
            };
            assert!(is_right, "{spare} pages: {run}");
            let (code, listed) = place.show().unwrap_or_else(|why| panic!("{verb:?}, {spare} pages: {why}"));
            assert!(code == Some(0) && listed.len() >= 508, "{verb:?}, {spare} pages: exit {code:?} {}", listed.len());
            place.mailbox.run(["check"]).ok();
            small.free();
            let listed = place.put_right().unwrap_or_else(|why| panic!("{verb:?}, {spare} pages: {why}\n{run}"));
            let delivered = usize::from(verb[0] == "deliver" && run.code() == Some(0));
            assert_eq!(listed.len(), 520 + delivered, "{verb:?}, {spare} pages: {run}");
        }
    }
    Tally::Faults.add(tried);
    figures(&format!("full disk: {tried} tries, {told} told, reading went on in all"));
    assert!(told > 4 && told < tried);
}
