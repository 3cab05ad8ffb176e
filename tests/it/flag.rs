//! `maildex flag`: what a SPEC does to a file name, and everything that can be in its way.

use std::ffi::OsStr;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use maildex::folder::Folder;
use maildex::format::Uid;
use maildex::index::Index;
use maildex::index::publish::Writer;
use maildex::lock::Wait;
use maildex::maildir::change::FlagChange;
use maildex::maildir::keywords::Keywords;
use maildex::ops::build::Progress;
use maildex::ops::flag::{Plan, Whose, flag};
use maildex::query::message::MessageRef;

use crate::mailbox::{Mailbox, Run, mail, maildex};

pub fn indexed(mails: usize) -> Mailbox {
    let mail = Mailbox::new().messages(mails);
    mail.run(["build"]).ok();
    mail
}

/// `1\t/tmp/.../inbox/cur/1.host:2,S\n` for each.
pub fn lines(mail: &Mailbox, expected: &[(u32, &str)]) -> String {
    expected.iter().fold(String::new(), |lines, (uid, path)| format!("{lines}{uid}\t{}\n", mail.file(path).display()))
}

/// Runs `flag` with a list on standard input.
fn with_input(mail: &Mailbox, arguments: &[&str], input: impl AsRef<[u8]>) -> Run {
    let path = mail.path().with_file_name("input");
    fs::write(&path, input).expect("write the list");
    let list = fs::File::open(&path).expect("open the list");
    mail.finish(mail.command([&["flag"], arguments].concat()).stdin(list))
}

#[test]
fn flag_renames_the_file_and_updates_the_slot() {
    let mail = indexed(3);
    mail.run(["flag", "+S", "1"]).ok().silent().stdout(lines(&mail, &[(1, "cur/1.host:2,S")]));
    mail.assert_files(["cur/1.host:2,S", "cur/2.host:2,", "cur/3.host:2,"]);
    mail.run(["list", "--no-refresh", "--uids", "seen"]).ok().stdout("1\n");
    mail.assert_sound();
}

#[test]
fn each_spec_does_what_the_man_page_says() {
    let mail = Mailbox::new().message("cur/1.host:2,FTah", self::mail("mail 1"));
    fs::write(mail.file("dovecot-keywords"), "0 $Label1\n1 Non-Junk\n").expect("write");
    mail.run(["build"]).ok();
    for (spec, flags) in [
        ("+S", "FSTah"),
        ("-F", "STah"),
        ("+RS-T", "RSah"),
        ("=FS", "FSah"),
        ("-seen,+Answered", "FRah"),
        ("+seen", "FRSah"),
        ("+a,-b", "FRSah"),
        ("+n", "FRSahn"),
        ("-h", "FRSan"),
        ("-n", "FRSa"),
        ("+r", "FRSar"),
        ("-r", "FRSa"),
        ("+q", "FRSaq"),
        ("-q", "FRSa"),
        ("-$label1", "FRS"),
        ("+non-junk", "FRSb"),
        ("=", "b"),
    ] {
        let path = format!("cur/1.host:2,{flags}");
        mail.run(["flag", spec, "1"]).ok().silent().stdout(lines(&mail, &[(1, &path)]));
        mail.assert_files([&path]);
        let listed = mail.run(["list", "--json", "--no-refresh"]).ok();
        assert_eq!(listed.json()[0]["flags"], flags, "{spec}");
    }
    mail.assert_sound();
}

#[test]
fn what_is_no_spec_is_wrong_usage_and_no_option() {
    let mail = indexed(1);
    for spec in ["+", "-", "+seem", "+ab", "--qurey", "--bacth", "S", "seen", "+X", "=seen", "", "+S,,+F"] {
        let run = mail.run(["flag", spec, "1"]).fails_with(2).stdout("").stderr_has("hint: a change of flags is");
        run.stderr_shows(&format!("found {spec:?}"));
    }
    mail.run(["flag"]).fails_with(2).stderr_has("SPEC is missing");
    mail.run(["flag", "+S"]).fails_with(2).stderr_has("MSG is missing");
    mail.run(["flag", "+S", "-0"]).fails_with(2).stderr_has("-0 goes with -");
    mail.run(["flag", "+S", "1", "--frobnicate"]).fails_with(2).stderr_has("--frobnicate");
    mail.run(["flag", "+S", "1", "-x"]).fails_with(2).stderr_has("-x");
    mail.run(["flag", "+S", "1:x"]).fails_with(4).stderr_has("no message with the base name 1");
    mail.run(["flag", "+S", "1,,2"]).fails_with(2);
    mail.run(["flag", "+S", "1", "/etc/passwd"]).fails_with(2).stderr_has("expected a mail in");
    mail.run(["flag", "+S", "--query", "frobnicated"]).fails_with(2).stderr_has("frobnicated");
    mail.run(["flag", "--batch", "+S", "1"]).fails_with(2);
    for help in ["-h", "--help"] {
        let mut command = Command::new(maildex());
        mail.finish(command.args(["flag", help])).ok().stdout_has("Set and clear flags");
    }
    mail.assert_files(["cur/1.host:2,"]);
    mail.assert_sound();
}

/// Name, the same with F, and without it again; `None` if it cannot have it, empty for the longest name.
type Case<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

#[test]
fn other_bytes_of_a_name_stay_as_they_are() {
    let long = format!("cur/{}:2,", "l".repeat(251));
    let names: [Case<'_>; 13] = [
        (b"cur/a", Some(b"cur/a:2,F"), b"cur/a:2,"),
        (b"cur/b:2,", Some(b"cur/b:2,F"), b"cur/b:2,"),
        (b"cur/c:2", None, b"cur/c:2"),
        (b"cur/d:1,foo", None, b"cur/d:1,foo"),
        (b"cur/e:2,SS", Some(b"cur/e:2,FSS"), b"cur/e:2,SS"),
        (b"cur/f:2,TS", Some(b"cur/f:2,FTS"), b"cur/f:2,TS"),
        (b"cur/g:2,S,ext", Some(b"cur/g:2,FS,ext"), b"cur/g:2,S,ext"),
        (b"cur/h\xff\xfe\n:2,S", Some(b"cur/h\xff\xfe\n:2,FS"), b"cur/h\xff\xfe\n:2,S"),
        (b"cur/i:2,abcXYZ", Some(b"cur/i:2,FabcXYZ"), b"cur/i:2,abcXYZ"),
        (b"cur/j;2,S", Some(b"cur/j;2,FS"), b"cur/j;2,S"),
        (b"cur/k!2,S", Some(b"cur/k!2,FS"), b"cur/k!2,S"),
        (long.as_bytes(), Some(b""), long.as_bytes()),
        (b"new/m:2,S", Some(b"cur/m:2,FS"), b"cur/m:2,S"),
    ];
    for (name, with, back) in names {
        let mail = Mailbox::new().message(OsStr::from_bytes(name), self::mail("mail"));
        mail.run(["build"]).ok();
        let path = |relative: &[u8]| [mail.path().as_os_str().as_bytes(), b"/", relative].concat();
        let printed = |relative: &[u8]| {
            let escaped: Vec<u8> =
                path(relative).into_iter().flat_map(|b| if b == b'\n' { b"\\n".to_vec() } else { vec![b] }).collect();
            [b"1\t", &*escaped, b"\n"].concat()
        };
        match with {
            None => {
                mail.run(["flag", "+F", "1"]).fails_with(4).stdout("").stderr_has("has no place for flags");
            }
            Some(b"") => {
                // 255 bytes: one letter fits.
                mail.run(["flag", "+F", "1"]).ok();
                mail.run(["flag", "+S", "1"]).fails_with(4).stdout("").stderr_has("too long");
                mail.run(["list", "--no-refresh", "--uids", "seen"]).ok().stdout("");
            }
            Some(with) => {
                mail.run(["flag", "+F", "1"]).ok().silent().stdout(printed(with));
                mail.assert_files([OsStr::from_bytes(with)]);
            }
        }
        mail.run(["flag", "-F", "1"]).ok().silent().stdout(printed(back));
        mail.assert_files([OsStr::from_bytes(back)]);
        let listed = mail.run(["list", "--paths", "-0", "--no-refresh"]).ok();
        assert_eq!(listed.bytes(), [&*path(back), b"\0"].concat(), "the index knows the name: {listed}");
        mail.assert_sound();
    }
}

#[test]
fn setting_a_flag_takes_mail_from_new_to_cur_and_clearing_one_does_not() {
    let mail =
        Mailbox::new().message("new/1.host", self::mail("mail 1")).message("new/2.host:2,S", self::mail("mail 2"));
    mail.run(["build"]).ok();
    mail.run(["flag", "-S", "1:2"]).ok().stdout(lines(&mail, &[(1, "new/1.host"), (2, "new/2.host:2,")]));
    mail.run(["flag", "=", "1"]).ok().stdout(lines(&mail, &[(1, "new/1.host")]));
    mail.run(["flag", "+S", "1:2"]).ok().stdout(lines(&mail, &[(1, "cur/1.host:2,S"), (2, "cur/2.host:2,S")]));
    mail.run(["count", "--no-refresh", "new"]).ok().stdout("0\n");
    mail.assert_sound();
}

#[test]
fn messages_are_named_in_every_way() {
    let mail = indexed(9);
    let in_folder = |messages: &[&str]| {
        let mut command = Command::new(maildex());
        mail.finish(command.current_dir(mail.path()).args(["flag", ".", "+S"]).args(messages))
    };
    in_folder(&["cur/1.host:2,RS", "2.host", "3.host:2,S", "4"]).ok().silent();
    mail.run(["flag", "+F", "8:*"]).ok().stdout(lines(&mail, &[(8, "cur/8.host:2,F"), (9, "cur/9.host:2,F")]));
    mail.run(["flag", "+T", "--query", "unseen", "unflagged"]).ok();
    mail.run(["list", "--uids", "deleted"]).ok().stdout("5\n6\n7\n");
    mail.run(["flag", "-T", "--json", "5"]).ok().stdout_has("\"event\":\"flags\"");
    mail.run(["flag", "-T", "--json", "5"]).ok().stdout_has("\"event\":null");
    mail.assert_sound();
}

#[test]
fn lists_come_from_standard_input() {
    let mail = indexed(6);
    with_input(&mail, &["+S", "-"], "1\n\n2.host\n")
        .ok()
        .stdout(lines(&mail, &[(1, "cur/1.host:2,S"), (2, "cur/2.host:2,S")]));
    with_input(&mail, &["+S", "-", "-0"], "3.host\x004\0")
        .ok()
        .stdout(lines(&mail, &[(3, "cur/3.host:2,S"), (4, "cur/4.host:2,S")]));
    with_input(&mail, &["+F", "5", "-"], "6\n")
        .ok()
        .stdout(lines(&mail, &[(5, "cur/5.host:2,F"), (6, "cur/6.host:2,F")]));
    with_input(&mail, &["+F", "-"], "").ok().stdout("");
    let run = with_input(&mail, &["+T", "-"], "99\n1\n7,,\n/etc/passwd\nnobody\n2\n").fails_with(4);
    for wrong in ["no message with UID 99", "\"7,,\"", "/etc/passwd: expected", "base name nobody"] {
        run.stderr_shows(wrong);
    }
    run.stdout(lines(&mail, &[(1, "cur/1.host:2,ST"), (2, "cur/2.host:2,ST")]));
    // What list prints, flag takes.
    let paths = mail.run(["list", "--paths", "-0", "flagged"]).ok().bytes();
    with_input(&mail, &["-F", "-0", "-"], paths).ok();
    mail.run(["count", "flagged"]).ok().stdout("0\n");
    mail.assert_sound();
}

#[test]
fn a_batch_has_a_spec_on_each_line_and_goes_on_after_bad_ones() {
    let mail = indexed(4);
    let batch = "+S 1\n-S,+F 1\n+T\tcur/2.host\n=R 3:4\n\nfrob 1\n+S\n+S 99\n+S 1,,\n+S /x/y\n+a 4\n";
    let path = format!("{}/cur/2.host", mail.path().display());
    let run = with_input(&mail, &["--batch"], batch.replace("cur/2.host", &path)).fails_with(4);
    for wrong in ["found \"frob\"", "expected SPEC, a blank, and MSG", "UID 99", "\"1,,\"", "/x/y: expected"] {
        run.stderr_shows(wrong);
    }
    assert_eq!(run.errors().matches("maildex: ").count(), 5, "{run}");
    let names = ["cur/1.host:2,F", "cur/2.host:2,T", "cur/3.host:2,R", "cur/4.host:2,Ra"];
    mail.assert_files(names);
    let listed: Vec<_> = mail.listed().into_iter().map(|(_, path)| path).collect();
    assert_eq!(listed, names);
    with_input(&mail, &["--batch", "-0"], "+S 1\0+S \t2\0").ok();
    mail.run(["count", "seen"]).ok().stdout("2\n");
    mail.assert_sound();
}

#[test]
fn with_root_paths_lead_to_many_folders() {
    let mail = indexed(2);
    let root = mail.path().with_file_name("root");
    for folder in ["a", ".b"] {
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(root.join(folder).join(sub)).expect("make a folder");
        }
        fs::write(root.join(folder).join("cur/1.x:2,"), self::mail(folder)).expect("a mail");
        fs::write(root.join(folder).join("new/2.x"), self::mail(folder)).expect("a mail");
        mail.finish(Command::new(maildex()).arg("build").arg(root.join(folder))).ok();
    }
    let run = |arguments: &[&str]| mail.finish(Command::new(maildex()).current_dir(&root).args(arguments));
    run(&["flag", "-r", ".", "-S", "a/cur/1.x:2,"]).ok().silent().stdout("1\ta/cur/1.x:2,\n");
    let all = "1\ta/cur/1.x:2,F\n2\ta/cur/2.x:2,F\n1\t.b/cur/1.x:2,F\n";
    run(&["flag", "--wait", "5", "-r", ".", "+F", "a/cur/1.x", "a/new/2.x", ".b/cur/1.x"]).ok().silent().stdout(all);
    run(&["flag", "-r", "a", "+F", ".b/cur/1.x"]).fails_with(2).stderr_has("below a");
    run(&["flag", "-r", ".", "+F", "1"]).fails_with(2).stderr_has("expected the path of a mail");
    run(&["flag", "-r", ".", "+F"]).fails_with(2).stderr_has("MSG is missing");
    run(&["flag", "-r", ".", "frob", "a/cur/1.x"]).fails_with(2).stderr_has("frob");
    run(&["flag", "-r", ".", "+S", "a/cur/9.x", ".b/cur/1.x"]).fails_with(4).stdout("1\t.b/cur/1.x:2,FS\n");
    run(&["show", "-r", ".", "--json", "a/cur/1.x", ".b/new/2.x"]).ok().stdout_has("\"folder\":\".b\"");
    run(&["cat", "-r", ".", "a/cur/1.x", ".b/cur/1.x"]).ok().stdout(format!("{}{}", self::mail("a"), self::mail(".b")));
}

#[test]
fn a_dry_run_says_what_it_would_do_and_changes_nothing() {
    let mail = Mailbox::new().messages(1).message("new/2.host", self::mail("mail 2")).message("cur/3.host:1,x", "");
    mail.run(["build"]).ok();
    let before = mail.own_files();
    let expected = lines(&mail, &[(1, "cur/1.host:2,S"), (2, "cur/2.host:2,S")]);
    mail.run(["flag", "--dry-run", "+S", "1", "2", "3"])
        .fails_with(4)
        .stdout(expected)
        .stderr_has("no place for flags");
    mail.assert_files(["cur/1.host:2,", "new/2.host", "cur/3.host:1,x"]);
    assert!(mail.own_files() == before, "the index is as it was");
}

#[test]
fn what_others_did_meanwhile_is_kept() {
    let mail = Mailbox::new().messages(4).message("new/5.host", self::mail("mail 5"));
    mail.run(["build"]).ok();
    mail.rename("cur/1.host:2,", "cur/1.host:2,RT,x");
    mail.rename("cur/2.host:2,", "cur/2.host,U=7:2,R"); // another base name: mbsync
    mail.rename("new/5.host", "cur/5.host:2,P");
    mail.remove("cur/3.host:2,");
    mail.deliver("new/6.host", self::mail("mail 6"));
    let path = |name: &str| mail.file(name).display().to_string();
    let run = mail.run(["flag", "+S", "1", "2", "3", "4", "5", "6.host", &path("new/6.host")]).fails_with(4);
    run.stderr_shows("no message with UID 3");
    let names = ["cur/1.host:2,RST,x", "cur/2.host,U=7:2,RS", "cur/4.host:2,S", "cur/5.host:2,PS", "cur/6.host:2,S"];
    mail.assert_files(names);
    let listed = mail.listed();
    assert_eq!(listed.iter().map(|(uid, _)| *uid).collect::<Vec<_>>(), [1, 2, 4, 5, 6], "every UID stayed");
    assert_eq!(listed.iter().map(|(_, path)| path.as_str()).collect::<Vec<_>>(), names);
    mail.assert_sound();
}

#[test]
fn a_second_file_with_the_base_name_is_never_replaced() {
    let mail = Mailbox::new().message("cur/b:2,", self::mail("the first"));
    mail.run(["build"]).ok();
    mail.deliver("cur/b:2,S", self::mail("the second"));
    let run = mail.run(["flag", "+S", "1"]).fails_with(4).stdout("");
    run.stderr_shows(&mail.file("cur/b:2,").display().to_string());
    run.stderr_shows(&format!("{} is there already", mail.file("cur/b:2,S").display()));
    let text = |name: &str| fs::read_to_string(mail.file(name)).expect("read the mail");
    assert_eq!((text("cur/b:2,"), text("cur/b:2,S")), (self::mail("the first"), self::mail("the second")));
    // A path is the file that it names, not the other one with the base name.
    let second = mail.file("cur/b:2,S").display().to_string();
    let hint = format!("let maildex look again: maildex build --full {}\n", mail.path().display());
    let run = mail.run(["flag", "+T", &second]).fails_with(4).stdout("").stderr_has(&hint);
    run.stderr_shows("is not the mail that was indexed");
    mail.assert_files(["cur/b:2,", "cur/b:2,S"]);
}

#[test]
fn another_mail_under_the_name_is_not_flagged_as_the_one_that_was_indexed() {
    let mail = indexed(2);
    mail.deliver("cur/1.host:2,", self::mail("quite another mail"));
    mail.run(["flag", "+S", "1"]).fails_with(4).stdout("").stderr_has("no message with UID 1");
    mail.assert_files(["cur/1.host:2,", "cur/2.host:2,"]);
    mail.run(["flag", "+S", "3"]).ok();
    mail.assert_files(["cur/1.host:2,S", "cur/2.host:2,"]);
    mail.assert_sound();
}

#[test]
fn one_failure_never_stops_the_rest() {
    let mail = indexed(5);
    mail.remove("cur/2.host:2,");
    fs::create_dir(mail.file("cur/2.host:2,")).expect("a directory in its place");
    mail.remove("cur/3.host:2,");
    std::os::unix::fs::symlink("/etc/passwd", mail.file("cur/3.host:2,")).expect("a symlink in its place");
    let run = mail.run(["flag", "+S", "1:5"]).fails_with(4);
    run.stdout(lines(&mail, &[(1, "cur/1.host:2,S"), (4, "cur/4.host:2,S"), (5, "cur/5.host:2,S")]));
    let mail = indexed(2);
    fs::set_permissions(mail.file("cur"), fs::Permissions::from_mode(0o500)).expect("chmod");
    if let Some(run) = mail.run_unprivileged(["flag", "+S", "1"]) {
        run.fails_with(4).stderr_has("cannot rename");
    }
    fs::set_permissions(mail.file("cur"), fs::Permissions::from_mode(0o700)).expect("chmod");
    mail.run(["flag", "+S", "1"]).ok();
}

/// It said "No space left on device", and not where.
#[test]
fn where_results_cannot_be_written_is_told() {
    let mail = indexed(2);
    let full = || fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    for verb in [&["flag", "+S", "1"][..], &["compact", "--json"], &["flag", "--json", "+F", "2"]] {
        let run = mail.finish(mail.command(verb).stdout(full())).fails_with(3);
        assert_eq!(run.errors(), "maildex: standard output: cannot write: No space left on device\n", "{run}");
    }
    mail.assert_files(["cur/1.host:2,S", "cur/2.host:2,F"]);
    mail.assert_sound();
}

/// It said "Not a directory" of what looks like one.
#[test]
fn a_symbolic_link_in_the_place_of_cur_is_not_followed_and_that_is_told() {
    let mail = indexed(1);
    mail.settle();
    fs::rename(mail.file("cur"), mail.file("elsewhere")).expect("move cur away");
    std::os::unix::fs::symlink("elsewhere", mail.file("cur")).expect("link to it");
    for (verb, code) in [(&["flag", "+S", "1"][..], 4), (&["inc"], 3)] {
        mail.run(verb).fails_with(code).stdout("").stderr_has("hint: a symbolic link is not followed there");
    }
    // A reader that found new/ unchanged failed; one that did not showed what it had.
    let hint = "hint: a symbolic link is not followed there";
    mail.run(["list", "--uids"]).ok().stdout("1\n").stderr_has("as of the last refresh").stderr_has(hint);
    assert!(mail.file("elsewhere/1.host:2,").exists());
}

/// The dead ones were walked over for each line, to know what `*` would be.
#[test]
fn dead_messages_at_the_end_cost_a_batch_nothing() {
    let mail = indexed(2);
    let folder = Folder::open(&mail.path()).expect("open");
    let lock = folder.lock("a test", Wait::For(Duration::ZERO), &mut |_| ()).expect("the lock");
    let index = Index::open(folder.dir(), true).expect("open").expect("an index");
    let mut writer = Writer::new(index, &lock).expect("a writer");
    for uid in 3..30_000 {
        writer.raise_uid(Uid::new(uid).expect("no zero")).expect("a dead slot");
    }
    writer.finish().expect("finish");
    lock.release().expect("release");
    let begun = Instant::now();
    with_input(&mail, &["--batch"], "+S 1\n-S 2\n".repeat(10_000)).ok().silent();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    mail.run(["list", "--uids", "*"]).ok().stdout("2\n");
    mail.assert_sound();
}

/// Nothing was printed of what had been renamed until then.
#[test]
fn what_was_done_before_an_error_is_told() {
    let mail = indexed(2);
    // A name that only a refresh can find, and a strange file that stands where a refresh puts its own.
    fs::create_dir(mail.file("maildex.offsets.tmp")).expect("a directory of a stranger");
    mail.deliver("new/3.host", self::mail("mail 3"));
    let run = mail.run(["flag", "+S", "1", "3.host"]).fails_with(3);
    run.stderr_shows("maildex.offsets.tmp: found a directory");
    run.stdout(lines(&mail, &[(1, "cur/1.host:2,S")]));
    // The lock is taken away in the middle.
    let mail = indexed(3);
    let mut folder = Folder::open(&mail.path()).expect("open");
    let change = FlagChange::parse("+F", &Keywords::default()).expect("a SPEC");
    let all = MessageRef::parse("1:3".as_ref()).expect("a MSG");
    let plan = Plan { changes: &[(change, Whose::Named(all))], dry_run: false, wait: Wait::For(Duration::ZERO) };
    let progress = &mut |progress: Progress| {
        if progress.done == 2 {
            mail.remove("maildex.lock");
        }
        ControlFlow::Continue(())
    };
    let done = flag(&mut folder, &plan, &mut |_| (), progress).expect("it is told in what was done");
    assert_eq!(done.messages.iter().map(|message| message.uid.get()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(matches!(done.stopped, Some(maildex::Error::LockLost { .. })), "{:?}", done.stopped);
    mail.run(["list", "--uids", "flagged"]).ok().stdout("1\n2\n3\n");
    mail.assert_sound();
}

#[test]
fn without_an_index_none_is_made() {
    let mail = Mailbox::new().messages(1);
    for verb in [&["flag", "+S", "1"][..], &["inc"]] {
        mail.run(verb).fails_with(3).stdout("").stderr_has("hint: make one with: maildex build");
        assert!(mail.own_files().is_empty());
    }
    mail.run(["build"]).ok();
    mail.edit("maildex.offsets", |bytes| bytes[20] ^= 1);
    mail.run(["flag", "+S", "1"]).fails_with(3).stderr_has("hint: ");
    mail.assert_files(["cur/1.host:2,"]);
}
