//! `maildex replace`: other contents are another mail.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use crate::mailbox::{Mailbox, Run, mail};
use crate::oracle;

/// Runs `replace` with contents on standard input.
fn replace(mailbox: &Mailbox, arguments: &[&str], contents: impl AsRef<[u8]>) -> Run {
    let path = mailbox.path().with_file_name("input");
    fs::write(&path, contents).expect("write the contents");
    let input = fs::File::open(&path).expect("open the contents");
    mailbox.finish(mailbox.command([&["replace"], arguments].concat()).stdin(input))
}

fn subjects(mailbox: &Mailbox) -> Vec<(u64, String, String)> {
    let run = mailbox.run(["list", "--json"]).ok().silent();
    let text = |record: &serde_json::Value, key: &str| record[key].as_str().expect(key).to_string();
    let uid = |record: &serde_json::Value| record["uid"].as_u64().expect("a UID");
    run.json().iter().map(|record| (uid(record), text(record, "subject"), text(record, "flags"))).collect()
}

#[test]
fn the_new_mail_has_a_name_and_a_uid_of_its_own_and_the_old_flags() {
    let mailbox = Mailbox::new().messages(1).message("cur/2.host,S=5;2,FSab,x", mail("old")).messages(1);
    let old = mailbox.file("cur/2.host,S=5;2,FSab,x");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).expect("chmod");
    let received = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    fs::File::options().write(true).open(&old).and_then(|file| file.set_modified(received)).expect("set the mtime");
    mailbox.run(["build"]).ok();
    let run = replace(&mailbox, &["2"], mail("new")).ok().silent();
    let (uid, path) =
        run.text().trim().split_once('\t').map(|(uid, path)| (uid.to_string(), path.to_string())).unwrap();
    assert_eq!(uid, "3");
    assert!(path.ends_with(";2,FSab,x") && !path.contains("2.host"), "{path}");
    assert_eq!(fs::read_to_string(&path).expect("read the new mail"), mail("new"));
    let meta = fs::metadata(&path).expect("stat");
    assert_eq!((meta.modified().unwrap(), meta.mode() & 0o777), (received, 0o640));
    assert!(!old.exists());
    let all = [(1, "mail 1".into(), String::new()), (3, "new".into(), "FSab".into())];
    assert_eq!(subjects(&mailbox), all);
    assert_eq!(fs::read_dir(mailbox.file("tmp")).unwrap().count(), 0, "nothing is left in tmp");
    mailbox.run(["build", "--json"]).ok().stdout_has("\"added\":0,\"removed\":0");
    mailbox.assert_sound();
}

#[test]
fn mail_in_new_stays_there_and_may_be_named_in_any_way() {
    let mailbox = Mailbox::new().message("new/1.host", mail("old"));
    mailbox.run(["build"]).ok();
    mailbox.deliver("new/2.host", mail("not indexed yet"));
    let path = mailbox.file("new/2.host").display().to_string();
    replace(&mailbox, &[&path, "--json"], mail("two")).ok().stdout_has("\"dir\":\"new\"");
    replace(&mailbox, &["1.host:2,S"], mail("one")).ok();
    let all = [(3, "two".into(), String::new()), (4, "one".into(), String::new())];
    assert_eq!(subjects(&mailbox), all);
    mailbox.assert_sound();
}

#[test]
fn what_others_did_to_the_flags_meanwhile_stays() {
    let mailbox = Mailbox::new().messages(1);
    mailbox.run(["build"]).ok();
    mailbox.rename("cur/1.host:2,", "cur/1.host:2,RT");
    replace(&mailbox, &["1"], mail("new")).ok();
    assert_eq!(subjects(&mailbox), [(2, "new".into(), "RT".into())]);
    mailbox.assert_sound();
}

/// It was said not to be there, although `flag` finds it.
#[test]
fn mail_that_a_sync_program_has_renamed_is_found() {
    let mailbox = Mailbox::new().messages(2);
    mailbox.run(["build"]).ok();
    mailbox.rename("cur/1.host:2,", "cur/1.host,U=7:2,F");
    replace(&mailbox, &["1"], mail("new")).ok().silent();
    assert_eq!(subjects(&mailbox), [(2, "mail 2".into(), String::new()), (3, "new".into(), "F".into())]);
    mailbox.remove("cur/2.host:2,");
    replace(&mailbox, &["2"], mail("new")).fails_with(4).stderr_has("no message with UID 2");
    assert_eq!(subjects(&mailbox).len(), 1);
    assert_eq!(fs::read_dir(mailbox.file("tmp")).unwrap().count(), 0, "nothing is left in tmp");
    mailbox.assert_sound();
}

#[test]
fn others_hear_of_a_removal_and_of_an_addition_that_takes_its_place() {
    let mailbox = Mailbox::new().messages(2);
    mailbox.run(["build"]).ok();
    let token = mailbox.run(["changes", "--since", "0", "--json"]).ok().json().last().unwrap()["token"].clone();
    let run = replace(&mailbox, &["2", "--json"], mail("new")).ok();
    assert_eq!((run.json()[0]["was_uid"].as_u64(), run.json()[0]["event"].as_str()), (Some(2), Some("added")), "{run}");
    let run = mailbox.run(["changes", "--json", "--since", token.as_str().unwrap()]).ok();
    let events: Vec<_> = run.json().iter().filter(|event| event["event"] != "token").cloned().collect();
    let view = |event: &serde_json::Value| {
        (event["event"].as_str().unwrap().to_string(), event["uid"].as_u64().unwrap(), event["was_uid"].as_u64())
    };
    let expected = [("added".to_string(), 3, Some(2)), ("removed".to_string(), 2, None)];
    assert_eq!(events.iter().map(view).collect::<Vec<_>>(), expected, "{run}");
    mailbox.assert_sound();
}

#[test]
fn bad_input_changes_nothing() {
    let mailbox = Mailbox::new().messages(3);
    replace(&mailbox, &["1"], mail("new")).fails_with(3).stderr_has("maildex build");
    mailbox.run(["build"]).ok();
    let before = oracle::untouchable(&mailbox);
    replace(&mailbox, &["1"], "").fails_with(2).stdout("").stderr_has("did the command before the pipe fail?");
    replace(&mailbox, &["1:2"], mail("new")).fails_with(2).stderr_has("found 2 messages, expected one");
    replace(&mailbox, &["7:9"], mail("new")).fails_with(2).stderr_has("found 0 messages");
    replace(&mailbox, &["9"], mail("new")).fails_with(4).stderr_has("no message with UID 9");
    replace(&mailbox, &["nobody"], mail("new")).fails_with(4).stderr_has("base name nobody");
    replace(&mailbox, &["/etc/passwd"], mail("new")).fails_with(2).stderr_has("expected a mail in");
    replace(&mailbox, &[], mail("new")).fails_with(2).stderr_has("MSG");
    assert!(oracle::untouchable(&mailbox) == before);
    fs::remove_dir(mailbox.file("tmp")).expect("remove tmp");
    replace(&mailbox, &["1"], mail("new")).fails_with(3).stderr_has("/tmp: cannot open");
    mailbox.run(["list", "--uids"]).ok().stdout("1\n2\n3\n");
}
