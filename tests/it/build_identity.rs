//! `maildex build`: which UID a mail has, and that no UID ever means another mail.

use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use crate::mailbox::{Mailbox, mail, maildex};

#[test]
fn the_uid_of_the_newest_mail_is_not_given_out_again() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    mail.remove("cur/3.host:2,");
    mail.run(["build"]).ok();
    mail.deliver("new/4.host", self::mail("mail 4"));
    mail.assert_listed(&[(1, "cur/1.host:2,"), (2, "cur/2.host:2,"), (4, "new/4.host")]);
    mail.assert_sound();
}

#[test]
fn a_mail_that_comes_back_gets_a_new_uid() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    fs::rename(mail.file("cur/1.host:2,"), mail.file("tmp/away")).expect("move it away");
    mail.run(["build"]).ok();
    mail.rename("tmp/away", "cur/1.host:2,");
    mail.assert_listed(&[(2, "cur/2.host:2,"), (3, "cur/1.host:2,")]);
    mail.assert_sound();
}

#[test]
fn other_contents_under_the_same_name_are_another_mail() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    mail.deliver("cur/1.host:2,", self::mail("something else"));
    let report = &mail.run(["build", "--json"]).ok().silent().json()[0];
    assert_eq!((&report["replaced"], &report["removed"], &report["messages"]), (&1.into(), &0.into(), &2.into()));
    mail.assert_listed(&[(2, "cur/2.host:2,"), (3, "cur/1.host:2,")]);
    mail.assert_sound();
}

/// A copy with the times of the original, as `cp -p` makes it, on an inode of its own.
fn restore(mail: &Mailbox, name: &str) {
    let original = mail.file(name);
    let modified = fs::metadata(&original).and_then(|meta| meta.modified()).expect("its mtime");
    fs::copy(&original, mail.file("tmp/copy")).expect("copy");
    let copy = File::options().write(true).open(mail.file("tmp/copy")).expect("open the copy");
    copy.set_times(FileTimes::new().set_modified(modified)).expect("set its mtime");
    mail.rename("tmp/copy", name);
}

#[test]
fn a_mail_restored_from_a_backup_keeps_its_uid() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    restore(&mail, "cur/1.host:2,");
    let report = &mail.run(["build", "--json"]).ok().silent().json()[0];
    assert_eq!((&report["replaced"], &report["added"]), (&0.into(), &0.into()));
    mail.assert_listed(&[(1, "cur/1.host:2,"), (2, "cur/2.host:2,")]);
    mail.assert_sound();
}

#[test]
fn a_restored_mail_with_other_flags_keeps_its_uid_and_shows_them() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    restore(&mail, "cur/1.host:2,");
    mail.rename("cur/1.host:2,", "cur/1.host:2,RS");
    mail.run(["build"]).ok();
    mail.assert_listed(&[(1, "cur/1.host:2,RS")]);
    mail.assert_sound();
}

#[test]
fn a_mail_renamed_by_a_sync_program_keeps_its_uid() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    mail.rename("cur/1.host:2,", "cur/1.host,U=7:2,S");
    let report = &mail.run(["build", "--json"]).ok().silent().json()[0];
    assert_eq!((&report["renamed"], &report["added"], &report["removed"]), (&1.into(), &0.into(), &0.into()));
    mail.assert_listed(&[(1, "cur/1.host,U=7:2,S"), (2, "cur/2.host:2,")]);
    let record = &mail.run(["show", "1", "--json"]).ok().json()[0];
    assert_eq!((&record["base"], &record["flags"]), (&"1.host,U=7".into(), &"S".into()));
    mail.run(["cat", "1.host,U=7"]).ok().stdout(self::mail("mail 1"));
    mail.assert_sound();
}

#[test]
fn a_rename_to_another_stem_is_another_mail() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    mail.rename("cur/1.host:2,", "cur/9.host:2,");
    mail.assert_listed(&[(2, "cur/9.host:2,")]);
    mail.assert_sound();
}

#[test]
fn an_empty_mail_that_fills_up_keeps_its_uid() {
    let mail = Mailbox::new().message("new/1.host", "");
    assert_eq!(mail.run(["build", "--json"]).ok().json()[0]["empty"], 1);
    let mut file = File::options().append(true).open(mail.file("new/1.host")).expect("open");
    file.write_all(self::mail("at last").as_bytes()).expect("write");
    mail.run(["list", "--uids"]).ok().silent().stdout("1\n");
    assert_eq!(mail.run(["show", "1", "--json"]).ok().json()[0]["subject"], "at last");
    mail.assert_sound();
}

#[test]
fn an_empty_mail_replaced_by_a_full_one_is_another_mail() {
    let mail = Mailbox::new().message("new/1.host", "");
    mail.run(["build"]).ok();
    mail.deliver("new/1.host", self::mail("another"));
    mail.assert_listed(&[(2, "new/1.host")]);
    mail.assert_sound();
}

#[test]
fn an_unreadable_mail_heals_and_keeps_its_uid() {
    let mail = Mailbox::new().messages(2);
    let set_mode = |mode| {
        fs::set_permissions(mail.file("cur/1.host:2,"), fs::Permissions::from_mode(mode)).expect("chmod");
    };
    set_mode(0);
    let Some(run) = mail.run_unprivileged(["build"]) else { return };
    run.fails_with(4).stderr_has("cur/1.host:2,: cannot read: Permission denied");
    let run = mail.run_unprivileged(["list", "--json"]).expect("as before").fails_with(4);
    assert_eq!((&run.json()[0]["subject"], &run.json()[0]["received"]), (&"".into(), &serde_json::Value::Null));
    mail.run_unprivileged(["cat", "1", "2"]).expect("as before").fails_with(4).stdout(self::mail("mail 2"));
    set_mode(0o600);
    let report = &mail.run(["build", "--json"]).ok().silent().json()[0];
    assert_eq!((&report["healed"], &report["added"]), (&1.into(), &0.into()));
    mail.assert_listed(&[(1, "cur/1.host:2,"), (2, "cur/2.host:2,")]);
    assert_eq!(mail.run(["show", "1", "--json"]).ok().json()[0]["subject"], "mail 1");
    mail.assert_sound();
}

#[test]
fn each_mail_is_there_the_moment_it_is_delivered() {
    // Most of these fall into one tick of the file system's clock; a stamp alone would miss them.
    let mail = Mailbox::new();
    mail.run(["build"]).ok();
    for n in 1..=100 {
        mail.deliver(format!("new/{n}.host"), self::mail("x"));
        mail.run(["count"]).ok().silent().stdout(format!("{n}\n"));
    }
    mail.assert_sound();
}

/// Offset of the inode of the first message in the offsets file; see `src/format/block.rs`.
const FIRST_INODE: usize = 4096 + 16384;

fn first_inode(mail: &Mailbox) -> [u8; 8] {
    mail.own_files()["maildex.offsets"][FIRST_INODE..FIRST_INODE + 8].try_into().expect("8 bytes")
}

#[test]
fn only_a_directory_that_changed_is_listed() {
    // A listing of cur/ would restore the inode that is wiped here.
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    mail.settle();
    let inode = first_inode(&mail);
    mail.edit("maildex.offsets", |bytes| bytes[FIRST_INODE..FIRST_INODE + 8].fill(0));
    mail.deliver("new/3.host", self::mail("mail 3"));
    mail.run(["build"]).ok();
    assert_eq!(first_inode(&mail), [0; 8], "cur/ was listed");
    mail.assert_listed(&[(1, "cur/1.host:2,"), (2, "cur/2.host:2,"), (3, "new/3.host")]);
    // --full distrusts every stamp.
    mail.run(["build", "--full"]).ok();
    assert_eq!(first_inode(&mail), inode, "cur/ was not listed");
    // An mtime that was put back does not hide a mail.
    mail.settle();
    let directory = File::open(mail.file("new")).expect("open new/");
    let modified = directory.metadata().and_then(|meta| meta.modified()).expect("its mtime");
    mail.deliver("new/4.host", self::mail("mail 4"));
    directory.set_times(FileTimes::new().set_modified(modified)).expect("put the mtime back");
    mail.run(["count"]).ok().stdout("4\n");
    mail.assert_sound();
}

#[test]
fn a_mail_unpacked_with_whole_seconds_keeps_its_uid() {
    // tar and many others keep no fractions of a second.
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    let modified = fs::metadata(mail.file("cur/1.host:2,")).and_then(|meta| meta.modified()).expect("its mtime");
    restore(&mail, "cur/1.host:2,");
    let seconds = modified.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let whole = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let copy = File::options().write(true).open(mail.file("cur/1.host:2,")).expect("open the copy");
    copy.set_times(FileTimes::new().set_modified(whole)).expect("set its mtime");
    mail.run(["build"]).ok();
    mail.assert_listed(&[(1, "cur/1.host:2,")]);
    mail.assert_sound();
}

#[test]
fn a_mail_that_was_touched_keeps_its_uid_even_when_all_are_compared() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    let file = File::options().write(true).open(mail.file("cur/1.host:2,")).expect("open the mail");
    file.set_times(FileTimes::new().set_modified(std::time::UNIX_EPOCH)).expect("set its mtime");
    mail.run(["build", "--full"]).ok();
    mail.assert_listed(&[(1, "cur/1.host:2,")]);
    mail.assert_sound();
}

#[test]
fn contents_replaced_in_place_are_another_mail_when_all_are_compared() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    fs::write(mail.file("cur/1.host:2,"), self::mail("something else")).expect("overwrite");
    mail.run(["build", "--full"]).ok();
    mail.assert_listed(&[(2, "cur/1.host:2,")]);
    mail.assert_sound();
}

#[test]
fn a_directory_under_the_name_of_a_mail_is_no_mail() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    mail.remove("cur/1.host:2,");
    fs::create_dir(mail.file("cur/1.host:2,")).expect("mkdir");
    mail.run(["build"]).ok().stderr_has("left alone: a directory");
    mail.assert_listed(&[(2, "cur/2.host:2,")]);
    mail.assert_sound();
}

/// Another file in place of a mail, with the times of the one that was there.
fn replace_quietly(mail: &Mailbox, name: &str, text: &str) {
    let modified = fs::metadata(mail.file(name)).and_then(|meta| meta.modified()).expect("its mtime");
    fs::write(mail.file("tmp/other"), text).expect("write");
    let other = File::options().write(true).open(mail.file("tmp/other")).expect("open it");
    other.set_times(FileTimes::new().set_modified(modified)).expect("set its mtime");
    mail.rename("tmp/other", name);
}

#[test]
fn size_header_and_time_must_all_be_those_of_the_mail() {
    let text = self::mail("mail 1");
    let (longer, other) = (format!("{text}more\n"), text.replace("mail 1", "mail 7"));
    for (what, text) in [("another size", &*longer), ("another header of the same length", &*other)] {
        let mail = Mailbox::new().messages(2);
        mail.run(["build"]).ok();
        replace_quietly(&mail, "cur/1.host:2,", text);
        mail.run(["build"]).ok();
        assert_eq!(mail.listed()[1], (3, "cur/1.host:2,".into()), "{what}");
        mail.assert_sound();
    }
    // The same bytes, delivered at another time.
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    fs::write(mail.file("tmp/other"), &text).expect("write");
    let other = File::options().write(true).open(mail.file("tmp/other")).expect("open it");
    other.set_times(FileTimes::new().set_modified(std::time::UNIX_EPOCH)).expect("set its mtime");
    mail.rename("tmp/other", "cur/1.host:2,");
    mail.assert_listed(&[(2, "cur/2.host:2,"), (3, "cur/1.host:2,")]);
    mail.assert_sound();
}

#[test]
fn mail_without_bytes_or_that_cannot_be_read_is_looked_at_although_its_directory_has_settled() {
    let mail = Mailbox::new().message("new/1.host", "").message("cur/2.host:2,", self::mail("secret"));
    let set_mode = |mode| {
        fs::set_permissions(mail.file("cur/2.host:2,"), fs::Permissions::from_mode(mode)).expect("chmod");
    };
    set_mode(0);
    let Some(run) = mail.run_unprivileged(["build"]) else { return };
    run.fails_with(4);
    mail.settle_with(&mut |arguments| mail.run_unprivileged(arguments).expect("as before"));
    let mut file = File::options().append(true).open(mail.file("new/1.host")).expect("open");
    file.write_all(self::mail("at last").as_bytes()).expect("write");
    set_mode(0o600);
    let subjects: Vec<_> =
        mail.run(["list", "--json"]).ok().json().iter().map(|record| record["subject"].clone()).collect();
    assert_eq!(subjects, ["at last", "secret"]);
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n");
    mail.assert_sound();
}

#[test]
fn mail_that_moves_between_listing_and_reading_is_found_again() {
    use maildex::folder::Folder;
    use maildex::lock::Wait;
    use maildex::refresh::{Options, refresh};
    const MAILS: usize = 100; // more than are read at a time
    let mail = Mailbox::new();
    for n in 0..MAILS {
        mail.deliver(format!("new/{n}.host"), self::mail("x"));
    }
    let folder = Folder::open(&mail.path()).expect("open");
    let mut moved = false;
    let go_on = &mut |progress: maildex::refresh::Progress| {
        if progress.done == 1 && !std::mem::replace(&mut moved, true) {
            mail.rename("new/99.host", "cur/99.host:2,S");
        }
        std::ops::ControlFlow::Continue(())
    };
    let report = refresh(&folder, Options::default(), Wait::Forever, &mut |_| (), go_on).expect("a refresh");
    assert_eq!((report.added, report.total), (MAILS, MAILS));
    mail.run(["show", "cur/99.host:2,S", "--no-refresh"]).fails_with(2); // from another directory
    mail.run(["show", "99.host", "--no-refresh"]).ok();
    mail.assert_sound();
}

#[test]
fn too_few_file_descriptors_make_no_mail_unreadable() {
    let mut refused = 0;
    for limit in 10..40 {
        let mail = Mailbox::in_memory().messages(3);
        // Those up to 9 are taken, so that it gets far with few: the limit is met at each file in turn.
        let taken = " 3< /dev/null 4< /dev/null 5< /dev/null 6< /dev/null 7< /dev/null 8< /dev/null 9< /dev/null";
        let (program, folder) = (maildex(), mail.path());
        let script = format!("exec{taken}; ulimit -n {limit}; exec {} build {}", program.display(), folder.display());
        let run = mail.finish(std::process::Command::new("sh").args(["-c", &script]));
        // It may fail (127, if not even its libraries could be opened), but nothing is written down that is not so.
        assert_ne!(run.code(), Some(4), "limit {limit}: {run}");
        refused += usize::from(run.errors().contains("Too many open files") || run.code() == Some(127));
        mail.run(["build"]).ok();
        assert_eq!(mail.run(["list", "--json"]).ok().json()[2]["subject"], "mail 3", "limit {limit}");
        if run.code() == Some(0) {
            break;
        }
    }
    assert!(refused > 2, "only {refused} limits were too low");
}

#[test]
fn a_header_without_an_end_is_read_up_to_its_limit_only() {
    let long = "X-Long: ".to_string() + &"x".repeat(300 << 10);
    let mail = Mailbox::new().message("cur/1.host:2,", format!("Subject: early\n{long}\nFrom: late@example.org\n\n"));
    mail.run(["build"]).ok();
    let record = &mail.run(["list", "--json"]).ok().json()[0];
    assert_eq!((&record["subject"], &record["from"]), (&"early".into(), &"".into()));
    mail.assert_sound();
}

#[test]
fn mail_that_is_back_in_new_is_compared_even_on_its_inode() {
    // A delivery under a used name, on an inode that has become free, looks like this.
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    mail.rename("cur/1.host:2,", "tmp/same");
    fs::write(mail.file("tmp/same"), self::mail("another")).expect("overwrite");
    mail.rename("tmp/same", "new/1.host");
    mail.assert_listed(&[(2, "cur/2.host:2,"), (3, "new/1.host")]);
    // One that is the same keeps its UID there.
    mail.rename("cur/2.host:2,", "new/2.host");
    mail.assert_listed(&[(2, "new/2.host"), (3, "new/1.host")]);
    mail.assert_sound();
}
