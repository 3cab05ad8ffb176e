//! mbsync between a Maildir and Dovecot's, with maildex at work in both.

use std::fs;

use super::*;
use crate::dovecot::Dovecot;

/// The command that is a server, for a line of mbsync's configuration.
fn tunnel(command: &Command, home: &std::path::Path) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().expect("UTF-8")).collect();
    format!("cd {0} && HOME={0} USER=nobody exec {1}", home.display(), words.join(" "))
}

#[test]
fn mbsync_carries_mail_and_flags_both_ways() {
    if !has(&["mbsync"], "isync") {
        return;
    }
    let far = Mailbox::new().messages(8);
    let Some(dovecot) = Dovecot::new(&far, "mbsync with Dovecot beside maildex") else { return };
    let Some(command) = dovecot.imap() else { return };
    let near = (9..=12)
        .fold(Mailbox::new(), |mail, n| mail.message(format!("cur/{n}.host:2,"), self::mail(&format!("mail {n}"))));
    let home = near.path().parent().expect("it has one").to_path_buf();
    let config = format!(
        "IMAPAccount far\nTunnel \"{}\"\n\nIMAPStore far\nAccount far\n\n\
         MaildirStore near\nPath {1}/\nInbox {1}/inbox\n\n\
         Channel inbox\nFar :far:\nNear :near:\nCreate Both\nExpunge Both\nSync All\nSyncState *\n",
        tunnel(&command, far.path().parent().expect("it has one")),
        home.display()
    );
    let rc = home.join("mbsyncrc");
    fs::write(&rc, config).expect("write");
    let sync = || {
        let mut command = Command::new("mbsync");
        command.arg("-c").arg(&rc).arg("inbox").env("HOME", &home);
        command
    };
    let (mut near, mut far) = (Shared::of(near), Shared::of(far));
    run(&mut sync());
    near.came((1..9).map(id));
    far.came((9..13).map(id));
    near.is_true("the first sync");
    far.is_true("the first sync");
    let near_uid = |n: usize| near.uids[&id(n)];
    // mbsync has given the mail of this side its names.
    let names: Vec<_> = near.mail.mails().into_iter().map(|name| name.to_string_lossy().into_owned()).collect();
    assert!(names.iter().all(|name| name.contains(",U=")), "{names:?}");

    let mut runs = 0;
    let flagged: &'static str = format!("{}:{}", near_uid(9), near_uid(10)).leak();
    let (((), there), here) = near.meanwhile(Work { name: "near", flagged }, |_| {
        far.meanwhile(Work { name: "far", flagged: "1:2" }, |far| {
            far.run(["flag", "+S", "1:3"]).ok();
            far.run(["flag", "+T", "8"]).ok();
            for _ in 0..5 {
                // A mail that is moved away under its eyes may be told; it is met again in the next run.
                let output = ended(&mut sync());
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(!said.contains("maildex."), "{said}");
                runs += 1;
            }
        })
    });
    // Who was flagged there, and who is to be removed.
    for side in [&mut near, &mut far] {
        side.letters(1..=3, "S", "");
        side.letters([1, 2, 9, 10], "F", "");
        side.gone([8]);
    }
    let (of_near, of_far) = (here.mails.clone(), there.mails.clone());
    near.truth.extend(of_far);
    far.truth.extend(of_near);
    for _ in 0..3 {
        run(&mut sync());
    }
    near.is_true("mbsync");
    far.is_true("mbsync");
    // Nothing is left to be done.
    let before = (near.mail.mails(), far.mail.mails());
    run(&mut sync());
    assert_eq!((near.mail.mails(), far.mail.mails()), before);
    near.is_true("mbsync with nothing to do");
    let version = format!("{}, with Dovecot {}", version("mbsync", "--version"), version("dovecot", "--version"));
    told(&version, &format!("Sync All, Expunge Both, {runs} runs meanwhile"), &here);
}
