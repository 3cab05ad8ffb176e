//! A builder that is asked to let go: it does so after a batch, lets the other one work, and goes on with the rest.

use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use maildex::folder::Folder;
use maildex::lock::{Holder, Wait, holder, is_wanted};
use maildex::refresh::{Options, Progress, Report, refresh};

use crate::mailbox::{Mailbox, figures, mail};

const FOREVER: Wait = Wait::Forever;

/// Longer than a batch is.
const BATCH: Duration = Duration::from_millis(250);

/// Refreshes in this process; after `asks_at` mails of the first turn somebody else wants the lock, and does `meanwhile`
/// while it has it, with its id. Also says how many mails each turn had to read.
fn asked(mailbox: &Mailbox, options: Options, asks_at: usize, meanwhile: impl Fn(&str) + Sync) -> (Report, Vec<usize>) {
    let folder = Folder::open(&mailbox.path()).unwrap();
    let mut totals = Vec::new();
    let report = thread::scope(|scope| {
        let mut others = Vec::new();
        let mut progress = |progress: Progress| {
            if progress.total == 0 {
                return ControlFlow::Continue(());
            }
            if progress.done == 1 {
                totals.push(progress.total);
            }
            if progress.done == asks_at && others.is_empty() {
                let meanwhile = &meanwhile;
                others.push(scope.spawn(move || {
                    let other = Folder::open(&mailbox.path()).unwrap();
                    let lock = other.lock("a test", FOREVER, &mut |_| ()).unwrap();
                    let Holder::Somebody(Some(owner)) = holder(other.dir()).unwrap() else { panic!("it is ours") };
                    assert_eq!(owner.reason, "a test");
                    meanwhile(&owner.id);
                    lock.release().unwrap();
                }));
                let begun = Instant::now();
                while begun.elapsed() < BATCH || !is_wanted(folder.dir()).unwrap() {
                    thread::yield_now();
                }
            }
            ControlFlow::Continue(())
        };
        refresh(&folder, options, FOREVER, &mut |_| (), &mut progress).expect("a refresh")
    });
    (report, totals)
}

fn is_whole(mailbox: &Mailbox, mails: usize) {
    let uids: Vec<_> = mailbox.listed().into_iter().map(|(uid, _)| uid).collect();
    assert_eq!(uids, (1..=mails as u64).collect::<Vec<_>>(), "each mail once, and no UID was used up for nothing");
    mailbox.assert_sound();
}

#[test]
fn a_first_build_gives_way_and_goes_on_with_the_rest() {
    let mailbox = Mailbox::new().messages(300);
    let partial = |_: &str| {
        // Whoever has the lock now sees what was published, but is told that it is not all.
        mailbox.run(["list"]).fails_with(75).stdout("").stderr_has("the first build of the index has not finished");
    };
    let (report, totals) = asked(&mailbox, Options::default(), 50, partial);
    assert_eq!((report.added, report.total, report.created, report.interrupted), (300, 300, true, false));
    assert_eq!(totals, [300, 249], "what was read is not read again");
    is_whole(&mailbox, 300);
}

#[test]
fn nothing_is_remembered_from_before_another_had_the_lock() {
    let mailbox = Mailbox::new().messages(300);
    mailbox.run(["build"]).ok();
    for n in 301..=500 {
        mailbox.deliver(format!("new/{n}.host"), mail(&format!("mail {n}")));
    }
    // The other one takes up the rest, and makes a new generation of it.
    let meanwhile = |id: &str| {
        mailbox.remove("maildex.offsets");
        mailbox.remove("new/500.host");
        mailbox.finish(mailbox.command(["build"]).env("MAILDEX_LOCK", id)).ok();
    };
    let (report, totals) = asked(&mailbox, Options::default(), 20, meanwhile);
    assert!(totals[0] == 200 && report.total == 499, "{totals:?} {report:?}");
    mailbox.run(["build"]).ok();
    let uids: Vec<_> = mailbox.listed().into_iter().map(|(uid, _)| uid).collect();
    assert!(uids.len() == 499 && uids.is_sorted_by(|a, b| a < b), "{uids:?}");
    mailbox.assert_sound();
}

#[test]
fn a_full_build_does_not_begin_anew_each_time_it_is_asked() {
    let mailbox = Mailbox::new().messages(300);
    mailbox.run(["build"]).ok();
    mailbox.rename("cur/7.host:2,", "cur/7.host:2,S");
    let meanwhile = |_: &str| mailbox.rename("cur/8.host:2,", "cur/8.host:2,F");
    let options = Options { full: true, heal: true, ..Options::default() };
    let (report, totals) = asked(&mailbox, options, 50, meanwhile);
    assert_eq!(totals, [300, 249], "what was compared is not compared again");
    assert_eq!((report.total, report.added), (300, 0));
    is_whole(&mailbox, 300);
    let names: Vec<_> = mailbox.listed().into_iter().map(|(_, name)| name).collect();
    assert!(names.contains(&"cur/7.host:2,S".into()) && names.contains(&"cur/8.host:2,F".into()));
}

#[test]
fn a_reader_that_refreshes_gives_way_too() {
    let mailbox = Mailbox::new().messages(10);
    mailbox.run(["build"]).ok();
    let folder = Folder::open(&mailbox.path()).unwrap();
    let lock = folder.lock("a test", FOREVER, &mut |_| ()).unwrap();
    mailbox.deliver("new/11.host", mail("mail 11"));
    // It asks nobody, for it does not wait.
    mailbox.run(["count"]).ok().stdout("10\n").stderr_has("shown as of the last refresh");
    assert!(!mailbox.file("maildex.ask").exists());
    lock.release().unwrap();
    mailbox.run(["count"]).ok().silent().stdout("11\n");
}

#[test]
fn two_builds_at_once_take_turns_and_index_each_mail_once() {
    let mailbox = Mailbox::in_memory().messages(3000);
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| drop(mailbox.run(["build", "--json"]).ok()));
        }
    });
    figures(&format!("two builds of 3000 mails at once: {} ms", begun.elapsed().as_millis()));
    is_whole(&mailbox, 3000);
}
