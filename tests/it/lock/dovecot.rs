//! Beside Dovecot itself, where it is installed.

use std::thread;
use std::time::Duration;

use super::{Running, run_sh};
use crate::dovecot::Dovecot;
use crate::mailbox::{Mailbox, mail};

#[test]
fn dovecot_stands_off_while_its_lock_is_held() {
    let mailbox = Mailbox::new().message("new/1.host", mail("first"));
    let Some(dovecot) = Dovecot::new(&mailbox, "Dovecot beside lock run --with-dovecot") else { return };
    let fetch = || dovecot.doveadm(&["fetch", "hdr.subject", "mailbox", "INBOX", "all"]);
    mailbox.finish(&mut fetch()).ok().stdout_has("first");
    mailbox.deliver("new/2.host", mail("second"));
    let mut holder = Running::ready(&mut run_sh(&mailbox, &["--with-dovecot"], "echo ready; cat"));
    let mut waiting = Running::start(&mut fetch());
    // It would have needed a tenth of that. On a machine that is too slow for it nothing is proved, and nothing fails.
    thread::sleep(Duration::from_secs(1));
    assert!(waiting.child.try_wait().expect("wait").is_none(), "Dovecot did not wait: {}", waiting.rest());
    assert!(holder.end().success());
    let text = waiting.rest();
    assert!(waiting.end().success() && text.contains("first") && text.contains("second"), "{text}");
    assert!(!mailbox.file("dovecot-uidlist.lock").exists());
}
