//! Writing numbers down.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;

use super::{exported, files, numbered, put};
use crate::mailbox::{Mailbox, mail, maildex};

fn three() -> Mailbox {
    numbered(20, &[(3, "3.host"), (7, "7.host,S=5"), (8, "8 blank")])
}

#[test]
fn each_format_is_printed_and_written() {
    let mailbox = three();
    for (format, text) in [
        ("tsv", "maildex-uids 1\tuidvalidity 1000\tuidnext 20\tmessages 3\n3\t3.host\n7\t7.host,S=5\n8\t8\\x20blank\n"),
        ("dovecot", "3 V1000 N20\n3 :3.host\n7 :7.host,S=5\n8 :8 blank\n"),
        ("courier", "1 1000 20\n3 3.host\n7 7.host,S=5\n8 8 blank\n"),
    ] {
        mailbox.run(["uids", "export", "--format", format]).ok().silent().stdout(text);
        mailbox.run(["uids", "export", "-", "--format", format]).ok().silent().stdout(text);
        mailbox.run(["uids", "export", "/dev/stdout", "--format", format]).ok().silent().stdout(text);
        let file = mailbox.path().with_file_name("file");
        let file = file.to_str().expect("UTF-8");
        for _ in 0..2 {
            mailbox.run(["uids", "export", file, "--format", format]).ok().silent().stdout("");
            assert_eq!(fs::read_to_string(file).expect("read"), text);
        }
    }
    mailbox.run(["uids", "export", "--format", "mbox"]).fails_with(2).stderr_has("tsv");
    mailbox.assert_sound();
}

/// A file that is there keeps its mode, a link stays one, a new file has the usual mode, and no other name is left.
#[test]
fn a_file_is_replaced_when_the_list_is_whole() {
    let mailbox = three();
    let home = mailbox.path().parent().expect("it has one").to_path_buf();
    let export = |name: &str| {
        let script = "umask 027; exec \"$1\" uids export \"$2\" \"$3\"";
        let mut sh = Command::new("sh");
        sh.args(["-c", script, "sh"]).arg(maildex()).arg(mailbox.path()).arg(name).current_dir(&home);
        mailbox.finish(&mut sh)
    };
    export("fresh").ok().silent();
    let mode = |name: &str| fs::metadata(home.join(name)).expect("stat").permissions().mode() & 0o7777;
    assert_eq!(mode("fresh"), 0o640);
    fs::write(home.join("old"), "what was there").expect("write");
    fs::set_permissions(home.join("old"), fs::Permissions::from_mode(0o604)).expect("chmod");
    symlink("old", home.join("link")).expect("symlink");
    let inode = fs::metadata(home.join("old")).expect("stat").ino();
    export("link").ok().silent();
    assert!(fs::symlink_metadata(home.join("link")).expect("stat").is_symlink());
    assert_eq!((mode("old"), fs::read_to_string(home.join("old")).expect("read")), (0o604, exported(&mailbox)));
    assert_ne!(fs::metadata(home.join("old")).expect("stat").ino(), inode, "it was replaced, not overwritten");
    let names: Vec<_> = fs::read_dir(&home).expect("read").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    export("no/such/directory").fails_with(3).stderr_has("no/such: cannot open");
    export(".").fails_with(3).stderr_has("cannot write");
}

/// What a slip of the hand would destroy is refused, and left as it is.
#[test]
fn nothing_precious_is_overwritten() {
    let mailbox = three();
    let home = mailbox.path().parent().expect("it has one").to_path_buf();
    put(&mailbox, "dovecot-uidlist", "3 V5 N9\n");
    put(&mailbox, "dovecot.index", "not a list");
    put(&mailbox, ".mbsyncstate", "not a list");
    symlink("dovecot-uidlist", mailbox.file("link")).expect("symlink");
    symlink(mailbox.file("dovecot-uidlist"), home.join("link")).expect("symlink");
    fs::create_dir_all(home.join("other/cur")).expect("mkdir");
    fs::write(home.join("other/dovecot-uidlist"), "3 V5 N9\n").expect("write");
    let before = (files(&mailbox), mailbox.mails());
    for (file, says) in [
        ("inbox/cur/3.host:2,", "is mail, or would be taken for it"),
        ("inbox/new/list", "is mail, or would be taken for it"),
        ("inbox/maildex.offsets", "kept for the files of the index"),
        ("inbox/maildex.index.9", "kept for the files of the index"),
        ("inbox/dovecot.index", "no list of UIDs"),
        ("inbox/.mbsyncstate", "no list of UIDs"),
        ("inbox/link", "leads to the list that another program keeps"),
        ("link", "leads to the list that another program keeps"),
        ("other/dovecot-uidlist", "of another folder"),
        ("inbox/dovecot-uidlist --format courier", "with another format"),
    ] {
        let mut command = Command::new(maildex());
        command.args(["uids", "export", "inbox"]).args(file.split(" --").take(1)).current_dir(&home);
        if let Some(format) = file.split("--format ").nth(1) {
            command.args(["--format", format]);
        }
        let run = mailbox.finish(&mut command).fails_with(2).stdout("");
        run.stderr_has(says).stderr_has("hint: nothing was written");
        assert!((files(&mailbox), mailbox.mails()) == before, "{file}");
    }
    assert_eq!(fs::read_to_string(home.join("other/dovecot-uidlist")).expect("read"), "3 V5 N9\n");
    // A list in the folder that is nobody's may be replaced.
    for _ in 0..2 {
        let list = mailbox.file("my.uids");
        mailbox.run(["uids".as_ref(), "export".as_ref(), list.as_os_str()]).ok().silent();
    }
}

/// A name with a line break has no place in the lists of others; the rest is written.
#[test]
fn a_name_that_a_list_cannot_hold_is_told() {
    let mailbox = three();
    mailbox.deliver("new/line\nbreak", mail("odd"));
    for format in ["dovecot", "courier"] {
        let run = mailbox.run(["uids", "export", "--format", format]).fails_with(4).stdout_has("3.host\n");
        assert_eq!(run.text().lines().count(), 4, "{run}");
        run.stderr_has("line\\nbreak: its name has a line break").stderr_has("hint: a list of the format tsv");
    }
    assert!(exported(&mailbox).contains("\n20\tline\\x0abreak\n"));
}

/// Dovecot's own list: what else it knows of each mail stays, and what only it knows.
#[test]
fn dovecots_own_list_is_replaced_with_care() {
    let mailbox = three();
    let before =
        "3 V1000 N25 G98836c1d0ae5056bde63000083ecc375 Xnew\n3 W40 Pabc :3.host:2,S\n9 W1 :gone.host\n21 :theirs\n";
    let list = put(&mailbox, "dovecot-uidlist", before);
    fs::set_permissions(&list, fs::Permissions::from_mode(0o660)).expect("chmod");
    // 7 and 8 were given out there as well, and are in the list no more.
    let run = mailbox.run(["uids", "export", &list]).fails_with(3).stdout("");
    run.stderr_shows("UID 7 was given out before and is dead, so it cannot be 7.host,S=5");
    run.stderr_has("hint: take up its numbers instead: maildex uids import")
        .stderr_has("2 numbers would name another mail");
    assert_eq!(fs::read_to_string(&list).expect("read"), before);
    put(&mailbox, "dovecot-uidlist", "3 V1000 N8 Gab\n3 W40 Pabc :3.host:2,S\n7 :8 blank\n");
    mailbox.run(["uids", "export", &list]).fails_with(3).stderr_has("UID 7 is 8 blank, and not 7.host,S=5");
    // It knows 3, and 8 under another number; the mail of 4 it will miss by itself.
    let before = "3 V1000 N7 G98836c1d0ae5056bde63000083ecc375 Xnew\n3 W40 Pabc :3.host:2,S\n4 W1 :gone.host\n6 W2 O7 :8 blank:2,\n";
    put(&mailbox, "dovecot-uidlist", before);
    mailbox.run(["uids", "export", &list]).ok().silent();
    assert_eq!(
        fs::read_to_string(&list).expect("read"),
        "3 V1000 N20 G98836c1d0ae5056bde63000083ecc375 Xnew\n3 W40 Pabc :3.host\n4 W1 :gone.host\n7 :7.host,S=5\n8 W2 O7 :8 blank\n"
    );
    assert_eq!(fs::metadata(&list).expect("stat").permissions().mode() & 0o7777, 0o660);
    // Its UIDNEXT never falls.
    put(&mailbox, "dovecot-uidlist", "3 V1000 N90 Gab\n3 :3.host\n7 :7.host,S=5\n8 :8 blank\n89 :away\n");
    mailbox.run(["uids", "export", &list]).ok().silent();
    let text = fs::read_to_string(&list).expect("read");
    assert_eq!(text, "3 V1000 N90 Gab\n3 :3.host\n7 :7.host,S=5\n8 :8 blank\n89 :away\n");
    // With another UIDVALIDITY nothing is as before, and that is told.
    put(&mailbox, "dovecot-uidlist", "3 V5 N90 Gab\n3 W1 :8 blank\n89 :away\n");
    let run = mailbox.run(["uids", "export", &list]).ok().stderr_has("UIDVALIDITY was 5 and is 1000");
    run.stdout("");
    assert_eq!(fs::read_to_string(&list).expect("read"), "3 V1000 N20 Gab\n3 :3.host\n7 :7.host,S=5\n8 W1 :8 blank\n");
    // What cannot be understood is not replaced.
    put(&mailbox, "dovecot-uidlist", "3 V1000 N90 Gab\n3 :3.host\n7 :7.ho");
    mailbox
        .run(["uids", "export", &list])
        .fails_with(3)
        .stderr_has("line 3: found \"7 :7.ho\" and the end of the file");
    assert!(!mailbox.file("dovecot-uidlist.lock").exists());
    mailbox.remove("dovecot-uidlist");
    mailbox.run(["uids", "export", &list]).ok().silent();
    assert_eq!(fs::read_to_string(&list).expect("read"), "3 V1000 N20\n3 :3.host\n7 :7.host,S=5\n8 :8 blank\n");
    mailbox.assert_sound();
}

#[test]
fn couriers_own_list_is_replaced_with_the_same_care() {
    let mailbox = three();
    let list = put(&mailbox, "courierimapuiddb", "1 1000 9\n3 3.host\n7 other\n");
    let run = mailbox.run(["uids", "export", &list]).fails_with(3);
    run.stderr_has("UID 7 is other, and not 7.host,S=5").stderr_has("UID 8 was given out before");
    put(&mailbox, "courierimapuiddb", "1 1000 5\n3 3.host\n4 gone\n");
    mailbox.run(["uids", "export", &list, "--format", "courier"]).ok().silent();
    let text = fs::read_to_string(&list).expect("read");
    assert_eq!(text, "1 1000 20\n3 3.host\n4 gone\n7 7.host,S=5\n8 8 blank\n");
    // Mail that is still in new/ Courier numbers anew, whatever its list says.
    mailbox.deliver("new/9.host", mail("9"));
    let run = mailbox.run(["uids", "export", &list]).ok().stdout("").stderr_has("1 message in new another number");
    run.stderr_has("hint: take them up first: maildex inc");
    mailbox.run(["inc"]).ok();
    mailbox.run(["uids", "export", &list]).ok().silent();
}

/// Both write their lists under locks of their own; so do we, and wait for these no longer than we are told to.
#[test]
fn the_locks_of_others_are_respected() {
    for (list, lock, text) in
        [("dovecot-uidlist", "dovecot-uidlist.lock", "3 V5 N9\n"), ("courierimapuiddb", "tmp/courier.lock", "1 5 9\n")]
    {
        let mailbox = three();
        let list = put(&mailbox, list, text);
        // Held by this very process, which lives.
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        put(&mailbox, lock, format!("{}:{host}", std::process::id()));
        let run = mailbox.run(["uids", "export", &list, "--wait", "0.1"]).fails_with(75);
        run.stderr_has(&format!("{lock}: held by")).stderr_has("is at work in the folder").stdout("");
        assert_eq!(fs::read_to_string(&list).expect("read"), text);
        mailbox.remove(lock);
        mailbox.run(["uids", "export", &list, "--wait", "0"]).ok();
        assert!(!mailbox.file(lock).exists());
    }
}
