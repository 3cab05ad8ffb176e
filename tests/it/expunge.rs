//! `maildex expunge`: what was meant is gone, its UID is dead, and nothing else is touched.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use crate::flag::{indexed, lines};
use crate::mailbox::{Mailbox, mail, maildex};

fn set_mtime(mail: &Mailbox, name: &str) {
    let file = fs::File::options().write(true).open(mail.file(name)).expect("open");
    file.set_times(fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH)).expect("touch");
}

#[test]
fn what_is_expunged_is_gone_and_its_uid_dead() {
    let mail = indexed(4);
    mail.run(["expunge", "2:3"]).ok().silent().stdout(lines(&mail, &[(2, "cur/2.host:2,"), (3, "cur/3.host:2,")]));
    mail.assert_files(["cur/1.host:2,", "cur/4.host:2,"]);
    mail.run(["list", "--no-refresh", "--uids"]).ok().stdout("1\n4\n");
    assert_eq!(fs::read_dir(mail.file("tmp")).expect("list").count(), 0);
    mail.run(["expunge", "3"]).fails_with(4).stderr_has("no message with UID 3");
    mail.deliver("new/5.host", self::mail("mail 5"));
    mail.run(["list", "--uids"]).ok().stdout("1\n4\n5\n");
    mail.assert_sound();
}

#[test]
fn trashed_and_queries_mean_what_is_there_now() {
    let mail = indexed(5);
    mail.rename("cur/2.host:2,", "cur/2.host:2,ST");
    let expected = lines(&mail, &[(2, "cur/2.host:2,ST")]);
    mail.run(["expunge", "--trashed", "--dry-run"]).ok().stdout(&expected);
    assert_eq!(mail.mails().len(), 5);
    mail.run(["expunge", "--trashed"]).ok().stdout(&expected);
    mail.run(["expunge", "--trashed"]).ok().stdout("");
    mail.run(["expunge", "--query", "subject", "mail 3"]).ok().stdout(lines(&mail, &[(3, "cur/3.host:2,")]));
    mail.run(["list", "--uids"]).ok().stdout("1\n4\n5\n");
    mail.assert_sound();
}

/// Dropped words, as of a variable that was never set, must not mean everything.
#[test]
fn a_mail_that_is_named_twice_is_removed_once() {
    let mail = indexed(3);
    mail.run(["expunge", "2", "1:2", "2.host", "--dry-run"]).ok().silent();
    let run = mail.run(["expunge", "2", "1:2", "2.host"]).ok().silent();
    assert_eq!(run.text().lines().count(), 2, "{run}");
    mail.assert_files(["cur/3.host:2,"]);
    mail.assert_sound();
}

#[test]
fn without_messages_nothing_is_expunged() {
    let mail = indexed(2);
    for arguments in [&["expunge"][..], &["expunge", "--query"], &["expunge", "--query", ""]] {
        mail.run(arguments).fails_with(2).stdout("");
    }
    mail.run(["expunge", "--trashed", "1"]).fails_with(2);
    assert_eq!(mail.mails().len(), 2);
}

#[test]
fn mail_that_was_changed_is_left_alone_and_named() {
    let mail = indexed(6);
    fs::write(mail.file("cur/1.host:2,"), self::mail("longer than before")).expect("write");
    set_mtime(&mail, "cur/2.host:2,");
    // Another mail under the same name, of the same size.
    mail.deliver("cur/3.host:2,", self::mail("mail 9"));
    let run = mail.run(["expunge", "1:5"]);
    let errors = run.errors();
    let run = run.fails_with(4);
    assert!(errors.contains("cur/2.host:2,: left alone") && errors.contains("hint: look at it"), "{run}");
    assert_eq!(run.text(), lines(&mail, &[(4, "cur/4.host:2,"), (5, "cur/5.host:2,")]));
    mail.assert_files(["cur/1.host:2,", "cur/2.host:2,", "cur/3.host:2,", "cur/6.host:2,"]);
    assert_eq!(fs::read_dir(mail.file("tmp")).expect("list").count(), 0);
    mail.assert_sound();
}

#[test]
fn a_mail_that_others_have_renamed_is_found() {
    let mail = indexed(2);
    mail.rename("cur/1.host:2,", "cur/1.host:2,FS");
    mail.run(["expunge", "1"]).ok().stdout(lines(&mail, &[(1, "cur/1.host:2,FS")]));
    mail.assert_files(["cur/2.host:2,"]);
    mail.assert_sound();
}

#[test]
fn with_trash_it_moves_there_instead() {
    let mail = indexed(3);
    let trash = mail.path().with_file_name("trash");
    mail.run(["expunge", "1", "--trash", trash.to_str().expect("a path")]).fails_with(3);
    assert_eq!(mail.mails().len(), 3);
    mail.run(["expunge", "1", "--create", "--trash", trash.to_str().expect("a path")])
        .ok()
        .stdout(format!("-\t{}\n", trash.join("cur/1.host:2,").display()));
    mail.assert_files(["cur/2.host:2,", "cur/3.host:2,"]);
    mail.run(["list", "--no-refresh", "--uids"]).ok().stdout("2\n3\n");
    assert!(trash.join("cur/1.host:2,").exists());
    mail.assert_sound();
}

#[test]
fn paths_are_grouped_by_folder() {
    let mail = indexed(3);
    let other = indexed(3);
    let root = mail.path().parent().expect("it has one").to_path_buf();
    let second = root.join("second");
    fs::rename(other.path(), &second).expect("rename");
    let mut command = Command::new(maildex());
    command.arg("expunge").arg("-r").arg(&root).arg(mail.file("cur/1.host:2,")).arg(second.join("cur/2.host:2,"));
    mail.finish(&mut command).ok().silent();
    mail.assert_files(["cur/2.host:2,", "cur/3.host:2,"]);
    assert!(!second.join("cur/2.host:2,").exists() && second.join("cur/1.host:2,").exists());
    mail.assert_sound();
}

#[test]
fn json_tells_what_was_removed_and_a_quota_is_named() {
    let mail = indexed(2);
    fs::write(mail.file("maildirsize"), "").expect("write");
    let run = mail.run(["expunge", "1", "--json"]).ok().stderr_has("maildirsize: not kept");
    assert_eq!((&run.json()[0]["uid"], &run.json()[0]["event"]), (&1.into(), &"removed".into()));
    mail.assert_sound();
}
