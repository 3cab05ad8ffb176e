//! `maildex check` on the folder: what is odd about the mail and no damage, the mail read again, and how it is told.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::check::notes;
use crate::mailbox::{Mailbox, mail, maildex};

fn indexed() -> Mailbox {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    mail
}

/// In a folder with this in it, `check` notes this about that file, and finds no damage.
#[track_caller]
fn noted(file: &str, what: &str, with: impl FnOnce(&Mailbox)) {
    let mail = indexed();
    with(&mail);
    let _ = mail.run(["build"]);
    let before = mail.own_files();
    let run = mail.run(["check"]).ok();
    let line = format!("maildex: {}: {what}", mail.file(file).display());
    assert!(notes(&run).iter().any(|note| note.starts_with(&line)), "no {line}\n{run}");
    mail.run(["check", "--quiet"]).ok().silent();
    assert_eq!(mail.own_files(), before);
}

#[test]
fn odd_names_are_noted() {
    let rename = |to: &'static str| move |mail: &Mailbox| mail.rename("cur/1.host:2,", to);
    let order = "flag letters out of order, or twice: found SF, expected FS";
    noted("cur/1.host:2,SF", order, rename("cur/1.host:2,SF"));
    noted("cur/1.host:2,SS", "flag letters out of order, or twice: found SS, expected S", rename("cur/1.host:2,SS"));
    noted("cur/1.host", "a name in cur/ without `:2,` and flags", rename("cur/1.host"));
    noted("cur/1.host:1,x", "a name in cur/ without `:2,` and flags", rename("cur/1.host:1,x"));
    noted("cur/:2,S", "a name without a base", rename("cur/:2,S"));
}

#[test]
fn two_files_of_one_base_name_are_noted() {
    let mail = indexed();
    mail.deliver("new/2.host", self::mail("twin"));
    mail.run(["build"]).fails_with(4);
    let run = mail.run(["check"]).ok().stderr_has("a second file with the base name of ");
    assert!(run.errors().contains("/new/2.host") && run.errors().contains("/cur/2.host:2,"), "{run}");
    run.stderr_has(&format!("maildex repair {} --normalise-names", mail.path().display()));
}

#[test]
fn what_is_no_mail_is_noted_and_not_opened() {
    noted("cur/fifo", "a fifo, left alone", |mail| {
        assert!(Command::new("mkfifo").arg(mail.file("cur/fifo")).status().expect("mkfifo runs").success());
    });
    noted("new/socket", "a socket, left alone", |mail| {
        drop(UnixListener::bind(mail.file("new/socket")).expect("a socket"));
    });
    noted("cur/directory", "a directory, left alone", |mail| {
        fs::create_dir(mail.file("cur/directory")).expect("a directory");
    });
    noted("new/link", "a symbolic link, left alone", |mail| {
        symlink("../cur/1.host:2,", mail.file("new/link")).expect("a link");
    });
}

#[test]
fn mail_without_a_byte_is_noted() {
    noted("new/4.host", "UID 4 has no bytes", |mail| mail.deliver("new/4.host", ""));
}

#[test]
fn what_is_left_in_tmp_is_noted_when_it_is_old() {
    let set_age = |path: &Path, hours| {
        let time = SystemTime::now() - Duration::from_hours(hours);
        let times = FileTimes::new().set_accessed(time).set_modified(time);
        File::options().write(true).open(path).and_then(|file| file.set_times(times)).expect("set the times");
    };
    let mail = indexed();
    for (name, hours) in [("old", 37), ("young", 35)] {
        fs::write(mail.file(format!("tmp/{name}")), "x").expect("write");
        set_age(&mail.file(format!("tmp/{name}")), hours);
    }
    let run =
        mail.run(["check"]).ok().stderr_has("tmp/old: left behind 37 hours ago by a delivery that did not finish");
    assert!(!run.errors().contains("young"), "{run}");
    run.stderr_has(&format!("rm {}", mail.file("tmp/old").display()));
}

#[test]
fn files_of_other_programs_are_a_detail() {
    let names = ["dovecot-uidlist", "dovecot-keywords", ".mbsyncstate", "courierimapuiddb", "maildirsize"];
    let mail = indexed();
    for name in names {
        fs::write(mail.file(name), "").expect("write");
    }
    fs::create_dir(mail.file(".notmuch")).expect("a directory");
    mail.run(["check"]).ok().silent();
    let run = mail.run(["check", "--verbose"]).ok();
    let expected = ".mbsyncstate (mbsync), .notmuch (notmuch), courierimapuiddb (Courier), dovecot-keywords (Dovecot), \
                    dovecot-uidlist (Dovecot), maildirsize (Maildir++ quota)";
    run.stderr_has(&format!("other programs keep files here, which maildex leaves alone: {expected}\n"));
}

#[test]
fn directories_that_are_missing_are_noted() {
    let mail = indexed();
    fs::remove_dir(mail.file("new")).expect("remove new/");
    fs::remove_dir_all(mail.file("tmp")).expect("remove tmp/");
    let run = mail.run(["check"]).ok().stderr_has("/new: no such directory").stderr_has("hint: is everything mounted?");
    run.stderr_has("hint: mail cannot be delivered without it: mkdir ");
}

#[test]
fn of_many_notes_of_a_kind_a_few_are_printed() {
    let mail = Mailbox::new();
    (0..25).for_each(|n| mail.deliver(format!("cur/{n}.host:2,SF"), self::mail("x")));
    mail.run(["build"]).ok();
    let run = mail.run(["check"]).ok().stderr_has("15 more notes of the same kind; see all with --verbose");
    assert_eq!(run.errors().matches("flag letters").count(), 10, "{run}");
    let all = mail.run(["check", "--verbose"]).ok();
    assert_eq!(all.errors().matches("flag letters").count(), 25, "{all}");
    let json = mail.run(["check", "--json"]).ok().json();
    assert_eq!(json.iter().filter(|finding| finding["finding"] == "flag-order").count(), 25);
}

/// Other contents of the same length; with the same mtime, or the present one.
fn overwrite(mail: &Mailbox, name: &str, text: &str, keep_mtime: bool) {
    let path = mail.file(name);
    let modified = fs::metadata(&path).and_then(|meta| meta.modified()).expect("mtime");
    let time = if keep_mtime { modified } else { modified + Duration::from_secs(5) };
    fs::write(&path, text).expect("overwrite");
    File::options().write(true).open(&path).and_then(|file| file.set_modified(time)).expect("set the mtime");
}

#[test]
fn deep_compares_every_field_with_the_mail() {
    let mail = indexed();
    mail.deliver("new/4.host", "");
    mail.run(["build"]).ok();
    mail.run(["check", "--deep"]).ok().stdout_has("4 messages, no damage");
    let text = self::mail("mail 2").replace("Subject: mail 2", "Subject: liam 2").replace("bob@", "eve@");
    overwrite(&mail, "cur/2.host:2,", &text, true);
    mail.run(["check"]).ok();
    let found = mail.run(["check", "--deep"]).fails_with(1).text();
    for expected in [
        "subject of the entry of UID 2: found \"mail 2\", expected \"liam 2\"",
        "to of the entry of UID 2: found \"bob@example.org\", expected \"eve@example.org\"",
        "header crc of the entry of UID 2: found 0x",
    ] {
        assert!(found.contains(expected), "{expected} in {found}");
    }
    assert_eq!(found.lines().count(), 3, "{found}");
    // With another mtime the mail was changed, and the index is only behind.
    overwrite(&mail, "cur/2.host:2,", &text, false);
    let run = mail.run(["check", "--deep"]).ok().stderr_has("cur/2.host:2,: UID 2 was changed in place");
    run.stderr_has(&format!("hint: maildex build {} --full", mail.path().display()));
    mail.run(["build", "--full"]).ok();
    mail.run(["check", "--deep"]).ok();
}

#[test]
fn deep_finds_no_fault_with_a_sample() {
    let mail = Mailbox::in_memory();
    maildex::sample::write(&mail.path(), 0..400).expect("write");
    mail.run(["build"]).ok();
    mail.run(["check", "--deep"]).ok().stdout_has("400 messages, no damage");
}

#[test]
fn details_say_where_it_is_and_who_has_the_lock() {
    let mail = indexed();
    let run = mail.run(["check", "-v"]).ok().stderr_has("the lock is free");
    run.stderr_shows("the index is on ");
    if Path::new("/proc/sys/fs/inotify/max_user_watches").exists() {
        run.stderr_has("inotify watches, as far as /proc shows");
    }
    let mut held = Command::new(maildex());
    held.args(["lock", "run"]).arg(mail.path()).args(["--reason", "a test", "--"]).arg(maildex());
    let run = mail.finish(held.args(["check", "-v"]).arg(mail.path())).ok();
    run.stderr_has("reason: a test");
}

#[test]
fn findings_are_objects_for_scripts() {
    let mail = indexed();
    mail.rename("cur/1.host:2,", "cur/1.host:2,SF");
    mail.edit("maildex.offsets", |bytes| bytes[4096 + 8] ^= 1);
    let run = mail.run(["check", "--json"]).fails_with(1).silent();
    let all: Vec<_> = run.json().into_iter().filter(|finding| finding["finding"] != "inotify").collect();
    let folder = mail.path().display().to_string();
    assert_eq!(all.len(), 3, "{run}");
    assert!(all.iter().all(|finding| finding["v"] == 1 && finding["folder"] == folder), "{run}");
    let file = mail.file("maildex.offsets").display().to_string();
    let damage = &all[0];
    assert_eq!((&damage["severity"], &damage["finding"]), (&"damage".into(), &"word".into()));
    assert_eq!((&damage["path"], &damage["offset"]), (&file.into(), &4104.into()));
    assert_eq!((&damage["what"], &damage["expected"]), (&"status of slot 1".into(), &"a right checksum".into()));
    assert!(damage["found"].as_str().is_some_and(|found| found.starts_with("0x")), "{run}");
    assert!(damage["hint"].as_str().is_some_and(|hint| hint.starts_with("maildex repair ")), "{run}");
    assert_eq!((&all[1]["severity"], &all[1]["finding"]), (&"note".into(), &"flag-order".into()));
    assert_eq!(all[1]["offset"], serde_json::Value::Null);
    let summary = &all[2];
    assert_eq!((&summary["finding"], &summary["messages"]), (&"summary".into(), &2.into()));
    assert_eq!((&summary["damage"], &summary["notes"]), (&1.into(), &1.into()));
    // Every key is in the manual.
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("man/maildex.1")).expect("the page");
    let words: Vec<&str> = page.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for key in all.iter().flat_map(|finding| finding.as_object().expect("an object").keys()) {
        assert!(words.contains(&key.as_str()), "OUTPUT does not say what {key} is");
    }
}

#[test]
fn several_folders_may_be_named() {
    let (good, bad) = (indexed(), indexed());
    bad.edit("maildex.offsets", |bytes| bytes[4096] ^= 1);
    let both = |first: &Mailbox, second: &Mailbox| {
        let mut command = Command::new(maildex());
        first.finish(command.arg("check").arg(first.path()).arg(second.path()))
    };
    both(&good, &indexed()).ok().stdout_has("3 messages, no damage");
    let run = both(&bad, &good).fails_with(1).stdout_has("status of slot 0: found");
    run.stdout_has(&format!("{}: 3 messages, no damage", good.path().display()));
    let none = Mailbox::new();
    both(&none, &good).fails_with(4).stderr_has("no index").stdout_has("3 messages, no damage");
    both(&none, &bad).fails_with(1);
}

#[test]
fn a_first_build_that_is_under_way_is_no_damage() {
    let mail = Mailbox::new().messages(1);
    mail.run(["check"]).fails_with(3).stderr_has("no index").stderr_has("hint: make one with: maildex build");
}
