//! Copies of a folder, of its index, or of both: `cp`, a back-up that was restored, another folder's index. A copy has
//! the numbers of what it was made of, and knows nothing of those that were given out since.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::mailbox::{Mailbox, mail, skipped};

/// UIDs 1, 3 and 5 of 5 are left.
fn indexed() -> Mailbox {
    let mail = Mailbox::new().messages(5);
    mail.run(["build"]).ok();
    for name in ["cur/2.host:2,", "cur/4.host:2,"] {
        mail.remove(name);
    }
    mail.rename("cur/3.host:2,", "cur/3.host:2,S");
    mail.run(["build"]).ok();
    mail
}

const LEFT: [(u64, &str); 3] = [(1, "cur/1.host:2,"), (3, "cur/3.host:2,S"), (5, "cur/5.host:2,")];

/// A copy is known by the birth of its offsets file, which not every file system keeps.
fn births_are_kept(mail: &Mailbox) -> bool {
    let kept = fs::metadata(mail.file("maildex.offsets")).and_then(|meta| meta.created()).is_ok();
    if !kept {
        skipped("copies of an index", "let TMPDIR be on a file system that keeps the time of birth");
    }
    kept
}

fn cp(options: &str, from: &Path, to: &Path) {
    let status = Command::new("cp").arg(options).arg(from).arg(to).status().expect("cp runs");
    assert!(status.success(), "cp {options} {} {}", from.display(), to.display());
}

/// The whole folder, copied over an empty one.
fn copy_of(mail: &Mailbox, options: &str) -> Mailbox {
    let copy = Mailbox::new();
    fs::remove_dir_all(copy.path()).expect("make way for the copy");
    cp(options, &mail.path(), &copy.path());
    copy
}

/// What both files are put back from.
fn back_up(mail: &Mailbox) -> tempfile::TempDir {
    let safe = tempfile::tempdir().expect("a temporary directory");
    for name in ["maildex.offsets", "maildex.index.1"] {
        cp("-p", &mail.file(name), &safe.path().join(name));
    }
    safe
}

fn restore(mail: &Mailbox, safe: &tempfile::TempDir) {
    for name in ["maildex.offsets", "maildex.index.1"] {
        fs::remove_file(mail.file(name)).expect("remove our file");
        cp("-p", &safe.path().join(name), &mail.file(name));
    }
}

fn uidvalidity(mail: &Mailbox) -> u64 {
    mail.run(["show", "1", "--json"]).ok().json()[0]["uidvalidity"].as_u64().expect("a number")
}

fn uid_of_newest(mail: &Mailbox) -> u64 {
    mail.listed().last().expect("a message").0
}

#[test]
fn a_copied_folder_keeps_its_uids_and_goes_its_own_way() {
    for options in ["-a", "-r"] {
        let mail = indexed();
        if !births_are_kept(&mail) {
            return;
        }
        let token = mail.run(["changes"]).ok().text();
        let copy = copy_of(&mail, options);
        let run = copy.run(["build", "--json"]).ok().stderr_has("was copied here");
        assert_eq!(
            (&run.json()[0]["copied"], &run.json()[0]["added"]),
            (&true.into(), &0.into()),
            "cp {options}\n{run}"
        );
        copy.run(["build"]).ok().silent();
        copy.assert_listed(&LEFT);
        assert_eq!(uidvalidity(&copy), uidvalidity(&mail));
        // What the one gives out from now on the other does not.
        for folder in [&mail, &copy] {
            folder.deliver("new/6.host", self::mail("mail 6"));
            folder.run(["build"]).ok();
        }
        assert_eq!(uid_of_newest(&mail), 6);
        assert!(uid_of_newest(&copy) > 1_000_000);
        copy.run(["changes", "--since", token.trim()]).fails_with(5).stderr_has("token cannot be used");
        mail.run(["changes", "--since", token.trim()]).ok();
        mail.assert_sound();
        copy.assert_sound();
    }
}

#[test]
fn a_restored_index_gives_out_no_uid_twice() {
    let mail = indexed();
    if !births_are_kept(&mail) {
        return;
    }
    let safe = back_up(&mail);
    for n in [6, 7] {
        mail.deliver(format!("new/{n}.host"), self::mail(&format!("mail {n}")));
    }
    mail.run(["list", "--uids", "new"]).ok().stdout("6\n7\n");
    mail.remove("new/6.host");
    mail.run(["build"]).ok();
    restore(&mail, &safe);
    // Readers take it over as well.
    let uids = mail.run(["list", "--uids"]).ok().text();
    let uids: Vec<u64> = uids.lines().map(|uid| uid.parse().expect("a number")).collect();
    assert!(uids[..3] == [1, 3, 5] && uids.len() == 4 && uids[3] > 1_000_000, "{uids:?}");
    mail.assert_sound();
    // And once more from the same back-up.
    let second = uids[3];
    restore(&mail, &safe);
    mail.run(["flag", "+F", "1"]).ok();
    mail.run(["build"]).ok();
    assert!(uid_of_newest(&mail) >= second, "nobody else has had that one");
    mail.assert_sound();
}

#[test]
fn a_restored_index_of_which_one_half_is_damaged_gives_out_no_uid_twice() {
    let mail = indexed();
    if !births_are_kept(&mail) {
        return;
    }
    let safe = back_up(&mail);
    mail.deliver("new/6.host", self::mail("mail 6"));
    mail.run(["list", "--uids", "new"]).ok().stdout("6\n");
    mail.remove("new/6.host");
    restore(&mail, &safe);
    mail.edit("maildex.index.1", |bytes| bytes[..4096].fill(0));
    mail.deliver("new/7.host", self::mail("mail 7"));
    mail.run(["build"]).ok();
    assert!(uid_of_newest(&mail) > 1_000_000);
    mail.assert_sound();
}

/// An index file that was put back alone, the offsets file being lost, knew nothing of later UIDs, and they were given out
/// again.
#[test]
fn an_index_file_that_was_put_back_alone_gives_out_no_uid_twice() {
    let mail = indexed();
    if !births_are_kept(&mail) {
        return;
    }
    let safe = back_up(&mail);
    for n in [6, 7] {
        mail.deliver(format!("new/{n}.host"), self::mail(&format!("mail {n}")));
    }
    mail.run(["list", "--uids", "new"]).ok().stdout("6\n7\n");
    mail.remove("new/6.host");
    restore(&mail, &safe);
    mail.remove("maildex.offsets");
    mail.run(["repair", "--dry-run"]).ok().stdout_has("mail whose UID stood only in what is damaged gets a new one");
    mail.run(["repair"]).ok();
    let listed = mail.listed();
    assert!(listed.len() == 4 && listed[3].0 > 1_000_000, "{listed:?}");
    mail.assert_sound();
    // Nothing is skipped once more when that one loses its offsets file.
    mail.remove("maildex.offsets");
    mail.run(["build"]).ok();
    mail.assert_listed(&listed.iter().map(|(uid, path)| (*uid, &**path)).collect::<Vec<_>>());
    mail.deliver("new/8.host", self::mail("mail 8"));
    mail.run(["build"]).ok();
    assert_eq!(uid_of_newest(&mail), listed[3].0 + 1);
    mail.assert_sound();
}

/// A copy that was taken over is an index in its own right, in both files.
#[test]
fn a_copy_that_was_taken_over_loses_its_offsets_file_like_any_other() {
    let mail = indexed();
    if !births_are_kept(&mail) {
        return;
    }
    let copy = copy_of(&mail, "-a");
    copy.deliver("new/6.host", self::mail("mail 6"));
    copy.run(["build"]).ok();
    let newest = uid_of_newest(&copy);
    copy.remove("maildex.offsets");
    copy.deliver("new/7.host", self::mail("mail 7"));
    copy.run(["build"]).ok();
    assert_eq!(uid_of_newest(&copy), newest + 1);
    copy.assert_sound();
}

#[test]
fn a_mail_of_a_copy_that_is_another_one_gets_another_uid() {
    let mail = indexed();
    if !births_are_kept(&mail) {
        return;
    }
    let copy = copy_of(&mail, "-a");
    copy.deliver("cur/3.host:2,S", self::mail("another one"));
    copy.run(["build"]).ok();
    assert!(uid_of_newest(&copy) > 1_000_000);
    copy.run(["list", "--uids", "1:9"]).ok().stdout("1\n5\n");
    copy.assert_sound();
}

#[test]
fn another_folders_index_numbers_nothing_here() {
    let (mail, other) = (Mailbox::new(), Mailbox::new().messages(30));
    if mail.path().metadata().and_then(|meta| meta.created()).is_err() {
        return skipped("another folder's index", "let TMPDIR be on a file system that keeps the time of birth");
    }
    other.run(["build"]).ok();
    for n in 101..=130 {
        mail.deliver(format!("cur/{n}.host:2,"), self::mail(&format!("mail {n}")));
    }
    for name in ["maildex.offsets", "maildex.index.1"] {
        cp("-p", &other.file(name), &mail.file(name));
    }
    // It might be the right index beside the wrong mail, as before a disk is mounted.
    let run = mail.run(["build"]).fails_with(4);
    run.stderr_shows("30 of 30 messages are gone at once");
    run.stderr_shows("hint: is everything mounted?");
    mail.run(["build", "--accept-removals"]).ok();
    let listed = mail.listed();
    assert!(listed.len() == 30 && listed.iter().all(|(uid, _)| *uid > 1_000_000), "{listed:?}");
    mail.assert_sound();
}

/// Another folder's offsets file was believed, and the index file, which had all UIDs of this one, was removed.
#[test]
fn another_folders_offsets_file_costs_this_one_nothing() {
    for messages in [0, 3] {
        let (mail, other) = (indexed(), Mailbox::new());
        if !births_are_kept(&mail) {
            return;
        }
        for n in 0..messages {
            other.deliver(format!("cur/{n}.elsewhere:2,"), self::mail("elsewhere"));
        }
        other.run(["build"]).ok();
        fs::remove_file(mail.file("maildex.offsets")).expect("remove our file");
        cp("-p", &other.file("maildex.offsets"), &mail.file("maildex.offsets"));
        let before = mail.own_files();
        for arguments in [&["build"][..], &["repair", "--dry-run"], &["repair"]] {
            let run = mail.run(arguments).fails_with(3);
            run.stderr_shows("maildex.offsets: is not of the index of");
            run.stderr_shows("move away the one that came from elsewhere");
            assert_eq!(mail.own_files(), before, "{arguments:?}");
        }
        mail.run(["check"]).fails_with(1);
        // It was believed where the header of the index file cannot be read.
        mail.edit("maildex.index.1", |bytes| bytes[20] ^= 4);
        mail.run(["build"]).fails_with(3).stderr_has("move away the one that came from elsewhere");
        mail.edit("maildex.index.1", |bytes| bytes[20] ^= 4);
        // It said that the next build removes the index file, which has all UIDs.
        other.run(["compact"]).ok();
        fs::remove_file(mail.file("maildex.offsets")).expect("remove our file");
        cp("-p", &other.file("maildex.offsets"), &mail.file("maildex.offsets"));
        mail.run(["check"]).fails_with(1).stderr_has("nothing proves which of them is this folder's");
        // The hint, followed.
        mail.remove("maildex.offsets");
        mail.run(["repair"]).ok();
        mail.assert_listed(&LEFT);
        mail.assert_sound();

        // The other way round this folder's offsets file proves itself by its birth, and the index file is the stranger.
        fs::remove_file(mail.file("maildex.index.2")).expect("remove our file");
        cp("-p", &other.file("maildex.index.2"), &mail.file("maildex.index.2"));
        mail.run(["repair"]).ok().stdout_has("3 messages kept their UIDs, 3 of them read from the mail again");
        mail.assert_listed(&LEFT);
        mail.assert_sound();
    }
}
