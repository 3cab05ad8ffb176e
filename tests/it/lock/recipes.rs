//! The recipes of maildex-cookbook(7) that are about the lock.

use std::fs;

use super::Running;
use crate::cookbook::{Home, command, recipe};
use crate::mailbox::{Mailbox, mail};

#[test]
fn a_cron_job_backs_the_index_up() {
    let home = Home::new(Mailbox::new().messages(3));
    fs::create_dir(home.home.join("backup")).unwrap();
    let command = command("Back up the index");
    assert!(!command.contains(['\n', '%']), "one line, and in a crontab % is a newline");
    home.run(&command).ok().silent();
    home.mailbox.remove("maildex.offsets");
    home.mailbox.remove("maildex.index.1");
    for name in ["maildex.offsets", "maildex.index.1"] {
        fs::copy(home.home.join("backup").join(name), home.mailbox.file(name)).unwrap();
    }
    home.mailbox.run(["count"]).ok().stdout("3\n");
    home.mailbox.assert_sound();
}

#[test]
fn one_worker_is_at_work() {
    let home = Home::new(Mailbox::new().messages(3));
    home.program("worker", "echo ready; cat");
    let command = command("Exactly one worker");
    let mut first = Running::ready(&mut home.command(&command));
    home.run(&command).ok().silent().stdout("");
    first.close_stdin();
    assert!(first.end().success());
    home.run(&command).ok().silent().stdout("ready\n");
}

#[test]
fn a_script_has_the_lock_until_it_ends() {
    let home = Home::new(Mailbox::new().messages(3));
    let script = command("A script that has the folder to itself");
    home.run(&script).ok().silent();
    home.mailbox.run(["count", "unseen"]).ok().stdout("0\n");
    assert!(!home.mailbox.file("maildex.lock").exists());
    // While it runs nobody else gets the lock.
    let script = format!("{script}\necho ready; read line");
    let mut running = Running::start(&mut home.command(&script));
    while running.line() != "ready" {
        assert!(running.child.try_wait().unwrap().is_none(), "{}", running.rest());
    }
    home.mailbox.run(["build", "--wait", "0"]).fails_with(75).stderr_has("by its guard");
    assert!(running.child.try_wait().unwrap().is_none());
    running.end();
    home.mailbox.run(["build", "--wait", "0"]).ok();
    home.mailbox.assert_sound();
}

#[test]
fn two_scripts_take_turns() {
    let home = Home::new(Mailbox::new().messages(6));
    home.mailbox.run(["build"]).ok();
    let pieces = recipe("Two scripts taking turns");
    let [long, short] = &pieces[..] else { panic!("{pieces:?}") };
    // The first one waits after its first piece of work until the second one asks.
    assert!(long.contains("    if maildex lock wanted"), "{long}");
    let once =
        "    test \"$uid\" = 1 && until maildex lock wanted ~/Maildir; do sleep 0.01; done\n    if maildex lock wanted";
    let long = long.replace("    if maildex lock wanted", once);
    let mut first = Running::start(&mut home.command(&long));
    assert!(first.line().starts_with("1\t"));
    let run = home.run(short).ok();
    assert!(run.text().ends_with("/cur/1.host:2,FS\n"), "{run}");
    home.mailbox.assert_sound();
    let rest = first.rest();
    assert!(first.end().success(), "{rest}");
    home.mailbox.run(["count", "unseen"]).ok().stdout("0\n");
    home.mailbox.run(["count", "flagged"]).ok().stdout("1\n");
    assert!(!home.mailbox.file("maildex.lock").exists());
    home.mailbox.assert_sound();
}

#[test]
fn old_mail_is_compressed_beside_dovecot() {
    let mails = ["cur/1.host,S=9:2,S", "cur/2.host,S=9:2,S", "cur/3.host,S=9:2,", "cur/4.host:2,S"];
    let home = Home::new(mails.iter().fold(Mailbox::new(), |mailbox, name| mailbox.message(name, mail(name))));
    for name in &mails {
        let past = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * 40);
        let file = fs::File::options().write(true).open(home.mailbox.file(name)).unwrap();
        file.set_times(fs::FileTimes::new().set_modified(past)).unwrap();
    }
    home.mailbox.remove("cur/2.host,S=9:2,S");
    home.mailbox.deliver("cur/2.host,S=9:2,S", mail("young"));
    let pieces = recipe("Compress by cron beside Dovecot");
    let [command, script] = &pieces[..] else { panic!("{pieces:?}") };
    let script = format!("cat ~/Maildir/dovecot-uidlist.lock\n{script}");
    fs::write(home.home.join("bin/compress-mail"), script).unwrap();
    let run = home.run(command).ok();
    let host = rustix::system::uname().nodename().to_str().unwrap().to_string();
    assert!(run.text().ends_with(&format!(":{host}")), "Dovecot stands off meanwhile: {run}");
    let after = ["cur/1.host,S=9:2,SZ", "cur/2.host,S=9:2,S", "cur/3.host,S=9:2,", "cur/4.host:2,S"];
    home.mailbox.assert_files(after);
    let unpacked = home.run("gzip -dc < 'Maildir/cur/1.host,S=9:2,SZ'").ok().text();
    assert_eq!(unpacked, mail(mails[0]));
    assert!(
        home.mailbox.file("cur/1.host,S=9:2,SZ").metadata().unwrap().modified().unwrap().elapsed().unwrap().as_secs()
            > 86400
    );
    for name in ["maildex.lock", "dovecot-uidlist.lock"] {
        assert!(!home.mailbox.file(name).exists(), "{name}");
    }
}
