//! Everything at once at one folder: verbs that write, some of them killed; readers; watchers; compactors; other programs
//! that deliver and rename. An oracle knows of every mail who may have removed it, and of every UID what it was shown as.
//!
//! Some mails are never removed by anybody. Every listing must have each of these, once, under the UID that it has always
//! had. Ten seconds; half an hour with `MAILDEX_LONG=1`. Nothing here depends on who is quicker.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use maildex::folder::Folder;
use maildex::format::status::Status;

use crate::mailbox::{Mailbox, figures, long, mail};
use crate::oracle::{self, History};
use crate::tally::Tally;
use crate::watching::Watching;

/// Mails that nobody removes.
const KEPT: usize = 40;

/// The same numbers at each run, for each thread others.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }

    fn pick<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        list.get(self.below(list.len()))
    }
}

/// What is known of the folder.
#[derive(Default)]
struct Oracle {
    history: History,
    /// UID of each Message-ID that was ever listed.
    uids: BTreeMap<String, u64>,
    /// Mails that are in the folder for certain, unless they are in `doomed`.
    delivered: BTreeSet<String>,
    /// Mails that somebody was told to remove, or to replace.
    doomed: BTreeSet<String>,
}

/// How often things were done.
#[derive(Default)]
struct Counts {
    verbs: AtomicUsize,
    kills: AtomicUsize,
    others: AtomicUsize,
    compactions: AtomicUsize,
    reads: AtomicUsize,
    processes: AtomicUsize,
    events: AtomicUsize,
}

fn count(counter: &AtomicUsize) -> usize {
    counter.fetch_add(1, Ordering::Relaxed)
}

struct Soak {
    mailbox: Mailbox,
    oracle: Mutex<Oracle>,
    counts: Counts,
    names: AtomicUsize,
    is_over: AtomicBool,
}

/// Ends the others when a thread fails.
struct EndOnDrop<'s>(&'s Soak);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

impl Soak {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Acquire)
    }

    fn oracle<T>(&self, act: impl FnOnce(&mut Oracle) -> T) -> T {
        act(&mut self.oracle.lock().expect("no other thread failed"))
    }

    /// A new mail's number, and its text; its Message-ID is `soak.N@example.org`.
    fn next(&self) -> (usize, String, String) {
        let n = count(&self.names);
        (n, format!("soak.{n}@example.org"), mail(&format!("soak {n}")))
    }

    /// Whether more mail would only make everything slower.
    fn is_crowded(&self) -> bool {
        self.mailbox.mails().len() > 10 * KEPT
    }

    /// Whether a mail is one of those that nobody removes.
    fn is_kept(message_id: &str) -> bool {
        let number = message_id.strip_prefix("soak.").and_then(|rest| rest.split('@').next()?.parse::<usize>().ok());
        number.is_some_and(|number| number < KEPT)
    }

    /// Takes up a listing, by UID, base name and Message-ID.
    fn take(&self, listed: &[oracle::Listed]) {
        let kept = listed.iter().filter(|listed| Soak::is_kept(&listed.mail.message_id));
        let kept: BTreeSet<&str> = kept.map(|listed| listed.mail.message_id.as_str()).collect();
        assert_eq!(kept.len(), KEPT, "a short listing: {listed:#?}");
        assert!(listed.is_sorted_by(|a, b| a.uid < b.uid), "{listed:#?}");
        self.oracle(|oracle| {
            oracle.history.take(listed).unwrap_or_else(|why| panic!("{why}"));
            for listed in listed.iter().filter(|listed| Soak::is_kept(&listed.mail.message_id)) {
                let was = *oracle.uids.entry(listed.mail.message_id.clone()).or_insert(listed.uid);
                assert_eq!(was, listed.uid, "a mail that nobody touched got another UID: {listed:?}");
            }
        });
    }

    /// Mails that may be removed: UID and Message-ID, as listed now.
    fn removable(&self) -> Vec<(u64, String)> {
        let run = self.mailbox.run(["list", "--json", "--no-refresh"]).ok();
        let listed = oracle::listed(&self.mailbox, &run);
        self.take(&listed);
        let free = listed.into_iter().filter(|listed| !Soak::is_kept(&listed.mail.message_id));
        free.map(|listed| (listed.uid, listed.mail.message_id)).collect()
    }

    /// Runs a verb; some are killed on their way. Whether it ended well.
    fn verb(&self, random: &mut Random, arguments: &[&str], input: &str) -> bool {
        let mut command = self.mailbox.command(arguments);
        let path = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(path.path(), input).expect("write the input");
        let stdin = fs::File::open(path.path()).expect("open the input");
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("run maildex");
        let is_killed = random.below(5) == 0;
        let output = end(child, is_killed.then(|| Duration::from_micros(random.below(30_000) as u64)));
        count(&self.counts.verbs);
        match (output.status.code(), output.status.signal()) {
            (Some(0), _) => true,
            // Somebody was quicker, or the lock was not to be had.
            (Some(4 | 75), _) => false,
            (_, Some(9)) if is_killed => {
                count(&self.counts.kills);
                false
            }
            _ => panic!("{arguments:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Verbs that write.
    fn write(&self, seed: u64) {
        let random = &mut Random(seed);
        while self.goes_on() {
            match random.below(8) {
                0 => _ = self.verb(random, &["build"], ""),
                1 | 2 if !self.is_crowded() => {
                    let (_, id, text) = self.next();
                    if self.verb(random, &["deliver"], &text) {
                        self.oracle(|oracle| oracle.delivered.insert(id));
                    }
                }
                3 => _ = self.verb(random, &["inc"], ""),
                4 | 5 => {
                    let spec = ["+S", "-S", "+F,+a", "=RT", "-a"][random.below(5)];
                    let uids = ["1:*", "1:20", "30:*"][random.below(3)];
                    self.verb(random, &["flag", spec, uids], "");
                }
                what => {
                    let Some((uid, id)) = random.pick(&self.removable()).cloned() else { continue };
                    self.oracle(|oracle| oracle.doomed.insert(id));
                    let uid = uid.to_string();
                    if what == 6 {
                        self.verb(random, &["expunge", &uid], "");
                    } else {
                        let (_, new, text) = self.next();
                        if self.verb(random, &["replace", &uid], &text) {
                            self.oracle(|oracle| oracle.delivered.insert(new));
                        }
                    }
                }
            }
        }
    }

    fn compact(&self) {
        let random = &mut Random(77);
        while self.goes_on() {
            let arguments: &[&str] =
                if random.below(2) == 0 { &["compact"] } else { &["compact", "--force", "--wait", "0"] };
            if self.verb(random, arguments, "") {
                count(&self.counts.compactions);
            }
        }
    }

    /// Other programs: they deliver, set flags by renaming, and move what is new.
    fn others(&self, seed: u64) {
        let random = &mut Random(seed);
        while self.goes_on() {
            count(&self.counts.others);
            if random.below(3) == 0 && !self.is_crowded() {
                let (n, id, text) = self.next();
                let unfinished = self.mailbox.file(format!("tmp/{n}.other"));
                fs::write(&unfinished, text).expect("write a mail");
                fs::rename(unfinished, self.mailbox.file(format!("new/{n}.other"))).expect("deliver it");
                self.oracle(|oracle| oracle.delivered.insert(id));
            } else {
                let names: Vec<_> =
                    self.mailbox.mails().into_iter().filter_map(|name| name.into_string().ok()).collect();
                for _ in 0..20 {
                    let Some(name) = random.pick(&names) else { break };
                    let base = name.split(':').next().and_then(|name| name.rsplit('/').next()).expect("a base");
                    let flags = ["", "S", "FS", "RS", "Sa"][random.below(5)];
                    // Somebody may have been quicker, and two programs may not make one name of two mails.
                    let to = self.mailbox.file(format!("cur/{base}:2,{flags}"));
                    let from = self.mailbox.file(name);
                    let no_replace = rustix::fs::RenameFlags::NOREPLACE;
                    let _ = rustix::fs::renameat_with(rustix::fs::CWD, &from, rustix::fs::CWD, &to, no_replace);
                }
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Readers that are programs of their own.
    fn list(&self) {
        while self.goes_on() {
            let run = self.mailbox.run(["list", "--json", "--no-refresh"]).ok();
            self.take(&oracle::listed(&self.mailbox, &run));
            count(&self.counts.processes);
        }
    }

    /// Readers in this process; each opens the folder anew.
    fn read(&self) {
        while self.goes_on() {
            let listed = self.read_once().unwrap_or_else(|error| panic!("a reader failed: {error}"));
            self.take(&listed);
            count(&self.counts.reads);
        }
    }

    fn read_once(&self) -> maildex::Result<Vec<oracle::Listed>> {
        let mut folder = Folder::open(&self.mailbox.path())?;
        let snapshot = folder.complete_index()?.snapshot()?;
        let mut entries = snapshot.index().entries()?;
        let mut listed = Vec::new();
        for slot in snapshot.slots() {
            let (uid, status) = (slot.uid()?, slot.status()?);
            if status.has(Status::EXPUNGED) {
                continue;
            }
            let entry = entries.read(&slot)?;
            let mail = oracle::OnDisk {
                path: String::new(),
                base: String::from_utf8_lossy(entry.base).into_owned(),
                flags: status.flags().to_string(),
                message_id: entry.message_id.trim_matches(['<', '>']).to_string(),
                size: entry.size,
            };
            listed.push(oracle::Listed { uid: uid.get().into(), mail });
        }
        Ok(listed)
    }

    /// A watcher, which is killed now and then, and another one follows.
    fn watch(&self) {
        while self.goes_on() {
            let watch = Watching::from_now(&self.mailbox);
            let begun = Instant::now();
            while self.goes_on() && begun.elapsed() < Duration::from_secs(3) {
                while let Some((event, ..)) = watch.told_already() {
                    assert!(["added", "flags", "moved", "removed"].contains(&&*event), "{event}: {}", watch.errors());
                    count(&self.counts.events);
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// All is at rest: each mail is there once, and the index shows the folder.
    fn judge(&self) -> usize {
        self.mailbox.run(["build"]).ok();
        let listed = oracle::listed(&self.mailbox, &self.mailbox.run(["list", "--json", "--no-refresh"]).ok());
        self.take(&listed);
        oracle::is_the_folder(&self.mailbox, &listed).unwrap_or_else(|why| panic!("{why}"));
        self.mailbox.assert_sound();
        let mut there = BTreeSet::new();
        for listed in &listed {
            assert!(there.insert(listed.mail.message_id.clone()), "twice: {listed:?}");
        }
        self.oracle(|oracle| {
            let lost: Vec<_> = oracle.delivered.difference(&oracle.doomed).filter(|id| !there.contains(*id)).collect();
            assert!(lost.is_empty(), "lost: {lost:?}");
        });
        there.len()
    }
}

/// Waits for a process; kills it first, if it is to be, after a while.
fn end(mut child: Child, kill_after: Option<Duration>) -> std::process::Output {
    if let Some(after) = kill_after {
        thread::sleep(after);
        let _ = child.kill();
    }
    child.wait_with_output().expect("wait for it")
}

#[test]
fn everything_at_once_loses_nothing() {
    let time = Duration::from_secs(if long() { 1800 } else { 10 });
    let soak = Soak {
        mailbox: Mailbox::in_memory(),
        oracle: Mutex::default(),
        counts: Counts::default(),
        names: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    };
    for _ in 0..KEPT {
        let (n, id, text) = soak.next();
        soak.mailbox.deliver(format!("cur/{n}.kept:2,"), text);
        soak.oracle(|oracle| oracle.delivered.insert(id));
    }
    soak.mailbox.run(["build"]).ok();
    thread::scope(|scope| {
        let soak = &soak;
        let beside = |act: &'static (dyn Fn(&Soak) + Sync)| {
            scope.spawn(move || {
                let _end = EndOnDrop(soak);
                act(soak);
            });
        };
        beside(&|soak| soak.write(1));
        beside(&|soak| soak.write(2));
        beside(&Soak::compact);
        beside(&|soak| soak.others(3));
        beside(&Soak::list);
        beside(&Soak::read);
        beside(&Soak::read);
        beside(&Soak::watch);
        let begun = Instant::now();
        while soak.goes_on() && begun.elapsed() < time {
            thread::sleep(Duration::from_millis(50));
        }
        soak.is_over.store(true, Ordering::Release);
    });
    let left = soak.judge();
    let [verbs, kills, others, compactions, reads, processes, events] = {
        let Counts { verbs, kills, others, compactions, reads, processes, events } = soak.counts;
        [verbs, kills, others, compactions, reads, processes, events].map(AtomicUsize::into_inner)
    };
    Tally::Operations.add(verbs + others);
    Tally::CrashPoints.add(kills);
    Tally::Readers.add(reads + processes);
    figures(&format!(
        "everything at once for {} s: {verbs} verbs, {kills} of them killed, {compactions} compactions, {others} rounds of other \
         programs, {reads} reads and {processes} reading programs, {events} events; {left} mails left, none lost, none twice",
        time.as_secs()
    ));
}
