//! procmail and maildrop, which deliver by themselves.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// Mails that each of them delivers.
const COUNT: usize = 20;

fn delivered(program: &str, configuration: impl Fn(&Shared) -> String, arguments: &[&str], version: &str) {
    if !has(&[program], program) {
        return;
    }
    let mut shared = Shared::with(3);
    let home = shared.home();
    let rc = home.join("rc");
    fs::write(&rc, configuration(&shared)).expect("write");
    fs::set_permissions(&rc, fs::Permissions::from_mode(0o600)).expect("chmod");
    let ((), worked) = shared.meanwhile(Work { name: "work", flagged: "1:3" }, |_| {
        for n in 1..=COUNT {
            let file = home.join("input");
            fs::write(&file, mail(&format!("from outside {n}"))).expect("write");
            let input = fs::File::open(file).expect("open");
            let output =
                Command::new(program).args(arguments).arg(&rc).stdin(input).env("HOME", &home).output().expect("run");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
        }
    });
    shared.came((1..=COUNT).map(|n| format!("from.outside.{n}@example.org")));
    shared.letters(1..=3, "F", "");
    shared.is_true(program);
    told(version, &format!("{COUNT} deliveries"), &worked);
}

#[test]
fn procmail_delivers() {
    let inbox = |shared: &Shared| format!("SHELL=/bin/sh\nDEFAULT={0}/\nORGMAIL={0}/\n", shared.mail.path().display());
    let version = if installed("procmail") { version("procmail", "-v") } else { String::new() };
    delivered("procmail", inbox, &["-t"], &version);
}

#[test]
fn maildrop_delivers() {
    let inbox = |shared: &Shared| format!("to \"{}\"\n", shared.mail.path().display());
    let version = if installed("maildrop") { version("maildrop", "-v") } else { String::new() };
    delivered("maildrop", inbox, &[], &version);
}
