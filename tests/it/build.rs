//! `maildex build`: what it takes up, and what it says.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::mailbox::{Mailbox, mail};

#[test]
fn build_makes_an_index_and_a_second_one_finds_nothing_new() {
    let mail = Mailbox::new().messages(3).message("new/4.host", mail("mail 4"));
    mail.run(["build"]).ok().silent().stdout("");
    mail.assert_listed(&[(1, "cur/1.host:2,"), (2, "cur/2.host:2,"), (3, "cur/3.host:2,"), (4, "new/4.host")]);
    let again = mail.run(["build", "--json"]).ok().silent();
    assert_eq!((&again.json()[0]["added"], &again.json()[0]["messages"]), (&0.into(), &4.into()));
    mail.assert_sound();
}

#[test]
fn an_empty_folder_has_an_index_too() {
    let mail = Mailbox::new();
    mail.run(["build"]).ok().silent();
    mail.run(["count"]).ok().stdout("0\n");
    mail.run(["list"]).ok().silent().stdout("");
    mail.run(["list", "*"]).ok().stdout("");
    mail.assert_sound();
}

#[test]
fn every_form_of_name_is_taken_apart_and_given_back() {
    let names: &[(&[u8], &str)] = &[
        (b"cur/01", ""),
        (b"cur/02:2,", ""),
        (b"cur/03:2", ""),
        (b"cur/04:1,foo", ""),
        (b"cur/05:2,SS", "S"),
        (b"cur/06:2,TS", "ST"),
        (b"cur/07:2,S,ext", "S"),
        (b"cur/08\xff\xfe:2,R", "R"),
        (b"cur/09:2,Sabz", "Sabz"),
        (b"cur/10;2,S", "S"),
        (b"cur/11!2,FS", "FS"),
        (b"new/12:2,F", "F"),
        (b"new/13", ""),
        (b"cur/14\nx\t:2,S", "S"),
        (b"cur/15,S=12,W=13:2,S", "S"),
        (b"cur/16:2,S3", "S"),
        (b"cur/17:", ""),
    ];
    let mail =
        names.iter().fold(Mailbox::new(), |mail, (name, _)| mail.message(OsStr::from_bytes(name), "Subject: x\n\n"));
    mail.run(["build"]).ok().silent();
    let prefix = format!("{}/", mail.path().display()).into_bytes();
    let paths: Vec<u8> = names.iter().flat_map(|(name, _)| [&prefix, *name, b"\0"].concat()).collect();
    mail.run(["list", "--paths", "-0"]).ok().silent().stdout(paths);
    let flags: Vec<_> = mail.run(["list", "--json"]).ok().json().iter().map(|r| r["flags"].to_string()).collect();
    assert_eq!(flags, names.iter().map(|(_, flags)| format!("{flags:?}")).collect::<Vec<_>>());
    mail.run(["build", "--full", "--json"]).ok().stdout_has("\"added\":0,\"removed\":0,\"flags\":0,\"moved\":0");
    mail.assert_sound();
}

#[test]
fn a_name_of_255_bytes_is_indexed() {
    let name = format!("cur/{:x>252}:2,", "1.");
    let mail = Mailbox::new().message(&name, mail("long"));
    mail.run(["build"]).ok().silent();
    mail.assert_listed(&[(1, &name)]);
    mail.assert_sound();
}

#[test]
fn dot_files_and_tmp_are_none_of_ours() {
    let mail =
        Mailbox::new().messages(1).message("cur/.nfs0001", "x").message("new/.hidden", "x").message("tmp/1", "x");
    mail.run(["build"]).ok().silent();
    mail.assert_listed(&[(1, "cur/1.host:2,")]);
    mail.assert_sound();
}

#[test]
fn what_others_did_is_taken_up() {
    let mail = Mailbox::new().messages(3).message("new/4.host", mail("mail 4"));
    mail.run(["build"]).ok();
    mail.deliver("new/5.host", self::mail("mail 5"));
    mail.remove("cur/1.host:2,");
    mail.rename("cur/2.host:2,", "cur/2.host:2,FS");
    mail.rename("new/4.host", "cur/4.host:2,S");
    let report = &mail.run(["build", "--json"]).ok().silent().json()[0];
    for (key, number) in [("added", 1), ("removed", 1), ("flags", 1), ("moved", 1), ("messages", 4)] {
        assert_eq!(report[key], number, "{key} in {report}");
    }
    mail.assert_listed(&[(2, "cur/2.host:2,FS"), (3, "cur/3.host:2,"), (4, "cur/4.host:2,S"), (5, "new/5.host")]);
    mail.rename("cur/4.host:2,S", "new/4.host");
    mail.run(["build"]).ok().silent();
    mail.assert_listed(&[(2, "cur/2.host:2,FS"), (3, "cur/3.host:2,"), (4, "new/4.host"), (5, "new/5.host")]);
    mail.assert_sound();
}

#[test]
fn uids_follow_the_order_of_arrival_not_of_text() {
    let mail = ["cur/100.a:2,S", "cur/20.b:2,", "new/3.c", "cur/x:2,"]
        .into_iter()
        .fold(Mailbox::new(), |mail, name| mail.message(name, "Subject: x\n\n"));
    mail.run(["build"]).ok();
    mail.assert_listed(&[(1, "cur/x:2,"), (2, "new/3.c"), (3, "cur/20.b:2,"), (4, "cur/100.a:2,S")]);
    mail.assert_sound();
}

#[test]
fn odd_files_are_left_alone_and_never_opened() {
    let mail = Mailbox::new().messages(1);
    let fifo = Command::new("mkfifo").arg(mail.file("cur/2.fifo:2,")).status().expect("mkfifo runs");
    assert!(fifo.success());
    let _socket = UnixListener::bind(mail.file("cur/3.socket")).expect("a socket");
    fs::create_dir(mail.file("cur/4.directory")).expect("a directory");
    symlink("/nowhere", mail.file("cur/5.dangling")).expect("a symlink");
    symlink(mail.file("cur/1.host:2,"), mail.file("cur/6.link:2,")).expect("a symlink");
    // A fifo that was opened would block for ever.
    for (name, what) in [
        ("2.fifo:2,", "a fifo"),
        ("3.socket", "a socket"),
        ("4.directory", "a directory"),
        ("5.dangling", "a symbolic link"),
        ("6.link:2,", "a symbolic link"),
    ] {
        mail.run(["build"]).ok().stderr_has(&format!("{name}: left alone: {what}"));
    }
    mail.assert_listed(&[(1, "cur/1.host:2,")]);
    mail.assert_sound();
}

#[test]
fn mail_without_a_proper_header_is_indexed_and_counted() {
    let endless = format!("Subject: endless\n{}", "X-Filler: 0123456789\n".repeat(20_000)); // 420 kB
    let late = format!("Subject: late\n{}To: behind the limit\n\n", "X-Filler: 0123456789\n".repeat(20_000));
    let mail = Mailbox::new()
        .message("cur/1:2,", "Subject: no end")
        .message("cur/2:2,", &endless)
        .message("cur/3:2,", &late)
        .message("cur/4:2,", "\x00\x01\x02 not a mail")
        .message("cur/5:2,", "")
        .message("cur/6:2,", "\n\nbody only\n");
    let report = &mail.run(["build", "--json"]).ok().silent().json()[0];
    assert_eq!((&report["messages"], &report["empty"], &report["headless"]), (&6.into(), &1.into(), &2.into()));
    let subjects: Vec<_> = mail.run(["list", "--json"]).ok().json().iter().map(|r| r["subject"].to_string()).collect();
    assert_eq!(subjects, ["\"no end\"", "\"endless\"", "\"late\"", "\"\"", "\"\"", "\"\""]);
    assert_eq!(mail.run(["show", "3", "--json"]).ok().json()[0]["to"], "");
    mail.assert_sound();
}

#[test]
fn one_of_two_files_with_one_base_name_is_indexed_and_both_are_named() {
    let mail = Mailbox::new().message("new/1.host", mail("first")).message("cur/1.host:2,S", mail("second"));
    let both = |run: crate::mailbox::Run| run.fails_with(4).stderr_has("new/1.host").stderr_has("cur/1.host:2,S");
    both(mail.run(["build"]));
    assert_eq!(mail.listed_by(&both(mail.run(["list", "--json"]))), [(1, "cur/1.host:2,S".to_string())]);
    mail.rename("new/1.host", "new/2.host");
    mail.run(["build"]).ok().silent();
    mail.assert_listed(&[(1, "cur/1.host:2,S"), (2, "new/2.host")]);
    mail.assert_sound();
}

#[test]
fn the_twin_that_was_indexed_first_stays() {
    let mail = Mailbox::new().message("new/1.host", mail("first"));
    mail.run(["build"]).ok();
    mail.deliver("cur/1.host:2,S", self::mail("second"));
    mail.run(["build"]).fails_with(4);
    assert_eq!(mail.listed_by(&mail.run(["list", "--json"]).fails_with(4)), [(1, "new/1.host".to_string())]);
    mail.assert_sound();
}

#[test]
fn a_twin_is_told_at_every_build() {
    let mail = Mailbox::new().messages(1).message("new/1.host", mail("twin"));
    mail.run(["build"]).fails_with(4);
    mail.settle();
    for _ in 0..2 {
        mail.run(["build"]).fails_with(4).stderr_has("new/1.host: not indexed: it has the base name of");
        mail.run(["list", "--uids"]).fails_with(4).stdout("1\n");
    }
    mail.assert_sound();
}

#[test]
fn a_twin_of_mail_in_an_unchanged_directory_is_seen() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    mail.settle();
    mail.deliver("new/1.host", self::mail("twin")); // cur/ need not be listed for a delivery
    mail.run(["build"]).fails_with(4).stderr_has("new/1.host: not indexed: it has the base name of");
    assert_eq!(mail.listed_by(&mail.run(["list", "--json"]).fails_with(4)), [(1, "cur/1.host:2,".to_string())]);
    mail.assert_sound();
}

#[test]
fn the_folder_may_lack_a_directory_from_the_start() {
    let mail = Mailbox::new().messages(1);
    fs::remove_dir(mail.file("new")).expect("remove new/");
    mail.run(["build"]).ok().silent();
    mail.assert_listed(&[(1, "cur/1.host:2,")]);
    fs::create_dir(mail.file("new")).expect("make new/");
    mail.deliver("new/2.host", self::mail("mail 2"));
    mail.assert_listed(&[(1, "cur/1.host:2,"), (2, "new/2.host")]);
    mail.assert_sound();
}

#[test]
fn the_files_are_as_open_to_the_group_as_cur_is() {
    for (cur, ours) in [(0o700, 0o600), (0o755, 0o640), (0o770, 0o660)] {
        let mail = Mailbox::new().messages(1);
        fs::set_permissions(mail.file("cur"), fs::Permissions::from_mode(cur)).expect("chmod");
        mail.run(["build"]).ok();
        for name in ["maildex.offsets", "maildex.index.1"] {
            let mode = fs::metadata(mail.file(name)).expect("our file").permissions().mode() & 0o7777;
            assert_eq!(mode, ours, "{name} where cur/ is {cur:o}");
        }
        mail.assert_sound();
    }
}

#[test]
fn the_report_has_a_number_for_everything() {
    let mail = Mailbox::new().messages(2);
    let report = &mail.run(["build", "--json"]).ok().json()[0];
    let keys: Vec<_> = report.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = "v folder messages created rebuilt copied uids_lost added removed flags moved renamed replaced healed empty headless \
                    unreadable duplicates held_back interrupted";
    assert_eq!(keys, expected.split_whitespace().collect::<Vec<_>>());
    assert_eq!((&report["v"], &report["created"], &report["added"]), (&1.into(), &true.into(), &2.into()));
    mail.assert_sound();
}

#[test]
fn a_folder_that_is_no_maildir_is_refused_with_a_way_out() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mail = Mailbox::new();
    let run = |path: &std::path::Path| mail.finish(Command::new(crate::mailbox::maildex()).arg("build").arg(path));
    run(temp.path()).fails_with(3).stderr_has("not a Maildir").stderr_has("hint: a Maildir has");
    run(&temp.path().join("missing")).fails_with(3).stderr_has("missing: cannot open: No such file");
    fs::write(temp.path().join("file"), "").expect("write");
    run(&temp.path().join("file")).fails_with(3).stderr_has("file: cannot open: Not a directory");
    assert_eq!(fs::read_dir(temp.path()).expect("read").count(), 1, "nothing was put there");
}
