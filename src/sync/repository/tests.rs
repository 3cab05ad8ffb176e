//! With real repositories. git is needed to build maildex from its sources, so it is there.

use std::collections::BTreeSet;

use std::time::Duration;

use super::*;
use crate::sync::Remote;
use crate::sync::state::FolderId;
use crate::sync::text;

const A: ReplicaId = ReplicaId(0xa);
const B: ReplicaId = ReplicaId(0xb);
const LIMIT: Duration = Duration::from_mins(1);

/// A directory with a repository in it.
fn repository() -> (tempfile::TempDir, Repository) {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::init(&dir.path().join("deep/below")).unwrap();
    (dir, repository)
}

fn add(repository: &Repository, me: ReplicaId, previous: Option<&Tip>, mails: &[(&str, &str)]) -> Tip {
    let mut state = previous.map(|tip| tip.state.clone()).unwrap_or_default();
    let folder = state.make_folder(me, b"", 17);
    let mut import = repository.import().unwrap();
    for (base, text) in mails {
        let guid = import.mail(base.as_bytes(), &mut text.as_bytes(), text.len() as u64).unwrap().unwrap();
        state.add(me, folder, guid, base.as_bytes());
        assert!(state.give_uid(folder, guid, state.folders[&folder].uid_next));
    }
    import.commit(me, previous, &[], state).unwrap().expect("a change")
}

/// What a tip is, read anew.
fn same(repository: &Repository, tip: &Tip) {
    let read = repository.read(tip.commit).unwrap();
    assert_eq!(read.state, tip.state);
    assert_eq!((read.root, &read.mails, &read.log), (tip.root, &tip.mails, &tip.log));
}

fn git(repository: &Repository, args: &[&str]) -> String {
    String::from_utf8(repository.git.run("git", args, b"").unwrap()).unwrap()
}

fn files(repository: &Repository, tip: &Tip) -> Vec<String> {
    git(repository, &["ls-tree", "-r", "--name-only", &tip.commit.to_string()]).lines().map(String::from).collect()
}

fn texts(repository: &Repository, tip: &Tip) -> Vec<String> {
    let guids: Vec<Guid> = tip.state.mails.keys().copied().collect();
    let mut texts = Vec::new();
    let mut each = |_, contents: &mut dyn Read| {
        let mut text = String::new();
        contents.read_to_string(&mut text).unwrap();
        texts.push(text);
        Ok(())
    };
    repository.mails(&[tip], &guids, &mut each).unwrap();
    texts
}

#[test]
fn a_state_and_its_mail_come_back() {
    let (_dir, repository) = repository();
    assert_eq!(repository.own(A).unwrap(), None);
    let first = add(&repository, A, None, &[("1.a", "Subject: a\n\n"), ("2.b,S=5", "four\0"), ("3.c", "")]);
    assert_eq!(repository.own(A).unwrap(), Some(first.commit));
    same(&repository, &first);
    let mut found = texts(&repository, &first);
    found.sort();
    assert_eq!(found, ["", "Subject: a\n\n", "four\0"]);
    let again = Repository::open(repository.path()).unwrap();
    same(&again, &first);
    assert!(git(&repository, &["fsck", "--strict"]).is_empty());
}

#[test]
fn a_small_change_is_some_lines_in_the_log() {
    let (_dir, repository) = repository();
    let first = add(&repository, A, None, &[("1.a", "a"), ("2.b", "b"), ("3.c", "c")]);
    let guid = *first.state.mails.keys().next().unwrap();
    let mut state = first.state.clone();
    assert_eq!(state.set_flags(A, guid, b"S"), 1);
    let second = repository.import().unwrap().commit(A, Some(&first), &[], state.clone()).unwrap().unwrap();
    same(&repository, &second);
    assert_eq!(second.log.last, format!("flag\t{guid}\tS1\n").as_bytes());
    let changed =
        git(&repository, &["diff-tree", "-r", "--name-only", &first.commit.to_string(), &second.commit.to_string()]);
    assert_eq!(changed, format!("log/{A}/00000000\nvv\n"));
    // The same again is no commit.
    assert!(repository.import().unwrap().commit(A, Some(&second), &[], state.clone()).unwrap().is_none());
    assert_eq!(repository.own(A).unwrap(), Some(second.commit));
    // Everything that can happen, each in a commit of its own.
    let (root, sent) = (FolderId::of(b""), FolderId::of(b".Sent \xff\t"));
    let mut tip = second;
    let step = |tip: &mut Tip, what: &dyn Fn(&mut State)| {
        let mut state = tip.state.clone();
        what(&mut state);
        *tip = repository.import().unwrap().commit(A, Some(tip), &[], state).unwrap().expect("a change");
        same(&repository, tip);
    };
    step(&mut tip, &|state| assert_eq!(state.make_folder(A, b".Sent \xff\t", 5), sent));
    step(&mut tip, &|state| assert_eq!(state.move_(A, &BTreeSet::from([guid]), root, sent), 1));
    step(&mut tip, &|state| assert!(state.give_uid(sent, guid, 9)));
    step(&mut tip, &|state| assert!(state.keep(A, sent, guid)));
    step(&mut tip, &|state| state.raise_uid_next(sent, 40));
    step(&mut tip, &|state| assert_eq!(state.remove(A, sent, &BTreeSet::from([guid])), 1));
    step(&mut tip, &|state| assert!(state.remove_folder(A, root)));
    step(&mut tip, &|state| assert_eq!(state.make_folder(A, b"", 18), root));
    assert_eq!(tip.log.files, 1);
    assert!(tip.state.mails.is_empty());
    assert_eq!(files(&repository, &tip).iter().filter(|file| file.starts_with("m/")).count(), 0);
}

#[test]
fn a_full_log_becomes_a_snapshot() {
    let (_dir, repository) = repository();
    let mails: Vec<(String, String)> = (0..300).map(|n| (format!("{n}.a"), format!("mail {n}"))).collect();
    let mails: Vec<(&str, &str)> = mails.iter().map(|(base, text)| (base.as_str(), text.as_str())).collect();
    let mut tip = add(&repository, A, None, &mails);
    let guids: Vec<Guid> = tip.state.mails.keys().copied().collect();
    let (mut most_files, mut snapshots) = (0, 0);
    for round in 0..12u8 {
        let mut state = tip.state.clone();
        for guid in guids.iter().take(200) {
            state.set_flags(A, *guid, if round % 2 == 0 { b"RS" } else { b"" });
        }
        let next = repository.import().unwrap().commit(A, Some(&tip), &[], state).unwrap().unwrap();
        same(&repository, &next);
        snapshots += usize::from(next.log.files < tip.log.files);
        most_files = most_files.max(next.log.files);
        assert!(next.log.len <= crate::sync::log::LOG_MAX);
        tip = next;
    }
    assert!(snapshots >= 1 && most_files >= 4, "{snapshots} snapshots, {most_files} files");
    // A new one, of another replica that goes on from here.
    let theirs = repository.import().unwrap().commit(B, None, &[&tip], tip.state.clone()).unwrap().unwrap();
    same(&repository, &theirs);
    assert_eq!((theirs.log.files, theirs.root), (0, tip.root));
    assert!(!files(&repository, &theirs).iter().any(|file| file.starts_with("log/")));
}

#[test]
fn more_mail_than_is_asked_for_at_once() {
    let (_dir, repository) = repository();
    let mails: Vec<(String, String)> = (0..500).map(|n| (format!("{n}.a"), format!("{n}").repeat(n))).collect();
    let mails: Vec<(&str, &str)> = mails.iter().map(|(base, text)| (base.as_str(), text.as_str())).collect();
    let tip = add(&repository, A, None, &mails);
    same(&repository, &tip);
    let mut found = texts(&repository, &tip);
    let mut expected: Vec<&str> = mails.iter().map(|(_, text)| *text).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn two_replicas_meet_at_a_hub() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| Repository::init(&dir.path().join(name)).unwrap();
    let (a, b, hub) = (at("a"), at("b"), at("hub"));
    let remote = Remote { name: "hub".into(), url: hub.path().to_str().unwrap().into() };
    for repository in [&a, &b] {
        repository.add_remote(&remote).unwrap();
        assert_eq!(repository.remotes().unwrap(), std::slice::from_ref(&remote));
        repository.fetch(&remote, LIMIT, &mut |_| {}).unwrap();
    }
    assert!(!a.push(&remote, A, LIMIT, &mut |_| {}).unwrap(), "nothing is there to push");
    let ours = add(&a, A, None, &[("1.a", "of a"), ("5.s", "same")]);
    let theirs = add(&b, B, None, &[("1.b", "of b"), ("5.s", "same")]);
    assert!(a.push(&remote, A, LIMIT, &mut |_| {}).unwrap());
    assert!(!a.push(&remote, A, LIMIT, &mut |_| {}).unwrap());
    b.fetch(&remote, LIMIT, &mut |_| {}).unwrap();
    let peers = b.peers(B).unwrap();
    assert_eq!(peers, [Peer { replica: A, name: format!("peer/{A}"), commit: ours.commit }]);
    let from_a = b.read(peers[0].commit).unwrap();
    let merged = crate::sync::merge(&theirs.state, &from_a.state, crate::sync::Numbering::Eager).unwrap();
    let joined = b.import().unwrap().commit(B, Some(&theirs), &[&from_a], merged.state).unwrap().unwrap();
    same(&b, &joined);
    assert_eq!(joined.root, ours.root.min(theirs.root));
    let mut found = texts(&b, &joined);
    found.sort();
    assert_eq!(found, ["of a", "of b", "same"]);
    b.joined(&peers).unwrap();
    assert_eq!(b.peers(B).unwrap(), []);
    assert!(b.push(&remote, B, LIMIT, &mut |_| {}).unwrap());
    a.fetch(&remote, LIMIT, &mut |_| {}).unwrap();
    let back = a.read(a.peers(A).unwrap()[0].commit).unwrap();
    assert_eq!(back.state, joined.state);
    assert_eq!(
        crate::sync::merge(&ours.state, &back.state, crate::sync::Numbering::Eager).unwrap().state,
        joined.state
    );
}

#[test]
fn an_import_that_is_dropped_leaves_nothing_and_one_bad_mail_harms_no_other() {
    let (dir, repository) = repository();
    let mut import = repository.import().unwrap();
    import.mail(b"1.a", &mut "mail".as_bytes(), 4).unwrap().unwrap();
    drop(import);
    assert_eq!(repository.own(A).unwrap(), None);
    assert_eq!(git(&repository, &["count-objects"]), "0 objects, 0 kilobytes\n");
    let mut import = repository.import().unwrap();
    let short = import.mail(b"1.a", &mut "mail".as_bytes(), 5_000_000).unwrap().unwrap_err();
    assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
    let long = import.mail(b"1.a", &mut "mail".as_bytes(), 3).unwrap().unwrap_err();
    assert_eq!(long.kind(), io::ErrorKind::InvalidData);
    let mut state = State::default();
    let folder = state.make_folder(A, b"x", 1);
    let guid = import.mail(b"2.a", &mut "good".as_bytes(), 4).unwrap().unwrap();
    state.add(A, folder, guid, b"2.a");
    let tip = import.commit(A, None, &[], state.clone()).unwrap().unwrap();
    same(&repository, &tip);
    assert_eq!(texts(&repository, &tip), ["good"]);
    // A mail whose contents nobody has.
    state.add(A, folder, Guid([7; 16]), b"3.a");
    let error = repository.import().unwrap().commit(A, Some(&tip), &[], state).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with(": m: found no contents of 07070707070707070707070707070707, expected those of each mail"),
        "{error}"
    );
    assert_eq!(repository.own(A).unwrap(), Some(tip.commit));
    drop(dir);
}

#[test]
fn contents_that_are_not_of_the_guid_are_not_believed() {
    let (_dir, repository) = repository();
    let tip = add(&repository, A, None, &[("1.a", "true")]);
    let mut forged = tip.clone();
    let other = repository.git.run("git hash-object", ["hash-object", "-w", "--stdin"], b"forged").unwrap();
    forged.mails[0].1 = Oid::parse(other.trim_ascii()).unwrap();
    let guid = forged.mails[0].0;
    let mut said = None;
    let mut each = |_, contents: &mut dyn Read| {
        said = Some(contents.read_to_end(&mut Vec::new()).unwrap_err().kind());
        Ok(())
    };
    repository.mails(&[&forged], &[guid], &mut each).unwrap();
    assert_eq!(said, Some(io::ErrorKind::InvalidData));
}

#[test]
fn what_is_read_in_part_harms_no_other() {
    let (_dir, repository) = repository();
    let long = "x".repeat(1_000_000);
    let tip = add(&repository, A, None, &[("1.a", &long), ("2.a", &long[1..]), ("3.a", "short")]);
    let guids: Vec<Guid> = tip.state.mails.keys().copied().collect();
    let mut seen = Vec::new();
    let mut each = |guid, contents: &mut dyn Read| {
        contents.read_exact(&mut [0; 3]).unwrap();
        seen.push(guid);
        Ok(())
    };
    repository.mails(&[&tip], &guids, &mut each).unwrap();
    assert_eq!(seen, guids);
}

/// A commit with these files, in place of those of a good state.
fn forge(repository: &Repository, good: &Tip, edits: &[(&str, Option<&[u8]>)]) -> Oid {
    let mut stream = b"feature done\ncommit refs/maildex/peer/00000000000000ff\nmark :1\n".to_vec();
    stream.extend(format!("committer x <x@x> 0 +0000\ndata 0\nfrom {}\n", good.commit).bytes());
    for (path, contents) in edits {
        match contents {
            None => stream.extend(format!("D {path}\n").bytes()),
            Some(contents) => {
                stream.extend(format!("M 100644 inline {path}\ndata {}\n", contents.len()).bytes());
                stream.extend_from_slice(contents);
                stream.push(b'\n');
            }
        }
    }
    stream.extend(b"get-mark :1\ndone\n");
    let commit = repository.git.run("git fast-import", ["fast-import", "--quiet", "--force"], &stream).unwrap();
    Oid::parse(commit.trim_ascii()).unwrap()
}

#[test]
fn what_a_peer_forged_is_refused_whole() {
    let (_dir, repository) = repository();
    let good = add(&repository, A, None, &[("1.a", "a"), ("2.b", "b")]);
    let (guid, mail) = good.state.mails.iter().next().unwrap();
    let root = FolderId::of(b"");
    let shard = format!("s/{:02x}", guid.shard());
    let blob = format!("m/{:02x}/{guid}", guid.shard());
    let head = format!("f/{root}/head");
    let numbers = format!("f/{root}/uid/00000");
    let log = format!("log/{A}/00000000");
    let other = format!("log/{B}/00000000");
    let line = String::from_utf8(text::print_mails(std::iter::once((guid, mail)))).unwrap();
    let with = |from: &str, to: &str| {
        assert!(line.contains(from), "{line:?} has no {from:?}");
        line.replace(from, to).into_bytes()
    };
    let base = String::from_utf8(mail.base.clone()).unwrap();
    let bad_base = |base_now: &str| with(&format!("\t{base}\n"), &format!("\t{base_now}\n"));
    let long = "x".repeat(201);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("format", b"maildex-sync 2\n".into(), "format: line 1: found \"maildex-sync 2\""),
        ("vv", b"".into(), "found mail"),
        ("vv", b"000000000000000a\t99999999999999999999\n".into(), "vv: line 1: found \"99999999999999999999\""),
        ("vv", b"000000000000000a\t9".into(), "vv: line 1: found the end of the file"),
        ("vv", b"000000000000000b\t9\n000000000000000a\t9\n".into(), "vv: line 2: found 000000000000000a"),
        (&shard, b"".into(), "found"),
        (&shard, bad_base("../../x"), "begins with a dot"),
        (&shard, bad_base("a/b"), "has a `/` or a NUL"),
        (&shard, bad_base("a\\x2fb"), "a name in which"),
        (&shard, bad_base("a\\x00b"), "has a `/` or a NUL"),
        (&shard, bad_base("a\\xzz"), "a name in which"),
        (&shard, bad_base("a:2,S"), "looks like flags"),
        (&shard, bad_base(""), "is empty"),
        (&shard, bad_base(&long), "longer than 200"),
        (&shard, with(":000000000000000a.2", ":000000000000000a.99"), "no change that vv does not cover"),
        (&shard, with(":000000000000000a.2", ":"), "a replica, a point, and a counter"),
        (&shard, with("\te3b0", "\tE3b0"), "a folder: 16 digits"),
        (&shard, with("\te3b0", "\te3b1"), "a folder that is in f"),
        (&shard, with("\t\t", "\tS0\t"), "letters in order, each with a count"),
        (&shard, with("\t\t", "\tS4294967296\t"), "letters in order, each with a count"),
        (&shard, with("\t\t", "\tS1R1\t"), "letters in order, each with a count"),
        (&shard, format!("{line}{line}").into_bytes(), "for this is sorted, each once"),
        ("s/zz", line.clone().into_bytes(), "s/zz: found a file, expected only what this format has"),
        ("s/00/00", line.clone().into_bytes(), "s/00: found a directory"),
        ("evil", b"x".into(), "evil: found a file"),
        ("m/00/x", b"x".into(), "m/00/x: found a file"),
        ("m/00/000000000000000000000000000000ff", b"x".into(), "m: found mail that is in no folder"),
        (&head, b"17\t4294967296\t\t\n".into(), "UIDNEXT: a number from 1 to 4294967295"),
        (&head, b"0\t3\t\t\n".into(), "UIDVALIDITY: a number from 1"),
        (&head, b"17\t2\t\t\n".into(), "a larger UIDNEXT"),
        (&head, b"17\t3\t\t../x\n".into(), "empty part, `.` or `..`"),
        (&head, b"17\t3\t\tSent\n".into(), "the one that has the id"),
        (&head, b"17\t3\t\t\n17\t3\t\t\n".into(), "one line"),
        (&numbers, format!("1\t{guid}\n2\t{guid}\n").into_bytes(), "one UID for each mail"),
        (&numbers, format!("2\t{guid}\n1\t{guid}\n").into_bytes(), "more than 2"),
        (&numbers, b"1\t000000000000000000000000000000ff\n".into(), "UIDs of mail that is there"),
        (&numbers, format!("4096\t{guid}\n").into_bytes(), "one from 0 on"),
        (&numbers, format!("0\t{guid}\n").into_bytes(), "a number from 1"),
        (&log, b"gone\t000000000000000000000000000000ff\n".into(), "a mail that is known"),
        (&log, b"what\tever\n".into(), "folder, gone, mail, flag, dead or uid"),
        (&log, format!("uid\t{root}\t4294967295\t{guid}\n").into_bytes(), "a UID that another can follow"),
        (&log, format!("dead\t{root}\t99\n").into_bytes(), "a UID that was live"),
        (&log, format!("gone\t{guid}\n").into_bytes(), "found"),
        ("log/000000000000000a/00000001", b"".into(), "00000000 before it"),
        ("log/x/00000000", b"".into(), "log/x: found a directory"),
    ];
    for (path, contents, expected) in cases {
        let commit = forge(&repository, &good, &[(path, Some(&contents))]);
        let error = repository.read(commit).expect_err(path).to_string();
        assert!(error.contains(expected), "{path} {}: {error}", contents.escape_ascii());
    }
    for path in ["format", "vv", "s", "f", &head, &shard, &blob, "m"] {
        let error = repository.read(forge(&repository, &good, &[(path, None)])).expect_err(path);
        assert!(matches!(error, Error::Replica { .. }), "{path}: {error}");
    }
    let two_logs = forge(&repository, &good, &[(&log, Some(b"")), (&other, Some(b""))]);
    assert!(repository.read(two_logs).unwrap_err().to_string().contains("found a directory"));
    same(&repository, &good);
}

#[test]
fn a_commit_that_is_none_is_an_error() {
    let (_dir, repository) = repository();
    let oid = Oid::parse(&[b'7'; 40]).unwrap();
    let error = repository.read(oid).unwrap_err().to_string();
    assert!(error.contains("found no object") && error.contains("missing"), "{error}");
    let error = Repository::open(Path::new("/nowhere/at/all")).unwrap_err();
    assert!(matches!(error, Error::NoRepository { .. }), "{error}");
}

#[test]
fn urls_that_git_would_run_are_refused() {
    let (_dir, repository) = repository();
    for url in ["", "-oProxyCommand=x", "--upload-pack=x", "ext::sh -c x", "fd::0", "a\nb"] {
        let remote = Remote { name: "x".into(), url: url.into() };
        assert!(matches!(repository.add_remote(&remote), Err(Error::Url { .. })), "{url:?}");
        let fetched = repository.fetch(&remote, LIMIT, &mut |_| {}).unwrap_err();
        assert!(matches!(fetched[..], [Error::Url { .. }]), "{url:?}");
        assert!(matches!(repository.push(&remote, A, LIMIT, &mut |_| {}), Err(Error::Url { .. })), "{url:?}");
    }
    for url in ["/mail.git", "host:mail.git", "ssh://[::1]/mail.git", "https://host/mail.git", "file:///m"] {
        repository.add_remote(&Remote { name: "x".into(), url: url.into() }).unwrap();
    }
    for name in ["", "a b", "a\nb", "x=y"] {
        assert!(matches!(
            repository.add_remote(&Remote { name: name.into(), url: "/x".into() }),
            Err(Error::Url { .. })
        ));
    }
    assert_eq!(repository.remotes().unwrap(), [Remote { name: "x".into(), url: "file:///m".into() }]);
}

#[test]
fn a_remote_that_is_away_and_one_that_refuses_say_why() {
    let (dir, repository) = repository();
    let gone = Remote { name: "gone".into(), url: dir.path().join("gone").to_str().unwrap().into() };
    let error = repository.fetch(&gone, LIMIT, &mut |_| {}).unwrap_err().remove(0).to_string();
    assert!(
        error.contains("cannot fetch from it: ") && error.contains("does not appear to be a git repository"),
        "{error}"
    );
    let tip = add(&repository, A, None, &[("1.a", "a")]);
    let hub = Repository::init(&dir.path().join("hub")).unwrap();
    let remote = Remote { name: "hub".into(), url: hub.path().to_str().unwrap().into() };
    // Somebody else has written what only this replica writes.
    add(&hub, A, None, &[("2.a", "b")]);
    let error = repository.push(&remote, A, LIMIT, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("cannot push to it: ") && error.contains("rejected"), "{error}");
    assert_eq!(repository.own(A).unwrap(), Some(tip.commit));
}

#[test]
fn git_looks_for_nothing_in_common_in_mails_and_does_in_all_else() {
    let (_dir, repository) = repository();
    let mail = format!("m/07/{}", Guid([7; 16]));
    let said = git(&repository, &["check-attr", "delta", "--", &mail, "m/07", "m", "s/07", "vv"]);
    let unset: Vec<&str> = said.lines().filter_map(|line| line.strip_suffix(": delta: unset")).collect();
    assert_eq!(unset, [mail], "{said}");
}

#[test]
fn nobody_pushes_what_a_replica_says_of_itself() {
    let (dir, ours) = repository();
    let tip = add(&ours, A, None, &[("1.a", "a")]);
    let theirs = Repository::init(&dir.path().join("theirs")).unwrap();
    let remote = Remote { name: "ours".into(), url: ours.path().to_str().unwrap().into() };
    theirs.fetch(&remote, LIMIT, &mut |_| {}).unwrap();
    let known = theirs.read(theirs.peers(B).unwrap()[0].commit).unwrap();
    let mut state = known.state.clone();
    state.remove_folder(A, FolderId::of(b""));
    git(&theirs, &["update-ref", &format!("refs/maildex/r/{A}"), &known.commit.to_string()]);
    theirs.import().unwrap().commit(A, Some(&known), &[], state).unwrap().unwrap();
    let error = theirs.push(&remote, A, LIMIT, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("deny updating a hidden ref"), "{error}");
    assert_eq!(ours.own(A).unwrap(), Some(tip.commit));
    // Its own it may.
    theirs.import().unwrap().commit(B, None, &[&known], known.state.clone()).unwrap().unwrap();
    assert!(theirs.push(&remote, B, LIMIT, &mut |_| {}).unwrap());
    assert_eq!(ours.peers(A).unwrap().len(), 1);
}

#[test]
fn a_remote_that_is_silent_is_left() {
    let (dir, repository) = repository();
    let script = dir.path().join("ssh");
    std::fs::write(&script, "#!/bin/sh\necho calling >&2\ncat >/dev/null\nexit 1\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    git(&repository, &["config", "core.sshCommand", script.to_str().unwrap()]);
    let remote = Remote { name: "far".into(), url: "nobody@nowhere:mail.git".into() };
    let mut heard = Vec::new();
    let error =
        repository.fetch(&remote, Duration::from_millis(300), &mut |line| heard.push(line.to_string())).unwrap_err();
    // If this machine is slow the silence may come before the first word.
    let error = error[0].to_string();
    assert!(
        error.starts_with("peer far (nobody@nowhere:mail.git): cannot fetch from it: it said nothing for 0 s"),
        "{error}"
    );
    assert!(heard.iter().all(|line| line == "calling"), "{heard:?}");
}
