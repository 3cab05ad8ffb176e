//! `maildex changes`: what happened since a token, nothing missed, and nothing twice.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use maildex::folder::Folder;
use maildex::lock::Wait;

use crate::mailbox::{Mailbox, Run, figures, mail, maildex};
use crate::tally::Tally;

/// Everything up to now.
fn token(mail: &Mailbox) -> String {
    mail.run(["changes"]).ok().silent().text().trim().to_string()
}

/// Event, UID, the UID before, and the path in the folder.
type Told = (String, u64, Option<u64>, String);

/// What is told since, and the token after that.
#[track_caller]
fn since(mail: &Mailbox, token: &str) -> (Vec<Told>, String) {
    let run = mail.run(["changes", "--since", token, "--json"]).ok().silent();
    let mut records = run.json();
    let last = records.pop().expect("a token at least");
    assert_eq!(last["event"], "token", "{run}");
    let prefix = format!("{}/", mail.path().display());
    let events = records.iter().map(|record| {
        let path = record["path"].as_str().map_or("", |path| path.strip_prefix(&prefix).expect("in the folder"));
        let event = record["event"].as_str().expect("an event").to_string();
        (event, record["uid"].as_u64().expect("a UID"), record["was_uid"].as_u64(), path.to_string())
    });
    (events.collect(), last["token"].as_str().expect("a token").to_string())
}

/// The same with what is expected.
#[track_caller]
fn assert_since(mail: &Mailbox, token: &str, expected: &[(&str, u64, Option<u64>, &str)]) -> String {
    let (events, next) = since(mail, token);
    let events: Vec<_> = events.iter().map(|(event, uid, was, path)| (&**event, *uid, *was, &**path)).collect();
    assert_eq!(events, expected);
    next
}

#[test]
fn each_thing_that_happened_is_told_once() {
    let mail = Mailbox::new().messages(4).message("new/5.host", mail("mail 5"));
    mail.run(["build"]).ok();
    let token = token(&mail);
    assert_since(&mail, &token, &[]);
    mail.rename("cur/1.host:2,", "cur/1.host:2,FS");
    mail.remove("cur/2.host:2,");
    mail.rename("new/5.host", "cur/5.host:2,S");
    mail.deliver("new/6.host", self::mail("mail 6"));
    let next = assert_since(
        &mail,
        &token,
        &[
            ("flags", 1, None, "cur/1.host:2,FS"),
            ("moved", 5, None, "cur/5.host:2,S"),
            ("added", 6, None, "new/6.host"),
            ("removed", 2, None, ""),
        ],
    );
    assert_since(&mail, &next, &[]);
    mail.assert_sound();
}

#[test]
fn columns_are_as_documented() {
    let mail = Mailbox::new().messages(2);
    let old = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    old.run(["build"]).ok();
    let token = token(&mail);
    mail.rename("cur/1.host:2,", "cur/1.host:2,S");
    mail.run(["build"]).ok();
    mail.deliver("new/a\tb.host", self::mail("tab"));
    mail.remove("cur/2.host:2,");
    let run = mail.run(["changes", "--since", &token]).ok().silent();
    let text = run.text();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let path = |name: &str| format!("{}/{name}", mail.path().display());
    let without_token: Vec<_> = rows.iter().map(|row| row[..6].to_vec()).collect();
    assert_eq!(
        without_token,
        [
            vec!["flags", "1", "-", "cur", "S", &path("cur/1.host:2,S")],
            vec!["added", "3", "-", "new", "-", &path("new/a\\tb.host")],
            vec!["removed", "2", "-", "-", "-", "-"],
            vec!["token", "-", "-", "-", "-", "-"],
        ],
        "{run}"
    );
    assert!(rows.iter().all(|row| row.len() == 7 && row[6].starts_with(&token[..33])), "{run}");
    mail.assert_sound();
}

#[test]
fn keys_are_those_of_a_listing_and_more() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    let events = mail.run(["changes", "--since", "0", "--json"]).ok().json();
    let listed = mail.run(["list", "--json"]).ok().json();
    for (event, listed) in events.iter().zip(&listed) {
        let mut event = event.as_object().expect("an object").clone();
        let extra: Vec<_> = ["event", "was_uid", "token"].map(|key| event.remove(key).expect(key)).into();
        assert_eq!((&extra[0], &extra[1]), (&"added".into(), &serde_json::Value::Null));
        assert_eq!(serde_json::Value::Object(event), *listed);
    }
    assert_eq!(events.len(), listed.len() + 1);
    let token = events[2]["token"].as_str().expect("a token");
    mail.remove("cur/1.host:2,");
    let gone = &mail.run(["changes", "--since", token, "--json"]).ok().json()[0];
    for key in ["path", "dir", "flags", "keywords"] {
        assert!(gone[key].is_null(), "nobody knows any more: {gone}");
    }
    assert_eq!((&gone["base"], &gone["subject"]), (&"1.host".into(), &"mail 1".into()));
}

#[test]
fn what_comes_between_a_listing_and_the_first_question_is_not_missed() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    let token = token(&mail);
    mail.deliver("new/3.host", self::mail("before the listing"));
    mail.run(["list"]).ok();
    mail.deliver("new/4.host", self::mail("after it"));
    assert_since(&mail, &token, &[("added", 3, None, "new/3.host"), ("added", 4, None, "new/4.host")]);
}

#[test]
fn the_token_of_each_event_goes_on_behind_it() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    mail.rename("cur/2.host:2,", "cur/2.host:2,S");
    mail.run(["build"]).ok();
    for n in 4..7 {
        mail.deliver(format!("new/{n}.host"), self::mail("x"));
    }
    mail.remove("cur/3.host:2,");
    mail.run(["build"]).ok();
    let all = mail.run(["changes", "--since", "0", "--json"]).ok().json();
    let uids = |records: &[serde_json::Value]| records.iter().map(|record| record["uid"].clone()).collect::<Vec<_>>();
    assert_eq!(uids(&all[..5]), [1, 2, 4, 5, 6]);
    for (at, event) in all.iter().enumerate() {
        let token = event["token"].as_str().expect("a token");
        let rest = mail.run(["changes", "--since", token, "--json"]).ok().json();
        // UID 2 was told with its flags, and may be told again; 3 died and was never told.
        let rest: Vec<_> = rest.into_iter().filter(|event| event["event"] == "added").collect();
        assert_eq!(uids(&rest), uids(&all[(at + 1).min(5)..5]), "after {event}");
    }
    mail.assert_sound();
}

#[test]
fn what_came_and_went_is_not_told() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    let token = token(&mail);
    mail.deliver("new/2.host", self::mail("short-lived"));
    mail.run(["build"]).ok();
    mail.remove("new/2.host");
    let next = assert_since(&mail, &token, &[]);
    assert_since(&mail, &next, &[]);
}

#[test]
fn flags_that_changed_to_and_fro_are_told_as_they_are() {
    let mail = Mailbox::new().message("new/1.host", mail("x"));
    mail.run(["build"]).ok();
    let token = token(&mail);
    for (from, to) in [("new/1.host", "cur/1.host:2,"), ("cur/1.host:2,", "cur/1.host:2,S")] {
        mail.rename(from, to);
        mail.run(["build"]).ok();
    }
    assert_since(&mail, &token, &[("flags", 1, None, "cur/1.host:2,S")]);
}

#[test]
fn mail_that_got_another_uid_says_which_one_it_had() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    let token = token(&mail);
    mail.deliver("cur/1.host:2,", self::mail("other contents under its name"));
    mail.rename("cur/2.host:2,", "cur/another.name:2,");
    mail.run(["build"]).ok();
    let middle = assert_since(
        &mail,
        &token,
        &[
            ("added", 4, Some(2), "cur/another.name:2,"),
            ("added", 5, Some(1), "cur/1.host:2,"),
            ("removed", 1, None, ""),
            ("removed", 2, None, ""),
        ],
    );
    // Once more: who knows of UID 1 hears nothing of UID 5.
    mail.deliver("cur/1.host:2,", self::mail("and others again"));
    assert_since(&mail, &middle, &[("added", 6, Some(5), "cur/1.host:2,"), ("removed", 5, None, "")]);
    let (events, _) = since(&mail, &token);
    let one = events.iter().find(|event| event.1 == 6).expect("UID 6");
    assert_eq!(one.2, Some(1));
    // Gone and back later is no mail that lived on.
    fs::rename(mail.file("cur/3.host:2,"), mail.file("tmp/away")).expect("move away");
    mail.run(["build"]).ok();
    mail.rename("tmp/away", "cur/3.host:2,");
    let (events, _) = since(&mail, &token);
    assert_eq!(events.iter().find(|event| event.1 == 7).expect("UID 7").2, None);
    mail.assert_sound();
}

#[test]
fn a_new_mail_on_the_inode_of_a_removed_one_was_never_another() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    let token = token(&mail);
    mail.remove("cur/1.host:2,");
    fs::write(mail.file("cur/2.host:2,"), self::mail("mail 2")).expect("write a mail");
    let (events, _) = since(&mail, &token);
    assert!(events.iter().all(|event| event.2.is_none()), "{events:?}");
}

#[test]
fn a_mail_renamed_by_a_sync_program_is_no_new_mail() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    let token = token(&mail);
    mail.rename("cur/1.host:2,", "cur/1.host,U=7:2,S");
    let next = assert_since(&mail, &token, &[("moved", 1, None, "cur/1.host,U=7:2,S")]);
    mail.rename("cur/1.host,U=7:2,S", "cur/1.host,U=7:2,FS");
    assert_since(&mail, &next, &[("flags", 1, None, "cur/1.host,U=7:2,FS")]);
    mail.assert_sound();
}

#[test]
fn a_mail_that_can_be_read_at_last_is_added_once_more() {
    let mail = Mailbox::new().message("new/1.host", "");
    mail.run(["build"]).ok();
    let token = token(&mail);
    let mut file = File::options().append(true).open(mail.file("new/1.host")).expect("open");
    file.write_all(self::mail("at last").as_bytes()).expect("write");
    assert_since(&mail, &token, &[("added", 1, None, "new/1.host")]);
}

#[test]
fn a_state_file_remembers_what_was_told() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    let state = mail.path().with_file_name("state");
    let told = |mail: &Mailbox| {
        let run = mail.run(["changes", "--state", state.to_str().expect("UTF-8")]).ok().silent();
        run.text().lines().map(|line| line.split('\t').take(2).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(told(&mail), ["added 1", "added 2"], "who has no token knows nothing");
    assert!(told(&mail).is_empty());
    mail.deliver("new/3.host", self::mail("mail 3"));
    assert_eq!(told(&mail), ["added 3"]);
    assert_eq!(fs::read_to_string(&state).expect("the state").trim(), token(&mail));
    let left: Vec<_> = fs::read_dir(state.parent().expect("a directory")).expect("list").flatten().collect();
    assert_eq!(left.len(), 2, "inbox and state, and nothing temporary: {left:?}");
    for text in ["", "nonsense", "\u{0}"] {
        fs::write(&state, text).expect("spoil it");
        mail.run(["changes", "--state", state.to_str().expect("UTF-8")]).fails_with(5).stdout("").stderr_has("state");
        assert_eq!(fs::read_to_string(&state).expect("the state"), text, "it stays as it is");
    }
}

#[test]
fn a_token_is_kept_only_when_everything_was_handed_on() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    let state = mail.path().with_file_name("state");
    let state_text = state.to_str().expect("UTF-8");
    let mut full = mail.command(["changes", "--state", state_text]);
    full.stdout(File::options().write(true).open("/dev/full").expect("/dev/full"));
    mail.finish(&mut full).fails_with(3);
    // A reader that has closed the pipe has not read.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    mail.finish(mail.command(["changes", "--state", state_text]).stdout(writer)).ok();
    assert!(!state.exists());
    // Where it cannot be kept nothing is told.
    mail.run(["changes", "--state", "/proc/none/state"]).fails_with(3).stdout("").stderr_has("/proc/none/state");
    assert_eq!(mail.run(["changes", "--state", state_text]).ok().text().lines().count(), 2);
}

#[test]
fn a_state_file_may_be_a_link_and_stays_one() {
    let mail = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    let (real, link) = (mail.path().with_file_name("real"), mail.path().with_file_name("link"));
    fs::write(&real, "0\n").expect("write");
    std::os::unix::fs::symlink(&real, &link).expect("link");
    mail.run(["changes", "--state", link.to_str().expect("UTF-8")]).ok();
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(&real).expect("the state").trim(), token(&mail));
}

/// Asks for what changed since, and gets "list again".
#[track_caller]
fn refused(mail: &Mailbox, token: &str, why: &str) -> Run {
    mail.run(["changes", "--since", token]).fails_with(5).stdout("").stderr_has(why).stderr_has("hint: ")
}

#[test]
fn a_token_that_says_nothing_here_is_exit_5() {
    let mail = Mailbox::new().messages(1);
    let other = Mailbox::new().messages(1);
    mail.run(["build"]).ok();
    other.run(["build"]).ok();
    refused(&mail, &token(&other), "of another index");
    let own = token(&mail);
    for text in ["", "x", "12", "-1", &own[1..]] {
        mail.run(["changes", &format!("--since={text}")]).fails_with(5).stdout("").stderr_has("it is none");
    }
    let (id, change) = own.split_once('.').expect("two parts");
    let change: u64 = change.parse().expect("a number");
    refused(&mail, &format!("{id}.{}", change + 1), "newer than the index");
    refused(&mail, &format!("{id}.1"), "too old");
    mail.run(["changes", "--since", &own]).ok();
    // An index that was made anew is another one.
    mail.remove("maildex.offsets");
    mail.remove("maildex.index.1");
    mail.run(["build"]).ok();
    refused(&mail, &own, "of another index");
}

#[test]
fn an_index_that_was_made_again_does_not_know_what_changed() {
    let mail = Mailbox::new().messages(2);
    mail.run(["build"]).ok();
    let token = token(&mail);
    mail.remove("maildex.offsets");
    mail.run(["build"]).ok();
    refused(&mail, &token, "too old");
    let now = self::token(&mail);
    assert_since(&mail, &now, &[]);
}

/// Offset of the boot id in the offsets file; see `src/format/header.rs`.
const BOOT_AT: usize = 168;

#[test]
fn after_a_crash_of_the_machine_tokens_are_too_old() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    let token = token(&mail);
    mail.edit("maildex.offsets", |bytes| bytes[BOOT_AT] ^= 1);
    refused(&mail, &token, "too old");
    // From the start one can be interrupted anywhere all the same.
    let all = mail.run(["changes", "--since", "0", "--json"]).ok().json();
    let second = all[1]["token"].as_str().expect("a token");
    assert_since(&mail, second, &[("added", 3, None, "cur/3.host:2,")]);
    mail.assert_sound();
}

#[test]
fn a_killed_writer_costs_no_token() {
    let mut kills = 0;
    for kill_at in 1.. {
        let mail = Mailbox::in_memory().messages(4);
        mail.run(["build"]).ok();
        let token = token(&mail);
        mail.rename("cur/1.host:2,", "cur/1.host:2,S");
        mail.remove("cur/2.host:2,");
        mail.deliver("new/5.host", self::mail("mail 5"));
        let killed = mail.finish(mail.command(["build"]).env("MAILDEX_KILL_AT", kill_at.to_string()));
        let (mut events, _) = since(&mail, &token);
        events.sort();
        // What was burnt by the kill may have cost a UID.
        let added = events.iter().find(|event| event.0 == "added").map_or(0, |event| event.1);
        let expected = [
            ("added".to_string(), added, None, "new/5.host".to_string()),
            ("flags".to_string(), 1, None, "cur/1.host:2,S".to_string()),
            ("removed".to_string(), 2, None, String::new()),
        ];
        assert_eq!(events, expected, "killed before store {kill_at}");
        mail.assert_sound();
        if killed.code() == Some(0) {
            break;
        }
        kills += 1;
    }
    assert!(kills > 20, "{kills} kills");
}

/// The loop of the help and docs/scripts.md, with a `take` that notes the subject of each mail; killed after a while.
fn run_loop(mail: &Mailbox, kill_after: Option<Duration>) -> std::process::ExitStatus {
    let home = mail.path().parent().expect("a home").to_path_buf();
    let script = format!(
        "take() {{ sed -n 's/^Subject: //p' >> \"$HOME/taken\"; }}\n{}",
        include_str!("../../src/cli/changes_loop.sh").replace("$HOME/Maildir", "$HOME/inbox")
    );
    let path = maildex().parent().expect("a directory").display().to_string();
    let path = format!("{path}:{}", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).env("HOME", home).env("PATH", path).stdin(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    let mut shell = shell.spawn().expect("run sh");
    if let Some(after) = kill_after {
        std::thread::sleep(after);
        let group = rustix::process::Pid::from_child(&shell);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    shell.wait().expect("wait for sh")
}

#[test]
fn the_documented_loop_is_in_docs_and_help() {
    let text = include_str!("../../src/cli/changes_loop.sh");
    assert!(include_str!("../../docs/scripts.md").contains(text), "docs/scripts.md has it as it is");
    let help = Mailbox::new().finish(Command::new(maildex()).args(["help", "changes"])).ok().text();
    assert!(help.contains(text), "help has it as it is: {help}");
}

#[test]
fn the_documented_loop_takes_each_mail_once_and_misses_none_when_killed() {
    let mail = Mailbox::new().messages(3);
    let taken = mail.path().with_file_name("taken");
    mail.run(["build"]).ok();
    assert!(run_loop(&mail, None).success());
    assert_eq!(fs::read_to_string(&taken).expect("taken"), "mail 1\nmail 2\nmail 3\n");
    let (mut kills, mut n) = (0, 3);
    for round in 0..24 {
        for _ in 0..3 {
            n += 1;
            mail.deliver(format!("new/{n}.host"), self::mail(&format!("mail {n}")));
        }
        let status = run_loop(&mail, Some(Duration::from_millis(2 * round)));
        kills += usize::from(!status.success());
    }
    assert!(run_loop(&mail, None).success());
    let text = fs::read_to_string(&taken).expect("taken");
    let mut subjects: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("mail ")?.parse::<u32>().ok()).collect();
    let times = subjects.len();
    subjects.sort_unstable();
    subjects.dedup();
    assert_eq!(subjects, (1..=n).collect::<Vec<_>>());
    Tally::CrashPoints.add(kills);
    figures(&format!("the documented loop: {kills} of 24 runs killed, {n} mails taken {times} times in all"));
    assert!(run_loop(&mail, None).success());
    assert_eq!(fs::read_to_string(&taken).expect("taken"), text, "nothing twice while nobody kills it");
    mail.assert_sound();
}

#[test]
fn a_token_from_within_a_change_whose_removals_were_dropped_is_too_old() {
    let mail = Mailbox::new().messages(3);
    mail.run(["build"]).ok();
    let before = token(&mail);
    mail.deliver("new/4.host", self::mail("mail 4"));
    mail.remove("cur/1.host:2,");
    mail.remove("cur/2.host:2,");
    let told = mail.run(["changes", "--since", &before, "--json"]).ok().json();
    let of = |at: usize| told[at]["token"].as_str().expect("a token").to_string();
    assert_eq!((&told[1]["uid"], &told[2]["uid"]), (&1.into(), &2.into()));
    mail.run(["compact"]).ok();
    refused(&mail, &of(1), "too old");
    assert_since(&mail, &of(3), &[]);
    // Who began with nothing goes on from anywhere.
    let all = mail.run(["changes", "--since", "0", "--json"]).ok().json();
    let first = all[0]["token"].as_str().expect("a token");
    assert_since(&mail, first, &[("added", 4, None, "new/4.host")]);
    mail.assert_sound();
}

#[test]
fn without_a_finished_index_there_is_nothing_to_tell() {
    let mail = Mailbox::new().messages(1);
    for arguments in [&["changes"][..], &["changes", "--since", "0"], &["changes", "--state", "/dev/shm/none"]] {
        mail.run(arguments).fails_with(3).stdout("").stderr_has("maildex build");
    }
    assert!(!mail.file("maildex.offsets").exists());
    mail.run(["build"]).ok();
    // Somebody else has the lock: the answer is as of the last refresh, and that is said, unless nobody wants to hear it.
    mail.deliver("new/2.host", self::mail("mail 2"));
    let folder = Folder::open(&mail.path()).expect("open");
    let lock = folder.lock("a test", Wait::For(Duration::ZERO), &mut |_| ()).expect("the lock");
    let run = mail.run(["changes", "--since", "0"]).ok().stderr_has("as of the last refresh");
    assert_eq!(run.text().lines().count(), 2);
    mail.run(["changes", "--since", "0", "--quiet"]).ok().silent();
    drop(lock);
    assert_eq!(mail.run(["changes", "--since", "0"]).ok().silent().text().lines().count(), 3);
    mail.assert_sound();
}

/// What a listener knows of the folder: UID, and path.
type Known = BTreeMap<u64, String>;

/// Takes up what happened since; returns the next token.
fn follow(mail: &Mailbox, known: &mut Known, token: &str) -> String {
    let run = mail.run(["changes", "--since", token, "--json"]).ok();
    let records = run.json();
    for record in &records[..records.len() - 1] {
        let uid = record["uid"].as_u64().expect("a UID");
        match record["event"].as_str().expect("an event") {
            "removed" => drop(known.remove(&uid)), // perhaps of one that came and went while it was looked at
            "added" => {
                let before = known.insert(uid, record["path"].as_str().expect("a path").to_string());
                assert_eq!(before, None, "UID {uid} came twice: {run}");
            }
            _ => {
                let before = known.insert(uid, record["path"].as_str().expect("a path").to_string());
                assert!(before.is_some(), "UID {uid} is news without having come: {run}");
            }
        }
    }
    records[records.len() - 1]["token"].as_str().expect("a token").to_string()
}

#[test]
fn who_follows_beside_writers_misses_nothing_and_hears_nothing_twice() {
    const ROUNDS: usize = 150;
    let mail = Mailbox::in_memory().messages(20);
    mail.run(["build"]).ok();
    let done = AtomicBool::new(false);
    let mut known = Known::new();
    let (mut token, mut questions) = ("0".to_string(), 0);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for n in 21..21 + ROUNDS {
                mail.deliver(format!("new/{n}.host"), self::mail("x"));
                mail.rename(format!("new/{n}.host"), format!("cur/{n}.host:2,"));
                let _ = mail.run(["build"]);
                mail.rename(format!("cur/{n}.host:2,"), format!("cur/{n}.host:2,S"));
                if n % 3 == 0 && n > 21 {
                    mail.remove(format!("cur/{}.host:2,S", n - 1));
                }
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            assert!(!writer.is_finished() || done.load(Ordering::Acquire), "the writer has failed");
            token = follow(&mail, &mut known, &token);
            questions += 1;
        }
    });
    mail.run(["build"]).ok();
    follow(&mail, &mut known, &token);
    let prefix = format!("{}/", mail.path().display());
    let known: Vec<_> = known.iter().map(|(uid, path)| (*uid, path.replacen(&prefix, "", 1))).collect();
    assert_eq!(known, mail.listed());
    Tally::Readers.add(questions);
    figures(&format!("{questions} times asked what changed, beside a writer"));
    mail.assert_sound();
}
