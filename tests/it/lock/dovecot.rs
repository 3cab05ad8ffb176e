//! Beside Dovecot itself, where it is installed.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::{Running, run_sh};
use crate::mailbox::{Mailbox, installed, mail, skipped};

/// Dovecot wants nothing to do with root's mail.
const NOBODY: u32 = 65534;

fn give_away(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).expect("chown");
    for entry in fs::read_dir(path).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() { give_away(&path) } else { chown(path, Some(NOBODY), Some(NOBODY)).expect("chown") }
    }
}

#[test]
fn dovecot_stands_off_while_its_lock_is_held() {
    if !installed("doveadm") {
        return skipped("Dovecot beside lock run --with-dovecot", "install dovecot-core");
    }
    let is_root = rustix::process::geteuid().is_root();
    let mailbox = Mailbox::new().message("new/1.host", mail("first"));
    let home = mailbox.path().parent().expect("a directory").to_path_buf();
    let folder = mailbox.path().display().to_string();
    let conf = home.join("dovecot.conf");
    fs::create_dir(home.join("run")).expect("mkdir");
    let text = format!(
        "base_dir = {0}/run\nstate_dir = {0}/run\nlog_path = {0}/log\nmail_location = maildir:{folder}\n\
         first_valid_uid = 1\nssl = no\n",
        home.display()
    );
    fs::write(&conf, text).expect("write");
    let fetch = || {
        if is_root {
            give_away(&home);
        }
        let mut command = Command::new(if is_root { "setpriv" } else { "doveadm" });
        if is_root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "doveadm"]);
        }
        command.arg("-c").arg(&conf).args(["fetch", "hdr.subject", "mailbox", "INBOX", "all"]);
        command.current_dir(&home).env("HOME", &home).env("USER", "nobody");
        command
    };
    mailbox.finish(&mut fetch()).ok().stdout_has("first");
    mailbox.deliver("new/2.host", mail("second"));
    let mut holder = Running::ready(&mut run_sh(&mailbox, &["--with-dovecot"], "echo ready; cat"));
    let mut dovecot = Running::start(&mut fetch());
    // It would have needed a tenth of that. On a machine that is too slow for it nothing is proved, and nothing fails.
    thread::sleep(Duration::from_secs(1));
    assert!(dovecot.child.try_wait().expect("wait").is_none(), "Dovecot did not wait: {}", dovecot.rest());
    assert!(holder.end().success());
    let text = dovecot.rest();
    assert!(dovecot.end().success() && text.contains("first") && text.contains("second"), "{text}");
    assert!(!mailbox.file("dovecot-uidlist.lock").exists());
}
