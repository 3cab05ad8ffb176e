//! What it costs to keep states and mail in git: figures, and the one bound that does not depend on the machine.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use maildex::sync::{Numbering, Remote, ReplicaId, Repository, State, Tip, merge};

use super::mailbox::{figures, installed, long, skipped};

const ME: ReplicaId = ReplicaId(0xa);
const PEER: ReplicaId = ReplicaId(0xb);
const PATIENCE: Duration = Duration::from_mins(10);

/// The most bytes that may go over the network for one flag.
const FLAG_MAX: usize = 4096;

#[test]
fn a_flag_sends_some_hundred_bytes_however_much_mail_there_is() {
    if !installed("git") {
        return skipped("states in a repository of git", "apt-get install git");
    }
    let count = if long() { 100_000 } else { 3_000 };
    let dir = tempfile::tempdir().expect("a directory");
    let repository = Repository::init(&dir.path().join("here")).expect("a repository");
    let hub = Repository::init(&dir.path().join("hub")).expect("a repository");
    let hub = Remote { name: "hub".into(), url: hub.path().to_str().expect("text").into() };
    let mails: Vec<(String, Vec<u8>)> = (0..count).map(mail).collect();

    let plain = timed(|| plain_import(&dir.path().join("plain"), &mails));
    let ((), plain_time) = plain;
    let (tip, first) = timed(|| {
        let mut state = State::default();
        let folder = state.make_folder(ME, b"", 1);
        let mut import = repository.import().expect("an import");
        for (uid, (base, text)) in (1..).zip(&mails) {
            let guid =
                import.mail(base.as_bytes(), &mut text.as_slice(), text.len() as u64).expect("git").expect("a mail");
            state.add(ME, folder, guid, base.as_bytes());
            assert!(state.give_uid(folder, guid, uid));
        }
        import.commit(ME, None, &[], state).expect("a commit").expect("a change")
    });
    let push = |repository: &Repository| repository.push(&hub, ME, PATIENCE, &mut |_| {}).expect("a push");
    let (pushed, push_time) = timed(|| push(&repository));
    assert!(pushed);
    let (read, read_time) = timed(|| repository.read(tip.commit).expect("a state"));
    assert_eq!(read.state, tip.state);

    let mut flagged = tip.state.clone();
    let guid = *flagged.mails.keys().nth(count / 2).expect("a mail");
    flagged.set_flags(ME, guid, b"S");
    let (next, flag_time) = timed(|| commit(&repository, ME, &tip, flagged));
    let ((), flag_push_time) = timed(|| assert!(push(&repository)));
    let sent = pack_len(&repository, &tip, &next);
    assert!(sent < FLAG_MAX, "one flag of {count} mails sends {sent} bytes");

    // A mail more costs what its name and its place in the trees do.
    let (base, text) = mail(count);
    let mut import = repository.import().expect("an import");
    let guid = import.mail(base.as_bytes(), &mut text.as_slice(), text.len() as u64).expect("git").expect("a mail");
    let mut state = next.state.clone();
    let folder = *state.folders.keys().next().expect("one");
    state.add(ME, folder, guid, base.as_bytes());
    assert!(state.give_uid(folder, guid, count as u32 + 1));
    let more = import.commit(ME, Some(&next), &[], state).expect("a commit").expect("a change");
    let mail_sent = pack_len(&repository, &next, &more);
    assert!(mail_sent < text.len() + FLAG_MAX, "a mail of {} bytes sends {mail_sent}", text.len());

    // Another one, that knows nothing, takes all of it.
    let there = Repository::init(&dir.path().join("there")).expect("a repository");
    let ((), fetch_time) = timed(|| there.fetch(&hub, PATIENCE, &mut |_| {}).expect("a fetch"));
    let peer = there.peers(PEER).expect("peers").pop().expect("one");
    let theirs = there.read(peer.commit).expect("a state");
    let guids: Vec<_> = theirs.state.mails.keys().copied().collect();
    let mut bytes = 0;
    let ((), mails_time) = timed(|| {
        let mut each = |_, contents: &mut dyn std::io::Read| {
            bytes += std::io::copy(contents, &mut std::io::sink()).expect("a mail");
            Ok(())
        };
        there.mails(&[&theirs], &guids, &mut each).expect("mails");
    });
    assert_eq!(bytes, mails.iter().map(|(_, text)| text.len() as u64).sum::<u64>());
    let (merged, join_time) = timed(|| merge(&tip.state, &next.state, Numbering::Eager).expect("a join"));
    assert_eq!(merged.state, next.state);

    let mut line = format!("sync, {count} mails, {} MB: ", bytes >> 20);
    for (what, time) in [
        ("plain fast-import", plain_time),
        ("first commit", first),
        ("first push", push_time),
        ("fetch", fetch_time),
        ("state read", read_time),
        ("mails read", mails_time),
        ("joined", join_time),
        ("flag committed", flag_time),
        ("and pushed", flag_push_time),
    ] {
        let _ = write!(line, "{what} {:.3} s, ", time.as_secs_f64());
    }
    figures(&format!("{line}one flag sends {sent} bytes, one mail of {} bytes {mail_sent}", text.len()));
}

fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (what(), start.elapsed())
}

/// Words at random, so that git has something to do: about 3 kB a mail.
fn mail(number: usize) -> (String, Vec<u8>) {
    let mut random = number as u64 + 1;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    let base = format!("{}.M{}P77.host", 1_700_000_000 + number, next() % 1_000_000);
    let mut text = format!("From: ann@example.org\nSubject: {number}\nMessage-ID: <{}@example.org>\n\n", next());
    for word in 0..400 {
        let _ = write!(text, "{:x}{}", next() % 50_000, if word % 10 == 9 { '\n' } else { ' ' });
    }
    (base, text.into_bytes())
}

fn commit(repository: &Repository, me: ReplicaId, previous: &Tip, state: State) -> Tip {
    repository.import().expect("an import").commit(me, Some(previous), &[], state).expect("a commit").expect("a change")
}

/// What others would do: the same bytes, a commit.
fn plain_import(path: &Path, mails: &[(String, Vec<u8>)]) {
    let init = Command::new("git").args(["init", "-q", "--bare"]).arg(path).status().expect("git");
    assert!(init.success());
    let mut git = Command::new("git");
    git.arg("--git-dir").arg(path).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut git = git.spawn().expect("git");
    let mut stream = std::io::BufWriter::new(git.stdin.take().expect("a pipe"));
    let mut send = |bytes: &[u8]| stream.write_all(bytes).expect("git reads");
    send(b"commit refs/heads/mail\ncommitter x <x@x> 0 +0000\ndata 0\n");
    for (number, (base, text)) in mails.iter().enumerate() {
        send(format!("M 100644 inline {:02x}/{base}\ndata {}\n", number % 256, text.len()).as_bytes());
        send(text);
        send(b"\n");
    }
    drop(stream);
    assert!(git.wait().expect("git").success());
}

/// The bytes that a push sends of what is between two commits.
fn pack_len(repository: &Repository, from: &Tip, to: &Tip) -> usize {
    let mut git = Command::new("git");
    git.arg("--git-dir").arg(repository.path()).args(["pack-objects", "-q", "--revs", "--thin", "--stdout"]);
    let mut git = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("git");
    let revisions = format!("{}\n^{}\n", to.commit, from.commit);
    git.stdin.take().expect("a pipe").write_all(revisions.as_bytes()).expect("git reads");
    let output = git.wait_with_output().expect("git");
    assert!(output.status.success());
    output.stdout.len()
}
