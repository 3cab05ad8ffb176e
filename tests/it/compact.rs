//! `maildex compact`: smaller files with the same messages, beside everybody else.

use std::collections::BTreeMap;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use maildex::folder::Folder;
use maildex::format::Uid;
use maildex::index::Index;
use maildex::index::publish::Writer;
use maildex::lock::{LOCKFILE, Wait};

use crate::mailbox::{Mailbox, figures, mail, maildex};
use crate::oracle::{self, History};
use crate::tally::Tally;

/// UIDs 1 to 6, of which 2 and the newest are dead.
fn with_dead() -> Mailbox {
    let mail = Mailbox::new().messages(5).message("new/6.host", self::mail("mail 6"));
    mail.run(["build"]).ok();
    mail.remove("cur/2.host:2,");
    mail.remove("new/6.host");
    mail.run(["build"]).ok();
    mail
}

fn size(mail: &Mailbox) -> u64 {
    mail.own_files().values().map(|bytes| bytes.len() as u64).sum()
}

#[test]
fn messages_stay_as_they_are_and_dead_ones_take_no_space() {
    let mail = with_dead();
    let (before, list) = (size(&mail), mail.run(["list", "--json"]).ok().text());
    let run = mail.run(["compact", "--json"]).ok().silent();
    let done = &run.json()[0];
    for (key, value) in [("kept", 4), ("dropped", 2), ("bytes_before", before), ("bytes_after", size(&mail))] {
        assert_eq!(done[key], value, "{key}: {run}");
    }
    assert!(size(&mail) < before);
    mail.run(["list", "--json"]).ok().silent().stdout(&list);
    let own = oracle::own_files(&mail);
    let expected = ["maildex.close", "maildex.index.2", "maildex.offsets", "maildex.open"];
    assert_eq!(own.iter().filter(|name| *name != "maildex.ask").collect::<Vec<_>>(), expected);
    // The newest UID is dead and forgotten, but never given out again.
    mail.deliver("new/7.host", self::mail("mail 7"));
    mail.run(["list", "--uids", "7:*"]).ok().stdout("7\n");
    mail.run(["compact"]).ok().silent().stdout("");
    mail.run(["list", "--uids"]).ok().stdout("1\n3\n4\n5\n7\n");
    mail.assert_sound();
}

#[test]
fn either_file_gives_every_uid_back_after_a_compaction() {
    for lost in ["maildex.offsets", "maildex.index.2"] {
        let mail = with_dead();
        mail.run(["compact"]).ok();
        mail.remove(lost);
        mail.deliver("new/7.host", self::mail("mail 7"));
        mail.run(["build"]).ok();
        mail.run(["list", "--uids"]).ok().stdout("1\n3\n4\n5\n7\n");
        mail.assert_sound();
    }
}

#[test]
fn tokens_stay_good_unless_a_removal_after_them_was_dropped() {
    let mail = Mailbox::new().messages(3).message("new/4.host", self::mail("mail 4"));
    mail.run(["build"]).ok();
    let token = |mail: &Mailbox| mail.run(["changes"]).ok().text().trim().to_string();
    let first = token(&mail);
    mail.rename("cur/1.host:2,", "cur/1.host:2,F");
    mail.rename("new/4.host", "cur/4.host:2,");
    mail.run(["compact"]).ok();
    let expected = mail.run(["changes", "--since", &first]).ok().text();
    assert!(expected.contains("flags\t1\t") && expected.contains("moved\t4\t"), "{expected}");
    mail.run(["compact"]).ok();
    mail.run(["changes", "--since", &first, "--no-refresh"]).ok().stdout(&expected);
    mail.remove("cur/2.host:2,");
    mail.run(["build"]).ok();
    let second = token(&mail);
    mail.rename("cur/3.host:2,", "cur/3.host:2,S");
    mail.run(["changes", "--since", &first]).ok().stdout_has("removed\t2\t");
    mail.run(["compact"]).ok();
    mail.run(["changes", "--since", &first]).fails_with(5).stderr_has("too old");
    mail.run(["changes", "--since", &second]).ok().stdout_has("flags\t3\t");
    mail.assert_sound();
}

#[test]
fn if_dead_leaves_alone_what_is_not_worth_it() {
    let mail = with_dead();
    let before = mail.own_files();
    for percent in ["34", "100"] {
        let run = mail.run(["compact", "--json", "--if-dead", percent]).ok();
        let done = &run.json()[0];
        assert_eq!((&done["compacted"], &done["dead"]), (&false.into(), &2.into()), "{run}");
        assert!(mail.own_files() == before, "{percent}");
    }
    mail.run(["compact", "--if-dead", "33"]).ok();
    assert!(mail.file("maildex.index.2").exists());
    mail.run(["compact", "--if-dead", "1"]).ok();
    assert!(!mail.file("maildex.index.3").exists(), "nothing is dead any more");
    mail.run(["compact", "--if-dead", "101"]).fails_with(2);
    mail.assert_sound();
}

/// Only dead messages counted, so an index that a sync program had made ten times as long was never worth it.
#[test]
fn if_dead_counts_entries_that_gave_way_to_another_one() {
    let mail = Mailbox::new().messages(5);
    mail.run(["build"]).ok();
    for round in 0..4 {
        for n in 1..=5 {
            let uid = |round: i32| if round == 0 { String::new() } else { format!(",U={round}") };
            mail.rename(format!("cur/{n}.host{}:2,", uid(round)), format!("cur/{n}.host{}:2,", uid(round + 1)));
        }
        mail.run(["build"]).ok();
    }
    let run = mail.run(["compact", "--json", "--if-dead", "85"]).ok();
    let done = &run.json()[0];
    for (key, value) in [("dead_percent", 80), ("dead", 0), ("messages", 5)] {
        assert_eq!(done[key], value, "{key}: {run}");
    }
    let before = size(&mail);
    mail.run(["compact", "--if-dead", "60"]).ok().silent();
    assert!(size(&mail) < before, "{} bytes, {before} before", size(&mail));
    mail.run(["compact", "--if-dead", "1"]).ok();
    assert!(!mail.file("maildex.index.3").exists(), "nothing is dead any more");
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n4\n5\n");
    mail.assert_sound();
}

#[test]
fn with_r_every_folder_is_compacted_and_a_broken_one_stops_no_other() {
    let mail = with_dead();
    for (folder, from) in [(".Sent", "cur/1.host:2,"), (".Broken", "cur/3.host:2,"), (".Trash", "cur/4.host:2,")] {
        for sub in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(mail.file(folder).join(sub)).expect("make a folder");
        }
        std::fs::copy(mail.file(from), mail.file(folder).join(from)).expect("a mail");
    }
    mail.run(["build", "-r"]).ok();
    std::fs::write(mail.file(".Broken/maildex.offsets"), "no index").expect("break it");
    let run = mail.run(["compact", "-r", "--json"]);
    let run = run.stderr_has(".Broken/maildex.offsets");
    assert_eq!(run.json().len(), 3, "{run}");
    for folder in ["", ".Sent/", ".Trash/"] {
        assert!(mail.file(format!("{folder}maildex.index.2")).exists(), "{run}");
    }
}

const NIGHTLY: &str = include_str!("../../src/cli/compact_nightly.txt");

#[test]
fn the_nightly_lines_are_in_docs_and_help() {
    assert!(include_str!("../../docs/scripts.md").contains(NIGHTLY), "docs/scripts.md has them as they are");
    let help = Mailbox::new().finish(Command::new(maildex()).args(["help", "compact"])).ok().text();
    assert!(help.contains(NIGHTLY), "help has them as they are: {help}");
}

#[test]
fn the_nightly_lines_do_what_they_say() {
    let line = |start: &str| NIGHTLY.lines().find_map(|line| line.strip_prefix(start)).expect(start).to_string();
    for command in [line("17 3 * * * "), line("ExecStart=").replace("%h", "$HOME")] {
        let mail = with_dead();
        let home = mail.path().parent().expect("a home").to_path_buf();
        std::fs::create_dir_all(home.join(".cargo/bin")).expect("make a directory");
        std::os::unix::fs::symlink(maildex(), home.join(".cargo/bin/maildex")).expect("a symlink");
        std::os::unix::fs::symlink(mail.path(), home.join("Maildir")).expect("a symlink");
        // As cron and systemd do: with nearly no environment, and nobody at the terminal.
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(&command).env_clear().env("HOME", &home).stdin(Stdio::null());
        mail.finish(&mut shell).ok().silent().stdout("");
        assert!(mail.file("maildex.index.2").exists(), "{command}");
        mail.finish(&mut shell).ok().silent().stdout("");
        assert!(!mail.file("maildex.index.3").exists(), "{command}: nothing is dead any more");
        let mut folder = Folder::open(&mail.path()).unwrap();
        folder.stay_open().unwrap();
        for n in 1..6 {
            let _ = std::fs::remove_file(mail.file(format!("cur/{n}.host:2,")));
        }
        mail.run(["build"]).ok();
        let short = command.clone() + " --wait 0";
        shell = Command::new("/bin/sh");
        shell.arg("-c").arg(&short).env_clear().env("HOME", &home).stdin(Stdio::null());
        mail.finish(&mut shell).fails_with(75).stderr_has("kept open by");
    }
}

#[test]
fn no_index_and_a_damaged_one_are_told() {
    let mail = Mailbox::new().messages(3);
    mail.run(["compact"]).fails_with(3).stderr_has("make one with: maildex build");
    mail.run(["build"]).ok();
    mail.edit("maildex.index.1", |bytes| bytes[4096 + 60] ^= 1);
    let before = mail.own_files().remove("maildex.index.1");
    mail.run(["compact"]).fails_with(3).stderr_has("maildex check");
    assert_eq!(mail.own_files().remove("maildex.index.1"), before, "nothing is dropped for it");
    assert!(!mail.file("maildex.index.tmp").exists() && !mail.file("maildex.offsets.tmp").exists());
    mail.run(["build", "--full"]).ok();
    mail.run(["compact"]).ok();
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n");
    mail.assert_sound();
}

/// It named the directory of the index as the folder, and advised to build that.
#[test]
fn the_folder_is_named_where_the_index_is_elsewhere() {
    let mail = Mailbox::new().messages(1);
    let index_dir = mail.path().with_file_name("index");
    let run = mail.finish(mail.command(["compact"]).env("MAILDEX_INDEX_DIR", &index_dir)).fails_with(3);
    let folder = mail.path().display().to_string();
    assert_eq!(run.errors(), format!("maildex: {folder}: no index\nhint: make one with: maildex build {folder}\n"));
}

#[test]
fn who_keeps_the_folder_open_is_asked_and_comes_back() {
    let mail = with_dead();
    let mut folder = Folder::open(&mail.path()).unwrap();
    folder.stay_open().unwrap();
    let uids = |folder: &mut Folder| -> Vec<u32> {
        let snapshot = folder.complete_index().unwrap().snapshot().unwrap();
        snapshot.slots().map(|slot| slot.uid().unwrap().get()).collect()
    };
    assert_eq!(uids(&mut folder), [1, 2, 3, 4, 5, 6]);
    let run = mail.run(["compact", "--wait", "0.1"]).fails_with(75).stdout("");
    run.stderr_shows(&format!("kept open by process {}", std::process::id()));
    run.stderr_shows("--force");
    assert!(!mail.file("maildex.index.2").exists() && !mail.file(LOCKFILE).exists());
    thread::scope(|scope| {
        let compactor = scope.spawn(|| mail.run(["compact"]).ok());
        while !mail.file("maildex.index.2").exists() {
            folder.attend().unwrap();
            thread::yield_now();
        }
        compactor.join().unwrap();
    });
    folder.attend().unwrap();
    assert_eq!(uids(&mut folder), [1, 3, 4, 5], "it is the new generation that is read");
    mail.run(["compact", "--wait", "0.1"]).fails_with(75).stderr_has("kept open by");
    mail.run(["compact", "--wait", "0.1", "--force"]).ok().stderr_has("it will find the new files");
    assert_eq!(uids(&mut folder), [1, 3, 4, 5], "also where it did not answer");
    assert_eq!(folder.index().unwrap().identity().generation, 3);
    drop(folder);
    mail.run(["compact", "--wait", "0"]).ok().silent();
    mail.assert_sound();
}

#[test]
fn one_that_wants_the_lock_while_it_is_asked_to_close_gets_it() {
    let mail = with_dead();
    let mut folder = Folder::open(&mail.path()).unwrap();
    folder.stay_open().unwrap();
    thread::scope(|scope| {
        let compactor = scope.spawn(|| mail.run(["compact", "--wait", "20"]).ok());
        while !mail.file(LOCKFILE).exists() {
            thread::yield_now();
        }
        // It has not heard that it should close; it waits for the compactor, and the compactor for it.
        let lock = folder.lock("a test", Wait::For(Duration::from_secs(20)), &mut |_| ()).unwrap();
        assert!(!mail.file("maildex.index.2").exists());
        lock.release().unwrap();
        while !compactor.is_finished() {
            folder.attend().unwrap();
            thread::yield_now();
        }
        compactor.join().unwrap();
    });
    assert!(mail.file("maildex.index.2").exists());
    mail.assert_sound();
}

#[test]
fn what_stands_in_the_place_of_the_files_for_closing_is_named_and_never_followed() {
    use std::os::unix::fs::symlink;
    for name in ["maildex.close", "maildex.open"] {
        for kind in ["a symbolic link", "a fifo", "a directory", "a file with 2 links"] {
            let mail = with_dead();
            let (victim, place) = (mail.path().with_file_name("victim"), mail.file(name));
            std::fs::write(&victim, "precious").expect("a victim");
            let before = std::fs::metadata(&victim).and_then(|meta| meta.modified()).expect("stat");
            match kind {
                "a symbolic link" => symlink(&victim, &place).expect("a symlink"),
                "a fifo" => assert!(Command::new("mkfifo").arg(&place).status().expect("mkfifo").success()),
                "a directory" => std::fs::create_dir(&place).expect("a directory"),
                _ => std::fs::hard_link(&victim, &place).expect("a hard link"),
            }
            let run = mail.run(["compact", "--wait", "0.1"]).fails_with(3).stdout("");
            run.stderr_shows(&format!("{}: found {kind}, expected a plain file with one link", place.display()));
            assert_eq!(std::fs::read_to_string(&victim).expect("read"), "precious");
            assert_eq!(std::fs::metadata(&victim).and_then(|meta| meta.modified()).expect("stat"), before);
            assert!(mail.file("maildex.index.1").exists() && !mail.file(LOCKFILE).exists());
            mail.run(["list", "--uids"]).ok().stdout("1\n3\n4\n5\n");
        }
    }
}

#[test]
fn an_old_map_stays_whole_and_its_owner_writes_into_the_new_files() {
    let mail = with_dead();
    let mut folder = Folder::open(&mail.path()).unwrap();
    let old = Index::open(folder.dir(), false).unwrap().unwrap();
    let mut entries = old.entries().unwrap();
    folder.index().unwrap();
    mail.run(["compact"]).ok();
    let slot = old.slot(maildex::format::SlotNo(4)).unwrap();
    assert_eq!(entries.read(&slot).unwrap().subject, "mail 5");
    assert!(!old.is_current().unwrap());
    mail.deliver("new/7.host", self::mail("mail 7"));
    let go_on = &mut |_| std::ops::ControlFlow::Continue(());
    let wait = Wait::For(Duration::from_secs(30));
    maildex::ops::build::build(&folder, maildex::ops::build::Options::default(), wait, &mut |_| (), go_on).unwrap();
    mail.run(["list", "--uids", "--no-refresh"]).ok().stdout("1\n3\n4\n5\n7\n");
    mail.assert_sound();
}

#[test]
fn the_last_uids_are_given_out_and_then_it_is_said() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    let folder = Folder::open(&mail.path()).unwrap();
    let lock = folder.lock("a test", Wait::For(Duration::ZERO), &mut |_| ()).unwrap();
    let mut writer = Writer::new(Index::open(folder.dir(), true).unwrap().unwrap(), &lock).unwrap();
    writer.raise_uid(Uid::new(4_294_967_289).unwrap()).unwrap();
    writer.finish().unwrap();
    lock.release().unwrap();
    mail.run(["compact"]).ok();
    for n in 1..=6 {
        mail.deliver(format!("new/{n}.last"), self::mail(&format!("last {n}")));
    }
    let all = "1\n2\n4294967290\n4294967291\n4294967292\n4294967293\n4294967294\n4294967295\n";
    mail.run(["list", "--uids"]).ok().silent().stdout(all);
    for n in 1..=5 {
        mail.remove(format!("new/{n}.last"));
    }
    mail.run(["compact"]).ok();
    mail.deliver("new/7.last", self::mail("one too many"));
    let run = mail.run(["build"]).fails_with(4);
    run.stderr_shows("all UIDs up to 4294967295 have been given out; 1 mail not indexed");
    run.stderr_shows("hint: the folder needs a new UIDVALIDITY");
    mail.run(["compact"]).ok();
    mail.run(["flag", "+S", "4294967295"]).ok();
    mail.run(["list", "--uids", "--no-refresh"]).ok().stdout("1\n2\n4294967295\n");
}

/// Ends the threads beside a test, also when it fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn flaggers_and_readers_beside_compactors_lose_nothing() {
    const MAILS: usize = 40;
    let time = Duration::from_secs(if std::env::var_os("MAILDEX_LONG").is_some() { 60 } else { 4 });
    let mail = Mailbox::in_memory().messages(MAILS);
    mail.run(["build"]).ok();
    let done = AtomicBool::new(false);
    let (flags, compactions, reads) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let mut early = Folder::open(&mail.path()).unwrap();
    early.complete_index().unwrap();
    thread::scope(|scope| {
        // Each flagger has mails of its own, so it knows what their flags must be.
        for flagger in 0..4 {
            let (mail, done, flags) = (&mail, &done, &flags);
            scope.spawn(move || {
                let _stop = StopOnDrop(done);
                let mut expected: BTreeMap<usize, &str> = BTreeMap::new();
                for round in 0.. {
                    if done.load(Ordering::Acquire) {
                        break;
                    }
                    let uid = flagger + 1 + 4 * (round % (MAILS / 4));
                    let spec = ["+F", "-F", "=S", "=RT"][(round / 7 + uid) % 4];
                    let run = mail.run(["flag", spec, &uid.to_string()]).ok();
                    let flags_now = run.text().trim().rsplit(',').next().unwrap_or("").to_string();
                    let fits = match spec {
                        "+F" => flags_now.contains('F'),
                        "-F" => !flags_now.contains('F'),
                        other => flags_now == other[1..],
                    };
                    assert!(fits, "{spec}: {run}");
                    expected.insert(uid, spec);
                    flags.fetch_add(1, Ordering::Relaxed);
                }
                let listed = mail.run(["list", "--json", "--no-refresh"]).ok();
                for record in listed.json() {
                    let uid = record["uid"].as_u64().unwrap() as usize;
                    let (Some(spec), flags) = (expected.get(&uid), record["flags"].as_str().unwrap()) else { continue };
                    let fits = match *spec {
                        "+F" => flags.contains('F'),
                        "-F" => !flags.contains('F'),
                        other => flags == &other[1..],
                    };
                    assert!(fits, "UID {uid} after {spec} has {flags}");
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let _stop = StopOnDrop(&done);
                while !done.load(Ordering::Acquire) {
                    mail.run(["compact"]).ok();
                    compactions.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for verb in [&["list", "--no-refresh", "--json"][..], &["list", "--uids"]] {
            let (mail, done, reads) = (&mail, &done, &reads);
            scope.spawn(move || {
                let _stop = StopOnDrop(done);
                let mut history = History::default();
                while !done.load(Ordering::Acquire) {
                    let run = mail.run(verb).ok();
                    assert_eq!(run.text().lines().count(), MAILS, "a whole list: {run}");
                    if verb.contains(&"--json") {
                        history.take(&oracle::listed(mail, &run)).unwrap();
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let begun = Instant::now();
        let _stop = StopOnDrop(&done);
        while begun.elapsed() < time && !done.load(Ordering::Acquire) {
            let count = early.complete_index().unwrap().snapshot().unwrap().slots().len();
            assert_eq!(count, MAILS, "a reader that started before");
            thread::sleep(Duration::from_millis(5));
        }
    });
    mail.run(["build"]).ok();
    oracle::is_the_folder(&mail, &oracle::listed(&mail, &mail.run(["list", "--json"]).ok())).unwrap();
    mail.assert_sound();
    let (flags, compactions, reads) = (flags.into_inner(), compactions.into_inner(), reads.into_inner());
    assert!(flags > 0 && compactions > 0 && reads > 0, "{flags} {compactions} {reads}");
    Tally::Readers.add(reads);
    figures(&format!("beside {compactions} compactions: {flags} flag changes, {reads} reads"));
}

#[test]
fn files_stay_small_and_uidnext_rises_over_many_deliveries_and_deletions() {
    let each = 100;
    let rounds: usize = if std::env::var_os("MAILDEX_LONG").is_some() { 1000 } else { 20 };
    let mail = Mailbox::in_memory();
    mail.run(["build"]).ok();
    let mut largest = 0;
    for round in 0..rounds {
        for n in 0..each {
            mail.deliver(format!("new/{round}.{n}"), self::mail(&format!("mail {round} {n}")));
        }
        mail.run(["build"]).ok();
        let last = (round + 1) * each;
        mail.run(["list", "--uids", "--last", "1"]).ok().stdout(format!("{last}\n"));
        for n in 0..each {
            mail.remove(format!("new/{round}.{n}"));
        }
        mail.run(["build"]).ok();
        largest = largest.max(size(&mail));
        mail.run(["compact", "--if-dead", "80"]).ok();
    }
    // An empty index is two header pages.
    assert_eq!(size(&mail), 8192);
    assert!(largest < 100 << 10, "{largest} bytes");
    mail.assert_sound();
    figures(&format!("{} deliveries and deletions with compaction: {largest} bytes at most", rounds * each));
}
