//! Our files are cut, or overwritten, by something else while they are mapped: told in one line, and the end, as if the
//! program had been killed; never a wrong answer.
//!
//! Where it happens is no matter of luck: strace stops the program at a call of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::crash::{DELIVER, READER};
use crate::faults::{faults, traced};
use crate::mailbox::{Mailbox, Run, figures, long, mail, skipped};
use crate::sweep::{Place, STRACE, Sweep, strace_works};
use crate::tally::Tally;
use crate::trouble::{Excuse, Told, Tries, step};
use crate::verbs::ALL;

const SAYS: &str = ": a part of it has gone, or cannot be read, while it was in use\nhint: ";

/// How many points are tried of each verb, if not all are.
const PART: usize = 2;

/// Calls at which it is stopped: when a file has been mapped, and later.
const POINTS: [&str; 6] = ["mmap", "fallocate", "pwrite64", "fsync", "unlinkat", "linkat"];

fn points(sweep: &Sweep) -> Vec<(String, usize)> {
    let mut points: Vec<_> = faults(sweep).into_iter().map(|fault| (fault.name, fault.nth)).collect();
    points.retain(|(name, _)| POINTS.contains(&&**name));
    points.sort();
    points.dedup();
    points
}

/// Runs the command of a verb up to a call, does something else, and lets it go on.
fn stopped_at(place: &Place, sweep: &Sweep, (name, nth): &(String, usize), act: impl FnOnce()) -> Run {
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let inject = format!("inject={name}:signal=STOP:when={nth}");
    let mut command = traced(place, sweep, log.path(), &[&format!("trace={name}"), &inject]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run it");
    let begun = Instant::now();
    let stopped = loop {
        let text = fs::read_to_string(log.path()).expect("read the log of strace");
        let line = text.lines().find(|line| line.contains("--- stopped by SIGSTOP"));
        if let Some(pid) = line.and_then(|line| line.split_whitespace().next()?.parse().ok().and_then(Pid::from_raw)) {
            break Some(pid);
        }
        if child.try_wait().expect("wait").is_some() {
            break None;
        }
        assert!(begun.elapsed() < Duration::from_mins(2), "it neither stops nor ends: {text}");
        std::thread::sleep(Duration::from_millis(1));
    };
    act();
    if let Some(pid) = stopped {
        kill_process(pid, Signal::CONT).expect("let it go on");
    }
    place.mailbox.ended(&command, child.wait_with_output().expect("it ends"))
}

fn cut(mailbox: &Mailbox, name: &str, len: u64) {
    // The file may have got another number, or be gone.
    let name = mailbox.own_files().into_keys().find(|own| own.starts_with(name));
    if let Some(file) = name.and_then(|name| File::options().write(true).open(mailbox.file(name)).ok()) {
        file.set_len(len).expect("cut the file");
    }
}

#[test]
fn whatever_a_verb_does_a_cut_file_is_told() {
    if !strace_works() {
        return skipped("files that are cut while they are mapped", STRACE);
    }
    let mut tries = Tries::default();
    for (at, (_, sweep)) in ALL.iter().enumerate() {
        let points = points(sweep);
        let expected = sweep.undisturbed_beside();
        let step = step(points.len(), PART);
        for (n, point) in points.iter().enumerate().skip(at % step).step_by(step) {
            let name = ["maildex.offsets", "maildex.index."][n / step % 2];
            let len = [0, 4096, 5000][n % 3];
            let excuse = Excuse { harmed: true, not_begun: sweep.command[0] == "sh", ..Excuse::default() };
            tries.one(sweep, &expected, excuse, |place| {
                let run = stopped_at(place, sweep, point, || cut(&place.mailbox, name, len));
                Told { run, trouble: format!("{name} cut to {len} at {point:?}") }
            });
        }
    }
    assert!(tries.told > 8, "{} told", tries.told);
    tries.end(Tally::Damages, "files cut while they are mapped");
}

/// The last point where it has mapped both files, and has not read them yet.
fn both_mapped(sweep: &Sweep) -> (String, usize) {
    points(sweep).into_iter().rfind(|(name, _)| name == "mmap").expect("it maps them")
}

/// It died of SIGBUS.
#[test]
fn a_reader_whose_file_is_cut_says_which_one_and_ends_with_3() {
    if !strace_works() {
        return skipped("files that are cut while they are read", STRACE);
    }
    let verbs: [&'static [&'static str]; 6] = [
        &["list", "--no-refresh"],
        &["count", "--no-refresh", "unseen"],
        &["show", "--no-refresh", "1:*"],
        &["stat", "--no-refresh"],
        &["changes", "--no-refresh", "--since", "0"],
        &["check"],
    ];
    for command in verbs {
        let sweep = Sweep { command, folder: crate::crash::built, ..READER };
        let place = (sweep.folder)();
        let run = stopped_at(&place, &sweep, &both_mapped(&sweep), || {
            cut(&place.mailbox, "maildex.offsets", 0);
            cut(&place.mailbox, "maildex.index.", 0);
        });
        run.stderr_shows("/inbox/maildex.");
        run.stderr_shows(SAYS);
        run.fails_with(3);
    }
}

/// A mail server would have returned the mail, which was safe.
#[test]
fn a_delivery_whose_index_is_cut_meanwhile_is_a_delivery() {
    if !strace_works() {
        return skipped("an index that is cut during a delivery", STRACE);
    }
    let place = (DELIVER.folder)();
    let before = place.mailbox.mails().len();
    let run = stopped_at(&place, &DELIVER, &both_mapped(&DELIVER), || cut(&place.mailbox, "maildex.offsets", 0));
    run.ok().stderr_has(SAYS);
    assert_eq!(place.mailbox.mails().len(), before + 1);
}

/// A signal that has nothing to do with our files ends it as it always did.
#[test]
fn a_sigbus_from_elsewhere_is_none_of_ours() {
    if !strace_works() {
        return skipped("SIGBUS from elsewhere", STRACE);
    }
    let sweep = Sweep { command: &["list"], folder: crate::crash::built, ..READER };
    let place = (sweep.folder)();
    let inject = "inject=getdents64:signal=BUS:when=1";
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let run = place.mailbox.finish(&mut traced(&place, &sweep, log.path(), &["trace=getdents64", inject]));
    assert!(run.code().is_none(), "{run}");
    assert!(!run.errors().contains("has gone"), "{run}");
}

/// What of a message can be proved. Of flags and other states six bits can, so one in 64 random words passes for some: for
/// one that says that the mail could not be read, too, and then no time of delivery is told.
fn proved(record: &serde_json::Value) -> String {
    ["base", "size", "subject", "from", "to", "message_id", "date"].map(|key| record[key].to_string()).concat()
}

/// Ends the stores, however the test ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Random bytes stored into both files while they are read: what is listed is what was there.
#[test]
fn random_bytes_stored_while_it_lists_show_nothing_that_was_not_there() {
    let mut mailbox = Mailbox::in_memory().messages(60);
    for n in 61..=80 {
        mailbox = mailbox.message(format!("new/{n}.host"), mail(&format!("mail {n}")));
    }
    mailbox.run(["build"]).ok();
    let truth: BTreeMap<u64, String> = mailbox
        .run(["list", "--json", "--no-refresh"])
        .ok()
        .json()
        .iter()
        .map(|record| (record["uid"].as_u64().expect("a UID"), proved(record)))
        .collect();
    assert_eq!(truth.len(), 80);
    let files = ["maildex.offsets", "maildex.index.1"].map(|name| {
        let path = mailbox.file(name);
        let bytes = fs::read(&path).expect("read our file");
        (File::options().write(true).open(path).expect("open our file"), bytes)
    });
    let put_back = || {
        for (file, bytes) in &files {
            file.write_all_at(bytes, 0).expect("put it back");
        }
    };
    let is_over = AtomicBool::new(false);
    let (mut runs, mut records, mut told) = (0u32, 0, 0);
    let until = Instant::now() + Duration::from_mins(1);
    let stores = std::thread::scope(|scope| {
        let stores = scope.spawn(|| {
            let (mut seed, mut stores) = (7u64, 0u64);
            let mut random = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                seed >> 20
            };
            while !is_over.load(Ordering::Relaxed) {
                let (file, bytes) = &files[random() as usize % 2];
                let len = 1 << (random() % 4);
                let at = random() % (bytes.len() as u64 - len);
                let noise = (random() << 32 ^ random()).to_le_bytes();
                file.write_all_at(&noise[..len as usize], at).expect("store");
                stores += 1;
                // Mostly whole, or nothing would ever be listed.
                if random() % 8 == 0 {
                    put_back();
                }
                std::thread::yield_now();
            }
            stores
        });
        let over = Over(&is_over);
        // However the two take turns, both are to have had enough of them.
        let begun = Instant::now();
        let is_enough = |runs, records, told| runs >= 150 && records > 1000 && told > 0;
        while (long() && Instant::now() < until) || !is_enough(runs, records, told) {
            assert!(begun.elapsed() < Duration::from_mins(5), "{runs} listings, {records} records, {told} told");
            runs += 1;
            let run = mailbox.run(["list", "--json", "--no-refresh"]);
            assert!([Some(0), Some(3), Some(4), Some(75)].contains(&run.code()), "{run}");
            told += usize::from(run.code() != Some(0));
            for record in run.json() {
                let uid = record["uid"].as_u64().expect("a UID");
                assert_eq!(truth.get(&uid), Some(&proved(&record)), "never was there: {record}\n{run}");
                records += 1;
            }
        }
        drop(over);
        stores.join().expect("it stores")
    });
    put_back();
    figures(&format!(
        "random bytes: {stores} stores, {runs} listings, {told} of them told, {records} records, all true"
    ));
    assert_eq!(mailbox.listed().len(), 80);
    mailbox.assert_sound();
}
