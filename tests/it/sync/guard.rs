//! What is removed: not too much at once, and not at once for good.

use std::fs;

use super::replica::Replica;
use crate::mailbox::mail;

/// Two replicas with 30 mails.
fn thirty() -> (Vec<Replica>, tempfile::TempDir) {
    let (replicas, hub) = Replica::with_hub(2);
    for n in 1..=30 {
        replicas[0].mailbox.deliver(format!("cur/{n}.host:2,S"), mail(&format!("mail {n}")));
    }
    replicas[0].sync();
    replicas[1].sync();
    assert_eq!(replicas[1].files("").len(), 30);
    (replicas, hub)
}

fn remove(replica: &Replica, numbers: std::ops::RangeInclusive<usize>) {
    for n in numbers {
        fs::remove_file(replica.file("", &format!("{n}.host"))).expect("remove");
    }
}

#[test]
fn much_that_is_gone_here_is_not_told() {
    let (replicas, _hub) = thirty();
    remove(&replicas[0], 1..=25);
    for _ in 0..2 {
        replicas[0].mailbox.run(["sync", "run"]).fails_with(4).stderr_has("25 of 30 messages are gone here");
    }
    replicas[1].sync();
    assert_eq!(replicas[1].files("").len(), 30);
    // The rest goes on.
    replicas[0].mailbox.deliver("new/31.host", mail("mail 31"));
    replicas[0].mailbox.run(["sync", "run"]).fails_with(4);
    replicas[1].sync();
    assert_eq!(replicas[1].files("").len(), 31);
    replicas[0].mailbox.run(["sync", "run", "--accept-removals"]).ok();
    replicas[1].mailbox.run(["sync", "run", "--accept-removals"]).ok();
    assert_eq!((replicas[0].files("").len(), replicas[1].files("").len()), (6, 6));
}

#[test]
fn much_that_others_have_removed_is_not_done() {
    let (replicas, _hub) = thirty();
    remove(&replicas[0], 1..=25);
    replicas[0].mailbox.run(["sync", "run", "--accept-removals"]).ok();
    for _ in 0..2 {
        replicas[1].mailbox.run(["sync", "run"]).fails_with(4).stderr_has("25 of 30 messages are gone elsewhere");
        assert_eq!(replicas[1].files("").len(), 30);
    }
    replicas[1].mailbox.run(["sync", "run", "--accept-removals"]).ok();
    assert_eq!(replicas[1].files("").len(), 5);
    replicas[0].sync();
    assert_eq!(replicas[0].files("").len(), 5);
    replicas[1].mailbox.run(["check"]).ok();
}

#[test]
fn a_root_that_is_away_removes_nothing() {
    let (replicas, _hub) = thirty();
    let (root, away) = (replicas[0].mailbox.path(), replicas[0].mailbox.path().with_file_name("away"));
    fs::rename(&root, &away).expect("unmount");
    replicas[0].mailbox.run(["sync", "run"]).fails_with(3);
    fs::create_dir(&root).expect("an empty mount point");
    replicas[0].mailbox.run(["sync", "run"]).fails_with(4).stderr_has("30 of 30 messages are gone here");
    replicas[1].sync();
    assert_eq!(replicas[1].files("").len(), 30);
    assert_eq!(fs::read_dir(&root).expect("list").count(), 0, "nothing is made there");
    fs::remove_dir(&root).expect("the mount point");
    fs::rename(&away, &root).expect("mount");
    for replica in &replicas {
        replica.sync();
        assert_eq!(replica.files("").len(), 30);
    }
}

#[test]
fn little_mail_is_not_gone_either_if_no_folder_is_left() {
    let (replicas, _hub) = Replica::with_hub(2);
    replicas[0].mailbox.deliver("new/1.host", mail("one"));
    replicas[0].sync();
    replicas[1].sync();
    fs::remove_dir_all(replicas[0].mailbox.path()).expect("remove");
    fs::create_dir(replicas[0].mailbox.path()).expect("an empty mount point");
    replicas[0].mailbox.run(["sync", "run"]).fails_with(4).stderr_has("1 of 1 messages are gone here");
    replicas[1].sync();
    assert_eq!(replicas[1].files("").len(), 1);
    replicas[0].mailbox.run(["sync", "run", "--accept-removals"]).ok();
    replicas[1].sync();
    assert_eq!(replicas[1].files("").len(), 0);
}

#[test]
fn mail_that_others_have_removed_can_be_had_back() {
    let (mut replicas, _hub) = thirty();
    remove(&replicas[0], 1..=2);
    replicas[0].sync();
    replicas[1].sync();
    assert_eq!(replicas[1].files("").len(), 28);
    let listed = replicas[1].mailbox.run(["sync", "status", "--trash"]).ok().text();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    replicas[1].mailbox.run(["sync", "undelete", "1.host"]).ok().stdout_has("cur/1.host:2,S");
    let id = listed.lines().find(|line| line.ends_with("2.host:2,S")).expect("it").split('\t').next().expect("an id");
    replicas[1].mailbox.run(["sync", "undelete", id]).ok();
    replicas[1].mailbox.run(["sync", "undelete", "1.host"]).fails_with(4).stderr_has("1.host in the trash");
    for at in [1, 0, 1] {
        replicas[at].sync();
    }
    let shown: Vec<_> = replicas.iter_mut().map(|replica| replica.look("")).collect();
    assert_eq!(shown[0], shown[1]);
    assert_eq!(shown[0].1.len(), 30);
    let text = fs::read_to_string(replicas[0].file("", "1.host")).expect("it came back");
    assert_eq!(text, mail("mail 1"));
}

#[test]
fn mail_whose_name_no_other_machine_could_have_stays() {
    let (replicas, _hub) = Replica::with_hub(2);
    let long = "x".repeat(220);
    replicas[0].mailbox.deliver(format!("new/{long}"), mail("long"));
    replicas[0].mailbox.deliver("new/1.host", mail("one"));
    let told = replicas[0].mailbox.run(["sync", "run"]).ok().errors();
    assert!(told.contains(&long) && told.contains("stays here"), "{told}");
    replicas[1].sync();
    assert_eq!(replicas[1].files("").len(), 1);
    assert_eq!(replicas[0].sync().errors(), "", "told once");
    replicas[0].mailbox.run(["check"]).ok();
}
