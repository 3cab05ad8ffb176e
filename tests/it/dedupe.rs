//! `maildex dedupe`: of what is there more than once one stays, and it is the right one.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::process::Stdio;

use maildex::folder::Folder;
use maildex::format::entry::Entry;
use maildex::format::status::Status;
use maildex::index::publish::Writer;
use maildex::lock::Wait;
use maildex::maildir::change::FlagChange;
use maildex::maildir::summary::Summary;
use maildex::ops::dedupe::{By, Keepers, find, remove, unite};
use maildex::ops::flag::{Plan, Whose};
use maildex::query::message::MessageRef;

use crate::mailbox::{Mailbox, figures, long, mail};

/// Four of one mail, with flags, and two of another that differ in the last byte.
fn doubled() -> Mailbox {
    let mail = Mailbox::new()
        .message("cur/1.host:2,T", mail("mail 1"))
        .message("cur/2.host:2,Sa", self::mail("mail 1"))
        .message("cur/3.host:2,FD", self::mail("mail 1"))
        .message("new/4.host", self::mail("mail 1"))
        .message("cur/5.host:2,", self::mail("mail 5"))
        .message("cur/6.host:2,", self::mail("mail 5").replace("hello", "hallo"))
        .message("cur/7.host:2,", "")
        .message("cur/8.host:2,", "");
    mail.run(["build"]).ok();
    mail
}

#[test]
fn the_first_that_is_not_trashed_stays_with_the_flags_of_all() {
    let mail = doubled();
    let before = mail.mails();
    let run = mail.run(["dedupe", "--dry-run"]).ok();
    let rows = |run: &str| {
        let row = |line: &str| {
            let columns: Vec<_> = line.split('\t').collect();
            (columns[0].to_string(), columns[2].to_string())
        };
        run.lines().map(row).collect::<Vec<_>>()
    };
    let expected = [("1", "2"), ("3", "2"), ("4", "2")].map(|(uid, kept)| (uid.to_string(), kept.to_string()));
    assert_eq!(rows(&run.text()), expected);
    assert_eq!(mail.mails(), before);
    let run = mail.run(["dedupe"]).ok();
    assert_eq!(rows(&run.text()), expected);
    mail.assert_files(["cur/2.host:2,FSa", "cur/5.host:2,", "cur/6.host:2,", "cur/7.host:2,", "cur/8.host:2,"]);
    mail.run(["dedupe"]).ok().stdout("");
    mail.assert_sound();
}

#[test]
fn by_message_id_what_else_they_hold_does_not_matter() {
    let mail = doubled();
    let trash = mail.path().with_file_name("doubles");
    let run = mail
        .run(["dedupe", "--by", "message-id", "--create", "--trash", trash.to_str().expect("a path"), "--json"])
        .ok();
    let gone: Vec<_> = run.json().iter().map(|r| (r["uid"].as_u64(), r["kept_uid"].as_u64())).collect();
    assert_eq!(gone, [(Some(1), Some(2)), (Some(3), Some(2)), (Some(4), Some(2)), (Some(6), Some(5))]);
    assert_eq!(fs::read_dir(trash.join("cur")).expect("list").count(), 3);
    assert!(trash.join("new/4.host").exists());
    mail.run(["list", "--uids"]).ok().stdout("2\n5\n7\n8\n");
    mail.assert_sound();
}

#[test]
fn the_first_folder_comes_first_and_keywords_stay_in_theirs() {
    let (mail, other) = (doubled(), doubled());
    let path = other.path();
    let run = mail.run(["dedupe", path.to_str().expect("a path"), mail.path().to_str().expect("a path")]).ok();
    assert_eq!(run.text().lines().count(), 3 + 4 + 2, "{run}");
    mail.assert_files(["cur/2.host:2,FSa", "cur/5.host:2,", "cur/6.host:2,", "cur/7.host:2,", "cur/8.host:2,"]);
    other.assert_files(["cur/7.host:2,", "cur/8.host:2,"]);
    mail.assert_sound();
    other.assert_sound();
}

#[test]
fn a_mail_that_was_changed_is_no_double() {
    let mail = Mailbox::new().message("cur/1.host:2,", mail("mail 1")).message("cur/2.host:2,", self::mail("mail 1"));
    mail.run(["build"]).ok();
    mail.settle();
    // In place, with the same size: no directory shows it.
    fs::write(mail.file("cur/2.host:2,"), self::mail("mail 1").replace("hello", "hallo")).expect("write");
    mail.run(["dedupe"]).fails_with(4).stdout("").stderr_has("cur/2.host:2,: left alone");
    assert_eq!(mail.mails().len(), 2);
    mail.assert_sound();
}

#[test]
fn ids_of_which_nothing_or_only_the_beginning_is_known_prove_nothing() {
    let long = "x".repeat(5000);
    let mail = ["", "<>", "<> ", &format!("<{long}1@x>"), &format!("<{long}2@x>"), "<1@x>", "<1@x>"]
        .iter()
        .enumerate()
        .fold(Mailbox::new(), |mail, (n, id)| {
            mail.message(format!("cur/{n}.host:2,"), format!("Message-ID: {id}\nSubject: {n}\n\nhello\n"))
        });
    mail.run(["build"]).ok();
    mail.run(["dedupe", "--by", "message-id"]).ok();
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n3\n4\n5\n6\n");
    mail.assert_sound();
}

/// Between the look at all of them and the last removal much may happen: two who each keep what the other removes would
/// leave nothing.
#[test]
fn nothing_is_removed_if_the_one_that_stays_has_gone_or_changed() {
    let once = |mail: Mailbox| mail.message("cur/1.host:2,", self::mail("mail 1")).message("new/2.host", mail_2());
    let (one, other) = (once(Mailbox::new()), once(Mailbox::new()));
    let mut folders = Vec::new();
    for mail in [&one, &other] {
        mail.run(["build"]).ok();
        folders.push(Folder::open(&mail.path()).expect("open"));
    }
    let go_on = &mut |_| ControlFlow::Continue(());
    let bad = &mut |error| panic!("{error}");
    let mut groups = find(&mut folders, By::Content, go_on, bad).expect("find");
    unite(&mut folders, &mut groups, Wait::Forever, &mut |_| (), go_on, bad).expect("unite");
    let keepers = Keepers::of(&mut folders, &groups, By::Content).expect("keepers");
    assert_eq!(keepers.going(1).len(), 2);
    one.remove("cur/1.host:2,");
    fs::write(one.file("new/2.host"), mail_2().replace("hello", "hallo")).expect("write");
    let changes = [(FlagChange::default(), Whose::Named(MessageRef::parse("1:2".as_ref()).expect("UIDs")))];
    let plan = Plan { changes: &changes, dry_run: false, wait: Wait::Forever };
    let done = remove(&mut folders[1], 1, &keepers, &plan, &mut |_| (), go_on).expect("remove");
    assert!(done.messages.is_empty(), "{done:?}");
    let told: Vec<_> = done.failed.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|told| told.contains("no message with the base name 1.host")), "{told:?}");
    assert!(told.iter().any(|told| told.contains("new/2.host: is not the mail")), "{told:?}");
    other.assert_files(["cur/1.host:2,", "new/2.host"]);
    other.run(["list", "--uids"]).ok().stdout("1\n2\n");
    other.assert_sound();
}

fn mail_2() -> String {
    mail("mail 2")
}

/// Numbers of slots are others then.
#[test]
fn somebody_who_compacts_meanwhile_changes_nothing() {
    for by in [By::Content, By::MessageId] {
        let mail = doubled();
        mail.run(["expunge", "1", "5"]).ok();
        let mut folders = [Folder::open(&mail.path()).expect("open")];
        let mut is_done = false;
        let compact = &mut |_| {
            if !std::mem::replace(&mut is_done, true) {
                mail.run(["compact"]).ok();
            }
            ControlFlow::Continue(())
        };
        let groups = find(&mut folders, by, compact, &mut |error| panic!("{error}")).expect("find");
        let uids: Vec<Vec<_>> =
            groups.iter().map(|group| group.others.iter().map(|other| other.uid.get()).collect()).collect();
        assert!(is_done);
        assert_eq!(uids, [[3, 4]]);
    }
}

#[test]
fn a_trash_that_cannot_be_is_told_before_anything_is_done() {
    let (mail, other) = (doubled(), doubled());
    let (before, path) = (mail.mails(), mail.path());
    let none = mail.path().with_file_name("none");
    for (trash, code) in [(&path, 2), (&other.path(), 2), (&none, 3)] {
        let (other, trash) = (other.path(), trash.to_str().expect("a path"));
        mail.run(["dedupe", other.to_str().expect("a path"), "--trash", trash]).fails_with(code).stdout("");
    }
    assert_eq!(mail.mails(), before);
    assert_eq!(other.mails(), before);
}

/// Who names the folders the other way round keeps what we remove.
#[test]
fn two_at_once_leave_one_of_each() {
    let (one, other) = (Mailbox::new().messages(60), Mailbox::new().messages(60));
    for mail in [&one, &other] {
        mail.run(["build"]).ok();
    }
    let start = |first: &Mailbox, second: &Mailbox| {
        let mut command = first.command(["dedupe", second.path().to_str().expect("a path"), "--wait", "forever"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run")
    };
    for mut child in [start(&one, &other), start(&other, &one)] {
        assert!(matches!(child.wait().expect("wait").code(), Some(0 | 4)));
    }
    let left: BTreeSet<_> = one.mails().union(&other.mails()).cloned().collect();
    assert_eq!(left.len(), 60);
    one.assert_sound();
    other.assert_sound();
}

/// Entries without mail: what is measured is the index. Peak memory is the one of the whole process.
#[test]
fn a_large_index_takes_little_memory() {
    let count: u32 = if long() { 1_000_000 } else { 50_000 };
    let mail = Mailbox::in_memory();
    mail.run(["build"]).ok();
    let folder = Folder::open(&mail.path()).expect("open");
    let lock = folder.lock("test", Wait::Forever, &mut |_| ()).expect("lock");
    let mut writer = Writer::new(folder.index_to_change().expect("an index"), &lock).expect("a writer");
    for n in 0..count {
        let (base, id) = (format!("{n}.host"), format!("<{}@example.org>", n / 10 * 10 + n % 10 % 9));
        let summary = Summary { message_id: id, subject: format!("mail {n}"), ..Summary::default() };
        let mut bytes = Vec::new();
        Entry::new(base.as_bytes(), 1_000_000_000, 100, &summary).write(&mut bytes);
        let hash = writer.index().identity().hash(base.as_bytes());
        writer.add(&mut bytes, Status::NO_INFO, hash, u64::from(n) + 1).expect("add");
        if n % 100_000 == 0 {
            writer.publish().expect("publish");
        }
    }
    writer.finish().expect("finish");
    // The lock stays ours, so that nobody looks for the mail.
    let mut command = mail.command(["dedupe", "--dry-run", "--by", "message-id"]);
    let results = mail.path().with_file_name("results");
    command.stdout(Stdio::null()).stderr(fs::File::create(&results).expect("a file"));
    let mut child = command.spawn().expect("run");
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0;
    while child.try_wait().expect("wait").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak_kb = peak_kb.max(kb.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    lock.release().expect("release");
    let found = fs::read_to_string(results).expect("read");
    let doubles = found.lines().filter(|line| line.contains("no message with the base name")).count();
    assert_eq!(doubles as u32, count / 10, "{found:.2000}");
    figures(&format!("dedupe of {count} entries: at most {} MB resident, the mapped index among them", peak_kb / 1024));
    assert!(peak_kb < 500 << 10, "{peak_kb} kB");
}
