//! `maildex build`: mail that is gone all at once, believed or not.

use std::fs;

use crate::mailbox::{Mailbox, mail};

/// So many mails that the guard judges.
const MANY: usize = 30;

fn indexed() -> Mailbox {
    let mail = Mailbox::new().messages(MANY);
    mail.run(["build"]).ok();
    mail
}

/// The same names and UIDs as [`indexed`] gives.
#[track_caller]
fn assert_all_as_before(mail: &Mailbox) {
    let expected: Vec<_> = (1..=MANY as u64).map(|n| (n, format!("cur/{n}.host:2,"))).collect();
    assert_eq!(mail.listed(), expected);
}

fn take_cur_away(mail: &Mailbox) {
    fs::rename(mail.file("cur"), mail.file("cur.away")).expect("move cur/ away");
}

fn put_cur_back(mail: &Mailbox) {
    let _ = fs::remove_dir(mail.file("cur"));
    fs::rename(mail.file("cur.away"), mail.file("cur")).expect("put cur/ back");
}

#[test]
fn another_empty_directory_burns_no_uid() {
    let mail = indexed();
    take_cur_away(&mail);
    fs::create_dir(mail.file("cur")).expect("make cur/");
    for _ in 0..2 {
        let report =
            &mail.run(["build", "--json"]).fails_with(4).stderr_has("30 of 30 messages are gone at once").json()[0];
        assert_eq!(
            (&report["held_back"], &report["removed"], &report["messages"]),
            (&30.into(), &0.into(), &30.into())
        );
    }
    put_cur_back(&mail);
    assert_all_as_before(&mail);
    mail.assert_sound();
}

#[test]
fn the_hint_of_the_guard_is_a_command_that_works() {
    let mail = indexed();
    take_cur_away(&mail);
    fs::create_dir(mail.file("cur")).expect("make cur/");
    let hint = format!("maildex build {} --accept-removals", mail.path().display());
    mail.run(["build"])
        .fails_with(4)
        .stderr_has(&format!("maildex: {}: 30 of 30", mail.path().display()))
        .stderr_has(&hint);
    mail.assert_sound();
}

#[test]
fn a_missing_directory_burns_no_uid() {
    for few in [3, MANY] {
        let mail = Mailbox::new().messages(few);
        mail.run(["build"]).ok();
        take_cur_away(&mail);
        mail.run(["build"]).fails_with(4).stderr_has("gone at once");
        mail.run(["count", "--no-refresh"]).ok().stdout(format!("{few}\n"));
        put_cur_back(&mail);
        mail.run(["build"]).ok().silent();
        mail.run(["list", "--uids", "--limit", "1"]).ok().stdout("1\n");
        mail.run(["count"]).ok().stdout(format!("{few}\n"));
        mail.assert_sound();
    }
}

#[test]
fn both_directories_missing_burn_no_uid() {
    let mail = indexed();
    take_cur_away(&mail);
    fs::remove_dir(mail.file("new")).expect("remove new/");
    mail.run(["build"]).fails_with(4).stderr_has("gone at once");
    fs::create_dir(mail.file("new")).expect("make new/");
    put_cur_back(&mail);
    assert_all_as_before(&mail);
    mail.assert_sound();
}

#[test]
fn what_came_meanwhile_is_taken_up_though_removals_are_held_back() {
    let mail = indexed();
    take_cur_away(&mail);
    fs::create_dir(mail.file("cur")).expect("make cur/");
    mail.deliver("new/77.host", self::mail("meanwhile"));
    mail.run(["build"]).fails_with(4);
    mail.run(["list", "--uids", "new"]).fails_with(4).stdout("31\n");
    fs::remove_dir(mail.file("cur")).expect("remove cur/");
    fs::rename(mail.file("cur.away"), mail.file("cur")).expect("put cur/ back");
    mail.run(["build"]).ok().silent();
    mail.run(["count"]).ok().stdout("31\n");
    mail.assert_sound();
}

#[test]
fn removals_that_are_accepted_are_believed_for_good() {
    let mail = indexed();
    take_cur_away(&mail);
    fs::create_dir(mail.file("cur")).expect("make cur/");
    mail.run(["build"]).fails_with(4);
    assert_eq!(mail.run(["build", "--accept-removals", "--json"]).ok().silent().json()[0]["removed"], 30);
    mail.run(["build"]).ok().silent();
    mail.run(["count"]).ok().silent().stdout("0\n");
    put_cur_back(&mail);
    mail.run(["list", "--uids", "--limit", "1"]).ok().stdout("31\n");
    mail.assert_sound();
}

#[test]
fn an_emptied_folder_is_believed_without_asking() {
    let mail = indexed();
    for n in 1..=MANY {
        mail.remove(format!("cur/{n}.host:2,"));
    }
    assert_eq!(mail.run(["build", "--json"]).ok().silent().json()[0]["removed"], 30);
    mail.run(["count"]).ok().stdout("0\n");
    mail.assert_sound();
}

#[test]
fn less_than_half_gone_with_another_directory_is_believed() {
    let mail = indexed();
    take_cur_away(&mail);
    fs::create_dir(mail.file("cur")).expect("make cur/");
    for n in 1..=20 {
        fs::rename(mail.file(format!("cur.away/{n}.host:2,")), mail.file(format!("cur/{n}.host:2,")))
            .expect("move back");
    }
    assert_eq!(mail.run(["build", "--json"]).ok().silent().json()[0]["removed"], 10);
    mail.run(["list", "--uids", "--last", "1"]).ok().stdout("20\n");
    mail.assert_sound();
}

#[test]
fn mail_removed_long_ago_does_not_come_back_with_a_lost_offsets_file() {
    // Of most inboxes more mail is gone than there; an index file alone does not tell which.
    let mail = indexed();
    for n in 1..=25 {
        mail.remove(format!("cur/{n}.host:2,"));
    }
    mail.run(["build"]).ok();
    mail.remove("maildex.offsets");
    mail.run(["build"]).ok();
    mail.run(["list", "--uids"]).ok().silent().stdout("26\n27\n28\n29\n30\n");
    mail.assert_sound();
}

#[test]
fn a_lost_offsets_file_and_an_unmounted_directory_burn_no_uid() {
    let mail = indexed();
    take_cur_away(&mail);
    fs::create_dir(mail.file("cur")).expect("make cur/");
    mail.remove("maildex.offsets");
    mail.run(["build"]).fails_with(4).stderr_has("30 of 30");
    put_cur_back(&mail);
    assert_all_as_before(&mail);
    mail.assert_sound();
}

#[test]
fn a_lost_index_file_and_an_unmounted_directory_burn_no_uid() {
    let mail = indexed();
    take_cur_away(&mail);
    fs::create_dir(mail.file("cur")).expect("make cur/");
    mail.remove("maildex.index.1");
    mail.run(["build"]).fails_with(3).stderr_has("30 of 30");
    put_cur_back(&mail);
    mail.run(["build"]).ok();
    assert_all_as_before(&mail);
    mail.assert_sound();
}

#[test]
fn of_few_messages_all_may_be_gone_at_once() {
    let mail = Mailbox::new().messages(20);
    mail.run(["build"]).ok();
    take_cur_away(&mail);
    fs::create_dir(mail.file("cur")).expect("make cur/");
    assert_eq!(mail.run(["build", "--json"]).ok().silent().json()[0]["removed"], 20);
    mail.assert_sound();
}
