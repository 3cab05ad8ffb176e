//! Dovecot: a session of its `imap` on the folder, on pipes, with a configuration of its own.

use std::collections::BTreeMap;

use super::imap::{self, Fetched, Imap};
use super::*;
use crate::dovecot::Dovecot;
use crate::mailbox::maildex;

/// What Dovecot says each UID stands for, so far.
#[derive(Default)]
struct Theirs(BTreeMap<u64, String>);

impl Theirs {
    #[track_caller]
    fn take(&mut self, fetched: &Fetched) {
        for (uid, (id, _)) in fetched {
            let was = self.0.entry(*uid).or_insert_with(|| id.clone());
            assert_eq!(was, id, "UID {uid} to Dovecot");
        }
    }
}

/// What Dovecot has is the truth, too.
#[track_caller]
fn agrees(shared: &Shared, fetched: &Fetched) {
    let theirs: BTreeMap<_, _> = fetched.values().map(|(id, flags)| (id.clone(), imap::letters(flags))).collect();
    assert_eq!(theirs, shared.truth);
    assert_eq!(theirs.len(), fetched.len(), "once each: {fetched:?}");
    for (uid, (id, _)) in fetched {
        assert!(shared.uids.get(id).is_none_or(|was| was == uid), "{id} has UID {uid} to Dovecot");
    }
}

/// What Dovecot has logged: nothing of ours, and nothing that is wrong.
#[track_caller]
fn is_content(log: &str) {
    assert!(log.contains("Logged out"), "a log is kept: {log:?}");
    let is_bad =
        |line: &&str| ["Error:", "Warning:", "Fatal:", "Panic:", "maildex."].iter().any(|bad| line.contains(bad));
    let bad: Vec<_> = log.lines().filter(is_bad).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn dovecot_serves_a_session() {
    let mailbox = Mailbox::new().messages(14);
    let Some(dovecot) = Dovecot::new(&mailbox, "an IMAP session beside maildex") else { return };
    let Some(mut command) = dovecot.imap() else { return };
    let version = format!("Dovecot {}", version("dovecot", "--version"));
    let mut imap = Imap::begin(&mut command);
    imap.ask("SELECT INBOX");
    let mut theirs = Theirs::default();
    theirs.take(&imap.fetch());
    // From here on both count for themselves.
    let list = mailbox.file("dovecot-uidlist");
    mailbox.run(["uids", "import", list.to_str().expect("UTF-8")]).ok();
    let mut shared = Shared::of(mailbox);
    let uid = |n: usize| shared.uids[&id(n)];
    let set = |mails: &[usize]| mails.iter().map(|&n| uid(n).to_string()).collect::<Vec<_>>().join(",");
    let both = set(&[1, 2, 3, 4, 5, 6]);
    let commands = [
        format!("UID STORE {} +FLAGS (\\Seen)", set(&[1, 2, 3, 4, 5, 6])),
        format!("UID STORE {} +FLAGS (\\Answered \\Draft)", set(&[2, 3])),
        format!("UID STORE {} -FLAGS (\\Seen)", set(&[4, 5])),
        format!("UID STORE {} FLAGS (\\Seen \\Flagged)", set(&[7])),
        format!("UID STORE {} +FLAGS.SILENT (\\Deleted)", set(&[8, 9])),
        format!("UID EXPUNGE {}", set(&[8])),
        "EXPUNGE".to_string(),
        "CREATE Other".to_string(),
        format!("UID COPY {} Other", set(&[10, 11])),
        format!("UID MOVE {} Other", set(&[12])),
        format!("UID STORE {} -FLAGS (\\Draft)", set(&[3])),
        format!("APPEND INBOX (\\Seen) {{{}+}}\r\n{}", mail("appended").len(), mail("appended")),
    ];
    let flagged: &'static str = both.leak();
    let ((), worked) = shared.meanwhile(Work { name: "work", flagged }, |_| {
        for command in commands {
            imap.ask(&command);
            theirs.take(&imap.fetch());
        }
    });
    shared.letters(1..=6, "FS", "");
    shared.letters([2, 3], "DR", "");
    shared.letters([4, 5], "", "S");
    shared.letters([3], "", "D");
    shared.letters([7], "FS", "");
    shared.gone([8, 9, 12]);
    shared.truth.insert("appended@example.org".into(), "S".into());
    shared.is_true("a session");
    let fetched = imap.fetch();
    theirs.take(&fetched);
    agrees(&shared, &fetched);

    // In IDLE it tells what maildex does.
    let of = |n: usize| shared.uids[&id(n)].to_string();
    imap.idle(
        || drop(shared.mail.run(["flag", "+R", &of(1)]).ok()),
        |line| line.contains(" FETCH ") && line.contains("\\Answered"),
    );
    imap.idle(|| drop(shared.mail.run(["expunge", &of(13)]).ok()), |line| line.ends_with(" EXPUNGE"));
    imap.idle(|| work::deliver(&shared.mail, "idle 1"), |line| line.ends_with(" EXISTS"));
    shared.letters([1], "R", "");
    shared.gone([13]);
    shared.came(["idle.1@example.org".into()]);
    shared.is_true("IDLE");
    // The other way round: a folder of Dovecot's, from which maildex moves.
    let other = shared.mail.file(".Other");
    let ours = |verb: &str| {
        let mut command = Command::new(maildex());
        command.arg(verb).arg(&other);
        command
    };
    shared.mail.finish(&mut ours("build")).ok();
    let run = shared.mail.finish(ours("list").args(["--json", "header", "message-id", "mail.12@"])).ok();
    let moved = run.json()[0]["uid"].to_string();
    shared.mail.finish(ours("move").arg(shared.mail.path()).arg(moved)).ok();
    shared.mail.finish(&mut ours("check")).ok();
    // It comes back as another mail, to both.
    shared.came([id(12)]);
    shared.uids.remove(&id(12));
    shared.is_true("a move from Dovecot's folder");
    let fetched = imap.fetch();
    theirs.take(&fetched);
    agrees(&shared, &fetched);
    imap.ask("SELECT Other");
    let copies = imap.fetch();
    let ids: Vec<_> = copies.values().map(|(id, _)| id.clone()).collect();
    assert_eq!(ids, [id(10), id(11)]);
    is_content(&imap.end());
    told(&version, "SELECT, UID FETCH, STORE, EXPUNGE, COPY, MOVE, APPEND, IDLE", &worked);
}
