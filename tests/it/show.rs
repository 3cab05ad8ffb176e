//! `maildex show`: every field, and all the ways to name a message.

use std::process::Command;

use crate::mailbox::{Mailbox, Run, mail, maildex};

fn indexed() -> Mailbox {
    let mail = Mailbox::new().messages(3).message("new/4.host", mail("mail 4"));
    mail.run(["build"]).ok();
    mail
}

/// The UIDs that were shown, in that order.
#[track_caller]
fn shown(run: &Run) -> Vec<u64> {
    run.json().iter().map(|record| record["uid"].as_u64().expect("a UID")).collect()
}

/// Runs `maildex show inbox ...` in a directory.
fn show_in(mail: &Mailbox, directory: &str, folder: &str, messages: &[&str]) -> Run {
    let directory = mail.path().join(directory);
    let mut command = Command::new(maildex());
    mail.finish(command.current_dir(directory).args(["show", folder, "--json"]).args(messages))
}

#[test]
fn a_pipe_gets_one_field_a_line() {
    let mail = Mailbox::new()
        .message("cur/1:2,FS", "From: Ann <ann@x.org>\nSubject: =?utf-8?q?a=09b=0Ac?=\nReferences: <1@x> <2@x>\n\n")
        .message("cur/2", "\n");
    mail.run(["build"]).ok();
    let run = mail.run(["show", "1:2"]).ok().silent();
    let text = run.text();
    let (first, second) = text.split_once("\n\n").expect("an empty line between two messages");
    let field = |record: &str, key: &str| {
        let line = record.lines().find(|line| line.split('\t').next() == Some(key));
        line.map(|line| line.split_once('\t').expect("a tab").1.to_string())
    };
    for (key, value) in [
        ("uid", "1"),
        ("base", "1"),
        ("dir", "cur"),
        ("flags", "FS"),
        ("from", "Ann <ann@x.org>"),
        ("subject", "a\\tb\\nc"),
        ("references", "<1@x> <2@x>"),
        ("to", "-"),
        ("date", "-"),
    ] {
        assert_eq!(field(first, key).as_deref(), Some(value), "{key} in {first}");
    }
    assert_eq!(field(second, "uid").as_deref(), Some("2"));
    assert!(text.lines().filter(|line| !line.is_empty()).all(|line| line.matches('\t').count() == 1), "{text}");
    assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{text:?}");
    mail.assert_sound();
}

#[test]
fn messages_come_in_the_order_in_which_they_are_named() {
    let mail = indexed();
    assert_eq!(shown(&mail.run(["show", "--json", "3", "1:2", "4.host"]).ok().silent()), [3, 1, 2, 4]);
    assert_eq!(shown(&mail.run(["show", "--json", "4,1"]).ok().silent()), [1, 4], "a set is in UID order");
    assert_eq!(shown(&mail.run(["show", "--json", "*"]).ok().silent()), [4]);
    assert_eq!(shown(&mail.run(["show", "--json", "3:*"]).ok().silent()), [3, 4]);
    assert_eq!(shown(&mail.run(["show", "--json", "90:*"]).ok().silent()), [0; 0]);
    mail.assert_sound();
}

#[test]
fn what_is_not_there_is_named_and_the_rest_is_shown() {
    let mail = indexed();
    mail.remove("cur/2.host:2,");
    let run = mail.run(["show", "--json", "1", "2", "99", "nobody.host", "3"]).fails_with(4);
    assert_eq!(shown(&run), [1, 3]);
    for missing in ["no message with UID 2", "no message with UID 99", "no message with the base name nobody.host"] {
        run.stderr_shows(missing);
    }
    // A range asks for what there is.
    assert_eq!(shown(&mail.run(["show", "--json", "1:9"]).ok().silent()), [1, 3, 4]);
    let path = mail.file("cur/2.host:2,");
    mail.run(["show", path.to_str().expect("text")]).fails_with(4).stderr_has("no message");
    mail.assert_sound();
}

#[test]
fn a_message_is_found_by_its_path_from_anywhere() {
    let mail = indexed();
    let absolute = mail.file("cur/2.host:2,");
    assert_eq!(shown(&mail.run(["show", "--json", absolute.to_str().expect("text")]).ok().silent()), [2]);
    assert_eq!(shown(&show_in(&mail, "..", "inbox", &["inbox/cur/2.host:2,", "./inbox/new/4.host"]).ok()), [2, 4]);
    assert_eq!(shown(&show_in(&mail, ".", ".", &["cur/3.host:2,"]).ok()), [3]);
    assert_eq!(shown(&show_in(&mail, "cur", "..", &["./3.host:2,", "../cur/1.host:2,"]).ok()), [3, 1]);
    std::os::unix::fs::symlink(mail.path(), mail.path().with_file_name("link")).expect("a symlink");
    assert_eq!(shown(&show_in(&mail, "..", "link", &["inbox/cur/2.host:2,"]).ok()), [2], "through a symlink");
    mail.assert_sound();
}

#[test]
fn a_path_with_old_flags_still_finds_its_message() {
    let mail = indexed();
    mail.rename("cur/2.host:2,", "cur/2.host:2,RS");
    mail.rename("new/4.host", "cur/4.host:2,S");
    let run = show_in(&mail, ".", ".", &["cur/2.host:2,", "cur/2.host:2,F", "new/4.host"]).ok().silent();
    assert_eq!(shown(&run), [2, 2, 4]);
    assert_eq!(run.json()[0]["flags"], "RS");
    mail.assert_sound();
}

#[test]
fn a_message_is_found_by_its_base_name_with_or_without_flags() {
    let mail = indexed();
    assert_eq!(shown(&mail.run(["show", "--json", "2.host", "2.host:2,", "2.host:2,S"]).ok().silent()), [2, 2, 2]);
    mail.assert_sound();
}

#[test]
fn a_path_that_leads_out_of_the_folder_is_wrong_usage() {
    let mail = indexed();
    for path in ["/etc/passwd", "tmp/1.host", "./1.host:2,", "../1.host:2,", "missing/1.host", "cur/../tmp/1.host"] {
        let run = show_in(&mail, ".", ".", &["1", path]).fails_with(2).stdout("");
        run.stderr_has(&format!("{path}: expected a mail in .")).stderr_has("hint: paths are taken from the working");
    }
    mail.assert_sound();
}

#[test]
fn without_a_message_or_with_a_wrong_set_it_is_wrong_usage() {
    let mail = indexed();
    mail.run(["show"]).fails_with(2).stderr_has("MSG");
    mail.run(["show", "0"]).fails_with(2).stderr_has("query: found \"0\"");
    mail.run(["show", "1:"]).fails_with(2).stderr_has("query: found \"1:\"");
    mail.assert_sound();
}
