//! First meetings, and what a replica can be told to do.

use std::fs;
use std::process::Command;

use super::replica::{Replica, hub};
use crate::mailbox::{Mailbox, mail, maildex};

fn with_mails(host: &str, count: usize, folder: &str) -> Replica {
    let mailbox = Mailbox::in_memory();
    for n in 1..=count {
        mailbox.deliver(format!("cur/{}.{host}:2,{folder}", 1_700_000_000 + n), mail(&format!("mail {n}")));
    }
    Replica::of(mailbox)
}

#[test]
fn mail_of_one_name_is_one_mail() {
    let (mut a, mut b) = (with_mails("host", 30, "S"), with_mails("host", 30, "R"));
    // An older index, and other numbers.
    let list = a.mailbox.path().with_file_name("list");
    fs::write(&list, "maildex-uids 1\tuidvalidity 5\tuidnext 100\tmessages 0\n").expect("write");
    a.mailbox.run(["uids", "import", list.to_str().expect("UTF-8")]).ok();
    let hub = hub();
    for replica in [&a, &b] {
        replica.mailbox.run(["sync", "add-peer", "hub", hub.path().to_str().expect("UTF-8")]).ok();
    }
    a.sync();
    b.sync();
    let uids: Vec<_> = b.mailbox.listed().into_iter().map(|(uid, _)| uid).collect();
    assert_eq!(uids, (1..=30).collect::<Vec<_>>(), "the larger UIDVALIDITY counts, with its numbers");
    a.mailbox.run(["sync", "run"]).ok().stderr_has("UIDVALIDITY was 5 and is ");
    assert_eq!(a.files("").len(), 30);
    assert!(a.files("").iter().all(|(_, flags)| flags == "RS"), "{:?}", a.files(""));
    let (a, b) = (a.look(""), b.look(""));
    assert_eq!(a, b);
}

/// A folder that was made a moment ago, and never had a number to give, had the larger UIDVALIDITY: everybody's mail programs
/// fetched all mail anew when it joined.
#[test]
fn a_folder_that_never_gave_out_a_number_takes_those_of_the_other() {
    let mut a = with_mails("host", 3, "S");
    a.mailbox.run(["build"]).ok();
    let mut b = Replica::of(Mailbox::in_memory());
    let list = b.mailbox.path().with_file_name("list");
    fs::write(&list, "maildex-uids 1\tuidvalidity 4000000000\tuidnext 1\tmessages 0\n").expect("write");
    b.mailbox.run(["uids", "import", list.to_str().expect("UTF-8")]).ok();
    let validity = |a: &Replica| a.mailbox.run(["show", "1", "--json"]).ok().json()[0]["uidvalidity"].clone();
    let before = validity(&a);
    b.meets(Some(&a));
    a.meets(Some(&b));
    b.sync();
    a.mailbox.run(["sync", "run"]).ok();
    b.sync();
    assert_eq!(validity(&a), before);
    assert_eq!(a.look(""), b.look(""));
}

#[test]
fn much_mail_that_is_equal_but_for_its_name_is_asked_about() {
    for (what, count) in [("keep", 60), ("join", 30)] {
        let (a, b) = (with_mails("a", 30, ""), with_mails("b", 30, "S"));
        a.meets(Some(&b));
        b.meets(Some(&a));
        a.sync();
        b.mailbox.run(["sync", "run"]).fails_with(3).stderr_has("30 mails").stderr_has("--same-content join");
        assert_eq!((a.files("").len(), b.files("").len()), (30, 30), "nothing was done");
        b.mailbox.run(["sync", "run", "--same-content", what]).ok();
        a.mailbox.run(["sync", "run", "--same-content", what]).ok();
        b.sync();
        a.sync();
        for replica in [&a, &b] {
            assert_eq!(replica.files("").len(), count, "{what}: {:?}", replica.files(""));
            replica.mailbox.run(["check"]).ok();
        }
        if what == "join" {
            assert!(a.files("").iter().all(|(_, flags)| flags == "S"), "{:?}", a.files(""));
        }
    }
}

#[test]
fn a_backup_takes_everything_and_tells_nothing() {
    let (a, backup) = (Replica::new(), Replica::new());
    a.meets(Some(&backup));
    backup.meets(Some(&a));
    a.mailbox.deliver("new/1.host", mail("one"));
    a.sync();
    backup.mailbox.run(["sync", "run", "--pull-only"]).ok();
    assert_eq!(backup.files(""), a.files(""));
    fs::remove_file(backup.file("", "1.host")).expect("lost");
    backup.mailbox.run(["sync", "run", "--pull-only"]).ok();
    let refs = Command::new("git").arg("-C").arg(a.repository()).args(["for-each-ref", "refs/maildex/"]).output();
    let refs = String::from_utf8(refs.expect("git").stdout).expect("UTF-8");
    assert!(!refs.lines().any(|line| line.contains("peer/")), "{refs}");
}

#[test]
fn without_uids_each_has_its_own() {
    let (replicas, _hub) = Replica::with_hub(2);
    let run = |replica: &Replica| replica.mailbox.run(["sync", "run", "--no-uids"]).ok();
    replicas[0].mailbox.deliver("new/1.a", mail("one"));
    replicas[1].mailbox.deliver("new/2.b", mail("two"));
    for at in [0, 1, 0, 1] {
        run(&replicas[at]).silent();
    }
    assert_eq!(replicas[0].files(""), replicas[1].files(""));
    assert_eq!(replicas[0].mailbox.listed()[0], (1, "new/1.a".into()));
    assert_eq!(replicas[1].mailbox.listed()[0], (1, "new/2.b".into()));
}

#[test]
fn what_is_not_set_up_is_told() {
    let mail = Mailbox::in_memory().messages(1);
    mail.run(["sync", "run"]).fails_with(3).stderr_has("not synchronised").stderr_has("maildex sync init");
    let inside = mail.file("repository");
    let inside = inside.to_str().expect("UTF-8");
    mail.run(["sync", "init", "--repo", inside]).fails_with(3).stderr_has("in the mail root");
    mail.run(["sync", "init", "--name", "one"]).ok();
    mail.run(["sync", "init"]).ok();
    mail.run(["sync", "init", "--repo", "/elsewhere"]).fails_with(3).stderr_has("has a repository already");
    for url in ["-x", "ext::sh -c true", "--upload-pack=touch"] {
        mail.run(["sync", "add-peer", "--", "hub", url]).fails_with(2);
    }
    mail.run(["sync", "add-peer", "a b", "/x"]).fails_with(3).stderr_has("letters, digits");
    mail.run(["sync", "add-peer", "away", "/nowhere/at/all"]).ok();
    mail.run(["sync", "run"]).fails_with(4).stderr_has("/nowhere/at/all");
    mail.run(["sync", "status"]).ok().stdout_has("peer\taway is behind").stdout_has("messages\t1\n");
    let mut command = mail.command(["sync", "run"]);
    mail.finish(command.env("PATH", "/nowhere")).fails_with(3).stderr_has("found no program git");
    mail.assert_sound();
}

#[test]
fn the_environment_of_git_is_not_ours() {
    let (replicas, _hub) = Replica::with_hub(2);
    replicas[0].mailbox.deliver("new/1.a", mail("one"));
    for replica in &replicas {
        let mut command = replica.mailbox.command(["sync", "run"]);
        for (name, value) in [
            ("GIT_DIR", "/nowhere"),
            ("GIT_WORK_TREE", "/nowhere"),
            ("GIT_CONFIG_GLOBAL", "/nowhere"),
            ("LC_ALL", "de_DE"),
        ] {
            command.env(name, value);
        }
        replica.mailbox.finish(&mut command).ok();
    }
    assert_eq!(replicas[1].files("").len(), 1);
}

#[test]
fn an_outcome_can_be_read_by_scripts() {
    let (replicas, _hub) = Replica::with_hub(2);
    replicas[0].mailbox.deliver("new/1.a", mail("one"));
    let sent = replicas[0].mailbox.run(["sync", "run", "--json"]).ok().json().remove(0);
    assert_eq!((&sent["sent"]["added"], &sent["pushed"][0]), (&1.into(), &"hub".into()), "{sent}");
    let received = replicas[1].mailbox.run(["sync", "run", "--json"]).ok().json().remove(0);
    assert_eq!(received["received"]["added"], 1, "{received}");
    let status = replicas[1].mailbox.run(["sync", "status", "--json"]).ok().json().remove(0);
    assert_eq!((&status["messages"], &status["peers"][0]["has_all"]), (&1.into(), &true.into()), "{status}");
    let mut help = Command::new(maildex());
    replicas[0].mailbox.finish(help.args(["sync", "--help"])).ok().stdout_has("through git");
}
