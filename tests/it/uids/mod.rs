//! Lists of UIDs: how they stand, written down, and taken up again.

mod dovecot;
mod export;
mod import;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::mailbox::{Mailbox, mail, maildex};

/// A UIDVALIDITY that no clock gives.
const VALIDITY: u32 = 1000;

/// Our own list of these messages.
fn list(uid_next: u64, lines: &[(u32, &str)]) -> String {
    let count = lines.len();
    let first = format!("maildex-uids 1\tuidvalidity {VALIDITY}\tuidnext {uid_next}\tmessages {count}\n");
    lines.iter().fold(first, |text, (uid, base)| text + &format!("{uid}\t{base}\n"))
}

/// Puts a file into the folder's root.
fn put(mailbox: &Mailbox, name: &str, text: impl AsRef<[u8]>) -> String {
    fs::write(mailbox.file(name), text).expect("write");
    mailbox.file(name).to_str().expect("UTF-8").to_string()
}

/// Mails `cur/NAME.host:2,` with an index that has these numbers.
fn numbered(uid_next: u64, lines: &[(u32, &str)]) -> Mailbox {
    let names = lines.iter().map(|(_, name)| *name);
    let mailbox = names.fold(Mailbox::new(), |mailbox, name| mailbox.message(format!("cur/{name}:2,"), mail(name)));
    let list = put(&mailbox, "list", list(uid_next, lines));
    mailbox.run(["uids", "import", &list]).ok();
    mailbox.remove("list");
    mailbox
}

/// What `uids export` prints, which is everything that an index knows of numbers.
#[track_caller]
fn exported(mailbox: &Mailbox) -> String {
    mailbox.run(["uids", "export"]).ok().silent().text()
}

/// Everything in the folder's root but the lock, which is made anew each time.
fn files(mailbox: &Mailbox) -> Vec<(String, Vec<u8>)> {
    let names = fs::read_dir(mailbox.path()).expect("read").map(|entry| entry.expect("an entry").path());
    let name = |path: &std::path::Path| path.file_name().and_then(OsStr::to_str).expect("UTF-8").to_string();
    let mut files: Vec<_> = names
        .filter(|path| path.is_file() && !["maildex.lock", "maildex.ask", "maildex.inner"].contains(&&*name(path)))
        .map(|path| (name(&path), fs::read(&path).expect("read")))
        .collect();
    files.sort();
    files
}

#[test]
fn status_says_how_numbers_stand() {
    let mailbox = numbered(30, &[(3, "3.host"), (7, "7.host"), (8, "8.host"), (12, "12.host")]);
    mailbox.remove("cur/12.host:2,");
    mailbox.deliver("new/30.host", mail("new"));
    mailbox.run(["uids", "status"]).ok().silent().stdout("uidvalidity\t1000\nuidnext\t31\nmessages\t4\ndead\t26\n");
    put(&mailbox, "dovecot-uidlist", "3 V1000 N5 Gab\n3 :3.host:2,S\n7 W3 :8.host\n9 :9.host\n");
    put(&mailbox, "courierimapuiddb", "1 999 4\n3 3.host\n");
    mailbox.run(["uids", "status"]).ok().silent().stdout(
        "uidvalidity\t1000\nuidnext\t31\nmessages\t4\ndead\t26\n\
         dovecot-uidlist\t1 agree, 1 differ, 2 only here, 1 only there (uidvalidity 1000, uidnext 10)\n\
         courierimapuiddb\t0 agree, 1 differ, 3 only here, 0 only there (uidvalidity 999, uidnext 4)\n",
    );
    let json = &mailbox.run(["uids", "status", "--json"]).ok().json()[0];
    assert_eq!((&json["uidvalidity"], &json["uidnext"], &json["dead"]), (&1000.into(), &31.into(), &26.into()));
    assert_eq!((&json["lists"][0]["only_here"], &json["lists"][0]["error"]), (&2.into(), &serde_json::Value::Null));
    // What is no list is told, and the rest as well.
    put(&mailbox, "courierimapuiddb", "hello\n");
    let run = mailbox.run(["uids", "status"]).fails_with(4).stdout_has("dovecot-uidlist\t1 agree");
    run.stderr_has("courierimapuiddb: line 1: found \"hello\", expected the first line of a list");
    std::os::unix::fs::symlink("list", mailbox.file("link")).expect("symlink");
    fs::rename(mailbox.file("link"), mailbox.file("courierimapuiddb")).expect("rename");
    mailbox.run(["uids", "status"]).fails_with(4).stderr_has("a symbolic link");
    mailbox.assert_sound();
}

#[test]
fn verbs_without_an_index_say_so() {
    let mailbox = Mailbox::new().messages(1);
    for verb in ["status", "export"] {
        mailbox.run(["uids", verb]).fails_with(3).stdout("").stderr_has("no index");
    }
    mailbox.run(["uids", "import", "/nowhere"]).fails_with(3).stderr_has("/nowhere: cannot open");
    assert!(mailbox.own_files().is_empty());
}

/// The back-up: whatever names a folder has, the list brings every number back, and UIDNEXT, which no mail tells of.
#[test]
fn a_back_up_brings_everything_back() {
    let odd: [&[u8]; 8] = [
        b"1.plain",
        b"2.tab\there",
        b"3.line\nbreak",
        b"4.\xff\xfe",
        b"5.back\\slash",
        b"6 blank",
        b"7.a;b!2",
        b"8.last",
    ];
    let path = |base: &[u8]| [b"cur/", base, b":2,S"].concat();
    let mailbox = odd.iter().fold(Mailbox::new(), |mailbox, base| {
        mailbox.message(OsStr::from_bytes(&path(base)), mail(&base.escape_ascii().to_string()))
    });
    mailbox.run(["build"]).ok();
    mailbox.remove("cur/8.last:2,S");
    mailbox.remove("cur/1.plain:2,S");
    mailbox.run(["build"]).ok();
    let (before, listed) = (exported(&mailbox), mailbox.run(["list", "--no-refresh", "--json"]).ok().text());
    assert!(before.contains("\tuidnext 9\tmessages 6\n2\t2.tab\\x09here\n"), "{before}");
    let back_up = mailbox.path().with_file_name("back-up");
    let back_up = back_up.to_str().expect("UTF-8");
    mailbox.run(["uids", "export", back_up]).ok().silent().stdout("");
    assert_eq!(fs::read_to_string(back_up).expect("read"), before);
    for name in ["maildex.offsets", "maildex.index.1"] {
        mailbox.remove(name);
    }
    let said = mailbox.run(["uids", "import", back_up]).ok().silent();
    said.stdout_has(
        "uidnext 9: 6 messages got the listed number, 0 had it, 0 listed are not in the folder, 0 not listed\n",
    );
    assert_eq!(exported(&mailbox), before);
    let numbers = |text: &str| -> Vec<_> {
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        lines.map(|line| (line["uid"].clone(), line["base_bytes"].clone(), line["base"].clone())).collect()
    };
    assert_eq!(numbers(&mailbox.run(["list", "--json"]).ok().text()), numbers(&listed));
    mailbox.deliver("new/9.new", mail("new"));
    assert_eq!(mailbox.listed().last().map(|(uid, _)| *uid), Some(9));
    mailbox.assert_sound();
}

/// What docs/scripts.md says is to be typed, and put into a crontab.
#[test]
fn the_docs_are_right() {
    let docs = include_str!("../../../docs/scripts.md");
    let section = docs.split("\n## ").find(|section| section.starts_with("Keeping UIDs")).expect("the section");
    let blocks: Vec<_> = section.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect();
    let [("crontab", export), ("sh", import), ("sh", from_dovecot)] = blocks[..] else { panic!("{blocks:?}") };
    let mailbox = numbered(30, &[(3, "3.host"), (8, "8.host")]);
    let home = mailbox.path().parent().expect("it has one").to_path_buf();
    std::os::unix::fs::symlink("inbox", home.join("Maildir")).expect("symlink");
    let sh = |script: &str| {
        let mut sh = Command::new("sh");
        let path = std::env::var("PATH").expect("a PATH");
        let path = format!("{}:{path}", maildex().parent().expect("it has one").display());
        mailbox.finish(sh.args(["-ec", script]).env("HOME", &home).env("PATH", path))
    };
    assert!(!export.contains('%'), "in a crontab that is a newline");
    sh(export.splitn(6, ' ').last().expect("five fields and a command")).ok().silent().stdout("");
    mailbox.deliver("new/30.host", mail("new"));
    mailbox.run(["build"]).ok();
    sh(import).ok().silent();
    mailbox.assert_listed(&[(3, "cur/3.host:2,"), (8, "cur/8.host:2,"), (100_030, "new/30.host")]);
    put(&mailbox, "dovecot-uidlist", "3 V1000 N40\n3 :3.host\n100031 :30.host\n");
    sh(from_dovecot).ok().silent();
    mailbox.assert_listed(&[(3, "cur/3.host:2,"), (8, "cur/8.host:2,"), (100_031, "new/30.host")]);
    mailbox.assert_sound();
}
