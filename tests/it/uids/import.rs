//! Taking up numbers from elsewhere.

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, io, thread};

use maildex::folder::Folder;
use maildex::lock::Wait;
use maildex::ops::build::Report;
use maildex::ops::uids::{Answer, import, read_list};

use super::{VALIDITY, exported, files, list, numbered, put};
use crate::mailbox::{Mailbox, figures, long, mail, maildex};
use crate::tally::Tally;

#[test]
fn an_index_begins_with_the_numbers_of_a_list() {
    let mailbox = Mailbox::new().messages(5).message("new/6.host", mail("six"));
    let lines = [(3, "2.host"), (9, "gone.host"), (10, "1.host"), (11, "6.host"), (40, "gone.too")];
    let list = put(&mailbox, "list", list(50, &lines));
    let run = mailbox.run(["uids", "import", &list]).ok().silent();
    run.stdout(
        "uidvalidity 1000, uidnext 50: 3 messages got the listed number, 0 had it, \
         2 listed are not in the folder, 3 not listed\n",
    );
    // What is not listed gets numbers above.
    let expected = [
        (3, "cur/2.host:2,"),
        (10, "cur/1.host:2,"),
        (11, "new/6.host"),
        (50, "cur/3.host:2,"),
        (51, "cur/4.host:2,"),
        (52, "cur/5.host:2,"),
    ];
    mailbox.assert_listed(&expected);
    mailbox.run(["list", "--json"]).ok().stdout_has("\"uidvalidity\":1000,");
    mailbox.remove("cur/5.host:2,");
    mailbox.deliver("new/7.host", mail("seven"));
    assert_eq!(mailbox.listed().last(), Some(&(53, "new/7.host".to_string())));
    mailbox.assert_sound();
}

#[test]
fn lists_of_dovecot_and_courier_are_known_by_their_first_line_and_may_come_by_a_pipe() {
    let dovecot = "3 V1000 N20 Gabc\n5 W3 :1.host:2,S\n7 :2.host\n";
    let courier = "1 1000 20\n5 1.host\n7 2.host\n";
    let ours = list(20, &[(5, "1.host"), (7, "2.host")]);
    for (text, format) in [(dovecot, "dovecot"), (courier, "courier"), (&ours, "tsv")] {
        for options in [&[][..], &["--format", format]] {
            let mailbox = Mailbox::new().messages(2);
            put(&mailbox, "list", text);
            let mut import = mailbox.command([&["uids", "import", "-"], options].concat());
            mailbox.finish(import.stdin(fs::File::open(mailbox.file("list")).expect("open"))).ok().silent();
            assert_eq!(exported(&mailbox), ours);
            mailbox.assert_sound();
        }
        let mailbox = Mailbox::new().messages(2);
        let list = put(&mailbox, "list", text);
        let other = if format == "tsv" { "courier" } else { "tsv" };
        mailbox.run(["uids", "import", &list, "--format", other]).fails_with(3).stderr_has("list: line 1: found");
        assert!(mailbox.own_files().is_empty());
    }
}

/// Everything is checked before anything is done.
#[test]
fn a_list_that_is_none_changes_nothing() {
    let fresh = Mailbox::new().messages(2);
    let built = numbered(9, &[(1, "1.host"), (2, "2.host")]);
    let before = files(&built);
    let whole = list(9, &[(1, "1.host"), (2, "2.host"), (3, "3.host")]);
    for (text, says) in [
        (String::new(), "line 1: found an empty file"),
        (whole.trim_end().to_string(), "line 4: found \"3\\t3.host\" and the end of the file, expected a line break"),
        (whole.replace("messages 3", "messages 4"), "line 4: found 3 messages, expected 4"),
        (whole.replace("\n3\t", "\n2\t"), "line 4: found UID 2, expected more than 2"),
        (whole.replace("\n3\t", "\n4294967296\t"), "line 4: found \"4294967296\", expected a UID"),
        (whole.replace("3.host", "1.host"), "line 4: found \"1.host\" for the second time, expected one number"),
        (whole.replace("3.host", "../3.host"), "line 4: found \"../3.host\", expected the name of a file, without `/`"),
        (whole.replace("uidnext 9", "uidnext 3"), "line 1: found UIDNEXT 3, expected at least 4"),
        (whole.replace("maildex-uids 1", "maildex-uids 2"), "line 1: found \"2\", expected version 1"),
    ] {
        for mailbox in [&fresh, &built] {
            let path = mailbox.path().with_file_name("list");
            fs::write(&path, &text).expect("write");
            let run = mailbox.run(["uids".as_ref(), "import".as_ref(), path.as_os_str()]).fails_with(3).stdout("");
            run.stderr_has(says).stderr_has("hint: nothing was changed");
        }
    }
    assert!(fresh.own_files().is_empty() && files(&built) == before);
    built.assert_sound();
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let fresh = Mailbox::new().messages(3);
    let built = numbered(9, &[(1, "1.host"), (2, "2.host")]).message("new/3.host", mail("3"));
    let text = list(12, &[(1, "1.host"), (2, "2.host"), (10, "3.host"), (11, "gone")]);
    for (mailbox, says) in [
        (&fresh, "uidnext 12: 3 messages got the listed number, 0 had it, 1 listed are not in the folder\n"),
        (&built, "uidnext 12: 1 message got the listed number, 2 had it, 1 listed are not in the folder\n"),
    ] {
        let list = put(mailbox, "list", &text);
        let before = files(mailbox);
        mailbox.run(["uids", "import", &list, "--dry-run"]).ok().silent().stdout_has(says);
        assert!(files(mailbox) == before);
        mailbox.run(["uids", "import", &list]).ok().stdout_has(&says.replace("folder\n", "folder, 0 not listed\n"));
    }
    let list = put(&built, "list", list(99, &[(1, "2.host")]));
    let before = files(&built);
    built.run(["uids", "import", &list, "--dry-run"]).fails_with(3).stderr_has("UID 1 is 1.host, and not 2.host");
    assert!(files(&built) == before);
}

/// An index that has given out no number is free to take any.
#[test]
fn an_empty_index_adopts_uidvalidity_too() {
    let mailbox = Mailbox::new();
    mailbox.run(["build"]).ok();
    let token = mailbox.run(["changes"]).ok().text().trim_end().rsplit('\t').next().expect("a token").to_string();
    mailbox.deliver("new/1.host", mail("1"));
    let list = put(&mailbox, "list", list(9, &[(8, "1.host")]));
    mailbox.run(["uids", "import", &list]).ok().stdout_has("1 message got the listed number");
    mailbox.assert_listed(&[(8, "new/1.host")]);
    mailbox.run(["changes", "--since", &token]).fails_with(5);
    mailbox.assert_sound();
    assert_eq!(files(&mailbox).iter().filter(|(name, _)| name.starts_with("maildex.index")).count(), 1);
}

#[test]
fn a_living_index_takes_up_what_is_above_its_numbers() {
    let mailbox = numbered(6, &[(1, "1.host"), (2, "2.host"), (5, "5.host")]);
    mailbox.remove("cur/2.host:2,");
    mailbox.deliver("new/a.host", mail("a"));
    mailbox.deliver("new/b.host", mail("b"));
    mailbox.deliver("new/c.host", mail("c"));
    let token = mailbox.run(["changes", "--since", "0"]).ok().text();
    let token = token.trim_end().rsplit('\t').next().expect("a token").to_string();
    // Its refresh has given 6, 7 and 8 to a, b and c: here all that is listed is above, or is agreed on.
    let lines =
        [(1, "1.host"), (2, "2.host"), (4, "never.here"), (8, "c.host"), (10, "b.host"), (12, "gone"), (20, "5.host")];
    let list = put(&mailbox, "list", list(30, &lines));
    let run = mailbox.run(["uids", "import", &list]).ok().silent();
    run.stdout(
        "uidvalidity 1000, uidnext 30: 2 messages got the listed number (2 had another one), 2 had it, \
         3 listed are not in the folder, 0 not listed\n",
    );
    mailbox.assert_listed(&[
        (1, "cur/1.host:2,"),
        (6, "new/a.host"),
        (8, "new/c.host"),
        (10, "new/b.host"),
        (20, "cur/5.host:2,"),
    ]);
    // Tokens stay good, and tell of it.
    let changes = mailbox.run(["changes", "--since", &token]).ok().text();
    let events: Vec<Vec<&str>> = changes.lines().map(|line| line.split('\t').take(3).collect()).collect();
    let expected =
        [["added", "10", "7"], ["added", "20", "5"], ["removed", "5", "-"], ["removed", "7", "-"], ["token", "-", "-"]];
    assert_eq!(events, expected.map(Vec::from), "{changes}");
    mailbox.assert_sound();
    // Once more changes nothing.
    let before = exported(&mailbox);
    mailbox.run(["uids", "import", &list]).ok().stdout_has("0 messages got the listed number, 4 had it");
    assert_eq!(exported(&mailbox), before);
    mailbox.deliver("new/d.host", mail("d"));
    assert_eq!(mailbox.listed().last(), Some(&(30, "new/d.host".into())));
}

/// Mail that has no number here yet gets the listed one at once, not one of ours first.
#[test]
fn new_mail_gets_the_listed_number_at_once() {
    let mailbox = numbered(6, &[(1, "1.host")]);
    for name in ["a", "b", "c"] {
        mailbox.deliver(format!("new/{name}.host"), mail(name));
    }
    // The other way round than by arrival.
    let list = put(&mailbox, "list", list(9, &[(1, "1.host"), (6, "c.host"), (7, "b.host"), (8, "a.host")]));
    mailbox.run(["uids", "import", &list]).ok().stdout_has("3 messages got the listed number, 1 had it");
    mailbox.assert_listed(&[(1, "cur/1.host:2,"), (6, "new/c.host"), (7, "new/b.host"), (8, "new/a.host")]);
    assert!(exported(&mailbox).contains("\tuidnext 9\t"));
    mailbox.assert_sound();
}

#[test]
fn only_uidnext_rises_where_all_mail_is_gone() {
    let mailbox = numbered(6, &[(1, "1.host")]);
    let list = put(&mailbox, "list", list(100, &[(98, "gone")]));
    mailbox.run(["uids", "import", &list]).ok().stdout_has("uidnext 100: 0 messages got the listed number");
    assert!(exported(&mailbox).contains("\tuidnext 100\tmessages 1\n"));
    mailbox.assert_sound();
    // A list that is behind lowers nothing.
    let list = put(&mailbox, "list", super::list(3, &[(1, "1.host")]));
    mailbox.run(["uids", "import", &list]).ok().stdout_has("uidnext 100:");
    assert!(exported(&mailbox).contains("\tuidnext 100\tmessages 1\n"));
}

/// What would make a number name another mail is refused as a whole, and every such number is named.
#[test]
fn a_number_never_comes_to_name_another_mail() {
    let mailbox = numbered(9, &[(1, "1.host"), (2, "2.host"), (3, "3.host"), (8, "8.host")]);
    mailbox.remove("cur/2.host:2,");
    mailbox.remove("cur/3.host:2,");
    mailbox.run(["build"]).ok();
    // It comes back: another number here.
    mailbox.deliver("cur/3.host:2,", mail("3.host"));
    mailbox.deliver("new/new.host", mail("new"));
    mailbox.run(["build"]).ok();
    mailbox.assert_listed(&[(1, "cur/1.host:2,"), (8, "cur/8.host:2,"), (9, "new/new.host"), (10, "cur/3.host:2,")]);
    let conflicts = [
        ((1, "other.gone"), "UID 1 is 1.host, and not other.gone"),
        ((1, "8.host"), "UID 1 is 1.host, and not 8.host"),
        ((2, "8.host"), "UID 2 was given out before and is dead, so it cannot be 8.host"),
        ((2, "other.gone"), "UID 2 is 2.host, and not other.gone"),
        ((3, "3.host"), "UID 3 was given out before and is dead, so it cannot be 3.host"),
        ((5, "8.host"), "UID 5 was given out before and is dead, so it cannot be 8.host"),
        ((10, "new.host"), "UID 10 is 3.host, and not new.host"),
    ];
    mailbox.trust_stamps(); // else they are written again when two seconds have passed
    let before = (exported(&mailbox), files(&mailbox));
    let refuse = |lines: &[(u32, &str)]| {
        let path = mailbox.path().with_file_name("list");
        fs::write(&path, list(50, lines)).expect("write");
        let run = mailbox.run(["uids".as_ref(), "import".as_ref(), path.as_os_str()]).fails_with(3).stdout("");
        assert!(files(&mailbox) == before.1 && exported(&mailbox) == before.0, "{lines:?}");
        run.stderr_has("nothing was changed").stderr_has("hint: to begin anew with the list's numbers remove the index")
    };
    for (line, says) in conflicts {
        refuse(&[line, (40, "1.host")]).stderr_has(says).stderr_has("1 number would name another mail;");
    }
    let run = refuse(&[(1, "x"), (5, "8.host"), (9, "y")]);
    run.stderr_has("3 numbers would name another mail;").stderr_has("UID 9 is new.host, and not y");
    let many: Vec<_> = (11..60).map(|n| format!("{n}.host")).collect();
    for (n, name) in (11..60).zip(&many) {
        mailbox.deliver(format!("new/{name}"), mail(&n.to_string()));
    }
    mailbox.run(["build"]).ok();
    let lines: Vec<_> = (12..61).zip(many.iter().map(String::as_str)).collect();
    let path = mailbox.path().with_file_name("list");
    fs::write(&path, list(99, &lines)).expect("write");
    let run = mailbox.run(["uids".as_ref(), "import".as_ref(), path.as_os_str()]).fails_with(3);
    assert_eq!(run.errors().lines().count(), 22, "{run}");
    run.stderr_has("48 numbers would name another mail (28 more than shown)");
    mailbox.assert_sound();
}

#[test]
fn another_uidvalidity_is_refused_and_the_way_there_works() {
    let mailbox = Mailbox::new().messages(2);
    mailbox.run(["build"]).ok();
    let list = put(&mailbox, "list", list(9, &[(4, "2.host"), (5, "1.host")]));
    mailbox.trust_stamps(); // else they are written again when two seconds have passed
    let before = (exported(&mailbox), files(&mailbox));
    let run = mailbox.run(["uids", "import", &list]).fails_with(3).stdout("");
    run.stderr_shows(&format!("and {VALIDITY} in the list; nothing was changed"));
    assert!(files(&mailbox) == before.1 && exported(&mailbox) == before.0);
    let errors = run.errors();
    let rm = errors.split("remove the index first: ").nth(1).and_then(|rest| rest.split(';').next()).expect("a hint");
    mailbox.finish(Command::new("sh").args(["-c", rm])).ok();
    mailbox.run(["uids", "import", &list]).ok();
    mailbox.assert_listed(&[(4, "cur/2.host:2,"), (5, "cur/1.host:2,")]);
    mailbox.assert_sound();
}

#[test]
fn mail_that_cannot_be_read_gets_its_number_all_the_same() {
    let mailbox = Mailbox::new().messages(3).message("cur/4.host:2,", "");
    let mode = |mode| {
        let path = mailbox.file("cur/2.host:2,");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    };
    mode(0);
    let list = put(&mailbox, "list", list(9, &[(3, "3.host"), (5, "2.host"), (7, "4.host"), (8, "1.host")]));
    let Some(run) = mailbox.run_unprivileged(["uids", "import", &list]) else { return };
    run.fails_with(4).stderr_has("cur/2.host:2,: cannot read").stdout_has("4 messages got the listed number");
    mode(0o600);
    fs::write(mailbox.file("cur/4.host:2,"), mail("filled")).expect("write");
    mailbox.assert_listed(&[(3, "cur/3.host:2,"), (5, "cur/2.host:2,"), (7, "cur/4.host:2,"), (8, "cur/1.host:2,")]);
    mailbox.run(["list", "5,7"]).ok().stdout_has("mail 2").stdout_has("filled");
    mailbox.assert_sound();
}

/// The newest mail when the back-up was made is 4; then came 5 and 6, and 5 is gone. Their numbers are known to nobody.
#[test]
fn numbers_that_were_given_out_after_the_back_up_are_skipped() {
    let mailbox = numbered(5, &[(4, "4.host")]);
    let back_up = put(&mailbox, "back-up", exported(&mailbox));
    mailbox.deliver("new/5.host", mail("5"));
    mailbox.deliver("new/6.host", mail("6"));
    mailbox.assert_listed(&[(4, "cur/4.host:2,"), (5, "new/5.host"), (6, "new/6.host")]);
    mailbox.remove("new/5.host");
    for name in ["maildex.offsets", "maildex.index.1"] {
        mailbox.remove(name);
    }
    mailbox
        .run(["uids", "import", &back_up, "--skip", "4294967295"])
        .fails_with(2)
        .stderr_has("no number would be left");
    assert!(!mailbox.file("maildex.offsets").exists());
    mailbox.run(["uids", "import", &back_up, "--skip", "10"]).ok().stdout_has("uidnext 15: 1 message got the listed");
    mailbox.assert_listed(&[(4, "cur/4.host:2,"), (15, "new/6.host")]);
    // Into what is there already, too.
    mailbox.run(["uids", "import", &back_up, "--skip", "95"]).ok().stdout_has("uidnext 100: 0 messages got the listed");
    mailbox.deliver("new/7.host", mail("7"));
    assert_eq!(mailbox.listed().last(), Some(&(100, "new/7.host".to_string())));
    mailbox.assert_sound();
}

/// When all numbers have been given out there is still a list of them.
#[test]
fn the_last_number_of_all() {
    let mailbox = Mailbox::new().messages(2);
    let list = put(&mailbox, "list", list(1 << 32, &[(7, "1.host"), (u32::MAX, "2.host")]));
    mailbox.run(["uids", "import", &list]).ok().stdout_has("uidnext 4294967296: 2 messages");
    assert_eq!(exported(&mailbox), fs::read_to_string(&list).expect("read"));
    mailbox.run(["uids", "export", "--format", "dovecot"]).fails_with(3).stdout("").stderr_has("all UIDs up to");
    mailbox.deliver("new/3.host", mail("3"));
    mailbox.run(["build"]).fails_with(4).stderr_has("all UIDs up to");
    mailbox.run(["list", "--uids", "--no-refresh"]).ok().stdout("7\n4294967295\n");
}

#[test]
fn the_index_may_be_elsewhere() {
    let mailbox = Mailbox::new().messages(2);
    let elsewhere = mailbox.path().with_file_name("elsewhere");
    let list = put(&mailbox, "list", list(9, &[(4, "2.host"), (5, "1.host")]));
    let run = |arguments: &[&str]| {
        let mut command = Command::new(maildex());
        mailbox.finish(command.arg("--index-dir").arg(&elsewhere).args(arguments))
    };
    let folder = mailbox.path();
    let folder = folder.to_str().expect("UTF-8");
    run(&["uids", "import", folder, &list]).ok();
    run(&["uids", "export", folder]).ok().stdout(fs::read_to_string(&list).expect("read"));
    assert!(mailbox.own_files().is_empty());
    run(&["check", folder]).ok();
}

/// Takes a list up in this process; `progress` hears how many mails of how many were read.
fn import_here(mailbox: &Mailbox, text: &str, progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>) -> Answer {
    import_told(mailbox, text, progress).0
}

/// The same, and what its refresh did.
fn import_told(
    mailbox: &Mailbox,
    text: &str,
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> (Answer, Report) {
    let folder = Folder::open(&mailbox.path()).expect("open");
    let list = read_list(text.as_bytes(), None, "list".as_ref()).expect("a list");
    let wait = Wait::For(Duration::from_mins(1));
    let mut hear = |p: maildex::ops::build::Progress| progress(p.done, p.total);
    import(&folder, &list, wait, &mut |_| (), &mut hear).expect("it works")
}

fn hundred() -> (Mailbox, String, Vec<(u64, String)>) {
    let mailbox = Mailbox::new().messages(100);
    let bases: Vec<_> = (1..=100).map(|n| format!("{n}.host")).collect();
    let lines: Vec<_> = (1..).step_by(3).zip(bases.iter().map(String::as_str)).collect();
    let listed = (1..).step_by(3).zip(&bases).map(|(uid, base)| (uid, format!("cur/{base}:2,"))).collect();
    (mailbox, list(999, &lines), listed)
}

/// A mail that others rename between the listing and the reading keeps the number that is listed for it.
#[test]
fn mail_that_is_renamed_meanwhile_gets_its_number() {
    let (mailbox, text, mut listed) = hundred();
    let mut renamed = false;
    let answer = import_here(&mailbox, &text, &mut |_, total| {
        // So few are read by this thread, 64 at a time.
        if total == 100 && !std::mem::replace(&mut renamed, true) {
            mailbox.rename("cur/90.host:2,", "cur/90.host:2,S");
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(answer, Answer::Adopted(_)) && renamed);
    listed[89].1 = "cur/90.host:2,S".into();
    assert_eq!(mailbox.listed(), listed);
    mailbox.run(["list", "268"]).ok().stdout_has("mail 90");
    mailbox.assert_sound();
}

/// Lets a thread end, also where the test fails.
struct Stop<'b>(&'b AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Beside programs that rename and deliver without a pause every listed mail gets its number.
#[test]
fn an_import_beside_others_at_work() {
    let (mut reread, mut rounds) = (0, 0);
    for _ in 0..if long() { 100 } else { 3 } {
        let (mailbox, text, listed) = hundred();
        let busy = AtomicBool::new(true);
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in (0..).take_while(|_| busy.load(Ordering::Relaxed)) {
                    let (base, odd) = (n % 100 + 1, n / 100 % 2 == 1);
                    let names = [format!("cur/{base}.host:2,"), format!("cur/{base}.host:2,S")];
                    mailbox.rename(&names[usize::from(odd)], &names[usize::from(!odd)]);
                    if n % 10 == 0 && n < 500 {
                        mailbox.deliver(format!("new/{n}.delivered"), mail("new"));
                    }
                }
            });
            let stop = Stop(&busy);
            let (answer, report) = import_told(&mailbox, &text, &mut |_, _| ControlFlow::Continue(()));
            drop(stop);
            reread += report.healed;
            let Answer::Adopted(adopted) = answer else { panic!("{answer:?}") };
            assert_eq!((adopted.adopted, adopted.gone), (100, 0));
        });
        mailbox.run(["build"]).ok();
        let base = |path: &str| path.split(['/', ':']).nth(1).expect("a base name").to_string();
        let numbers = |list: Vec<(u64, String)>| -> Vec<_> {
            list.into_iter().map(|(uid, path)| (uid, base(&path))).filter(|(_, base)| base.ends_with("host")).collect()
        };
        assert_eq!(numbers(mailbox.listed()), numbers(listed));
        assert_eq!(mailbox.run(["count"]).ok().text().trim(), mailbox.mails().len().to_string());
        mailbox.assert_sound();
        rounds += 1;
    }
    Tally::Operations.add(rounds);
    figures(&format!("import beside others: {rounds} rounds of 100 mails, no number lost; {reread} read only later"));
}

/// Called off it has changed nothing, beside an index or without one.
#[test]
fn an_import_that_is_called_off_leaves_nothing() {
    let (mailbox, text, listed) = hundred();
    let stop = &mut |done, _: usize| if done == 70 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let none = files(&mailbox);
    assert_eq!(import_here(&mailbox, &text, stop), Answer::CalledOff);
    assert!(files(&mailbox) == none, "{:?}", mailbox.own_files().keys());
    let first: String = text.split_inclusive('\n').take(11).collect();
    let first = first.replace("messages 100", "messages 10").replace("uidnext 999", "uidnext 29");
    let take_away = |from: &str, to: &str| {
        (11..=100).for_each(|n| mailbox.rename(format!("{from}/{n}.host:2,"), format!("{to}/{n}.host:2,")));
    };
    take_away("cur", "tmp");
    let go_on = &mut |_, _: usize| ControlFlow::Continue(());
    import_here(&mailbox, &first, go_on);
    take_away("tmp", "cur");
    let ten = files(&mailbox);
    let stop = &mut |done, _: usize| if done == 70 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    assert_eq!(import_here(&mailbox, &text, stop), Answer::CalledOff);
    assert!(files(&mailbox) == ten, "{:?}", mailbox.own_files().keys());
    assert!(matches!(import_here(&mailbox, &text, go_on), Answer::Adopted(_)));
    assert_eq!(mailbox.listed(), listed);
    mailbox.assert_sound();
}

#[test]
fn a_list_may_be_a_pipe_that_breaks_off() -> io::Result<()> {
    let mailbox = Mailbox::new().messages(1);
    let script = "head -c 60 \"$1\" | \"$2\" uids import \"$3\" /dev/stdin";
    let list = put(&mailbox, "list", list(9, &[(4, "1.host"), (5, "2.host")]));
    let mut sh = Command::new("sh");
    let run = mailbox.finish(sh.args(["-c", script, "sh", &list]).arg(maildex()).arg(mailbox.path()));
    run.fails_with(3).stderr_has("/dev/stdin: line");
    assert!(mailbox.own_files().is_empty());
    fs::remove_file(list)
}
