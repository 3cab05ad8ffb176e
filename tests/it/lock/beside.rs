//! Work beside a long build, with figures. The long version has 100,000 mails.

use std::fs;
use std::time::Instant;

use maildex::sample;

use super::{Running, is_held, run_sh, until, wanted};
use crate::mailbox::{Mailbox, figures, long, mail};

fn mails() -> u32 {
    if long() { 100_000 } else { 4_000 }
}

/// A folder with one message in its index, and much new mail.
fn much_to_do() -> Mailbox {
    let mailbox = Mailbox::in_memory().message("cur/1.host:2,", mail("mail 1"));
    mailbox.run(["build"]).ok();
    sample::write(&mailbox.path(), 0..mails()).expect("write mail");
    mailbox
}

#[test]
fn a_flag_is_set_while_a_build_goes_on() {
    let mailbox = much_to_do();
    let mut build = Running::start(&mut mailbox.command(["build", "--json"]));
    until("it has the lock, or has ended", || is_held(&mailbox) || build.child.try_wait().unwrap().is_some());
    let begun = Instant::now();
    let run = mailbox.run(["flag", "+S", "1"]).ok();
    let took = begun.elapsed().as_millis();
    let goes_on = build.child.try_wait().unwrap().is_none();
    assert!(run.text().ends_with("cur/1.host:2,S\n"), "{run}");
    let line = build.line();
    assert!(build.end().success(), "{line} {}", build.rest());
    let report: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&report["added"], &report["messages"]), (&mails().into(), &(mails() + 1).into()));
    assert!(mailbox.file("cur/1.host:2,S").exists());
    mailbox.run(["build"]).ok();
    mailbox.assert_sound();
    figures(&format!("a flag beside a build of {} mails: set after {took} ms, the build goes on: {goes_on}", mails()));
}

#[test]
fn two_builds_share_the_work() {
    let (one, two) = (much_to_do(), much_to_do());
    let begun = Instant::now();
    one.run(["build"]).ok();
    one.run(["build"]).ok();
    let in_turn = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut builds: Vec<_> = (0..2).map(|_| Running::start(&mut two.command(["build"]))).collect();
    for build in &mut builds {
        assert!(build.end().success(), "{}", build.rest());
    }
    let at_once = begun.elapsed().as_secs_f64();
    let uids: Vec<_> = two.listed().into_iter().map(|(uid, _)| uid).collect();
    assert_eq!(uids, (1..=u64::from(mails()) + 1).collect::<Vec<_>>());
    two.assert_sound();
    figures(&format!(
        "two builds of {} mails: {in_turn:.2} s one after the other, {at_once:.2} s at once: {:.2} times",
        mails(),
        at_once / in_turn
    ));
}

#[test]
fn a_nested_flag_takes_no_time() {
    let mailbox = Mailbox::new().messages(30);
    mailbox.run(["build"]).ok();
    let mut times = Vec::new();
    for n in 1..=20 {
        let begun = Instant::now();
        mailbox.finish(&mut run_sh(&mailbox, &[], &format!("exec $maildex flag $F +S {n}"))).ok();
        times.push(begun.elapsed().as_micros());
    }
    times.sort_unstable();
    figures(&format!("lock run and a flag under it: {} us in the middle, {} us at most", times[10], times[19]));
    mailbox.run(["count", "unseen"]).ok().stdout("10\n");
    mailbox.assert_sound();
}

#[test]
fn a_nested_build_lets_its_siblings_in() {
    let mailbox = much_to_do();
    let script = "$maildex build $F & while ! test -e $F/maildex.inner; do :; done; $maildex flag $F +S 1; wait";
    mailbox.finish(&mut run_sh(&mailbox, &[], script)).ok();
    assert!(mailbox.file("cur/1.host:2,S").exists());
    mailbox.run(["count"]).ok().stdout(format!("{}\n", mails() + 1));
    mailbox.assert_sound();
}

#[test]
fn a_builder_that_is_asked_over_and_over_comes_to_an_end() {
    let mailbox = much_to_do();
    let mut build = Running::start(&mut mailbox.command(["build", "--full"]));
    let mut asked = 0;
    while build.child.try_wait().unwrap().is_none() {
        mailbox.finish(&mut run_sh(&mailbox, &[], "true")).ok();
        asked += 1;
    }
    assert!(build.end().success(), "{}", build.rest());
    assert!(!wanted(&mailbox) && !is_held(&mailbox));
    mailbox.run(["count"]).ok().stdout(format!("{}\n", mails() + 1));
    figures(&format!("a full build of {} mails beside {asked} others that want the lock ends", mails()));
    fs::write(mailbox.file("new/later.host"), mail("later")).unwrap();
    mailbox.run(["count"]).ok().stdout(format!("{}\n", mails() + 2));
}
