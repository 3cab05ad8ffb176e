//! What a run of `sync` did, and how it stands with a replica.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use maildex::ops::sync::{Outcome, Status};
use maildex::sync::replica::Replica;
use serde::Serialize;

use super::{VERSION, line};

#[derive(Serialize)]
struct SyncRecord<'a> {
    v: u8,
    root: Cow<'a, str>,
    sent: Sent,
    received: Received,
    burnt: Vec<BurntRecord<'a>>,
    held_back: usize,
    pushed: &'a [String],
    renewed: Option<String>,
    failed: Vec<String>,
}

#[derive(Serialize)]
struct Sent {
    added: usize,
    flags: usize,
    moved: usize,
    removed: usize,
}

#[derive(Serialize)]
struct Received {
    added: usize,
    flags: usize,
    moved: usize,
    removed: usize,
    folders_made: usize,
    folders_removed: usize,
}

#[derive(Serialize)]
struct BurntRecord<'a> {
    folder: Cow<'a, str>,
    base: Cow<'a, str>,
    was_uid: u32,
    uid: u32,
    why: &'a str,
}

#[derive(Serialize)]
struct StatusRecord<'a> {
    v: u8,
    root: Cow<'a, str>,
    replica: String,
    name: &'a str,
    repository: Cow<'a, str>,
    folders: usize,
    messages: usize,
    pending: bool,
    trash: usize,
    peers: Vec<PeerRecord<'a>>,
    waiting: &'a [String],
    commits: usize,
    late: Vec<String>,
}

#[derive(Serialize)]
struct PeerRecord<'a> {
    name: &'a str,
    url: &'a str,
    has_all: bool,
}

/// What a run did.
pub fn synced(out: &mut impl Write, root: &Path, outcome: &Outcome) -> io::Result<()> {
    let burnt = |lost: &'_ maildex::ops::sync::Lost| BurntRecord {
        folder: String::from_utf8_lossy(&lost.folder).into_owned().into(),
        base: String::from_utf8_lossy(&lost.base).into_owned().into(),
        was_uid: lost.old,
        uid: lost.new,
        why: lost.why,
    };
    let record = SyncRecord {
        v: VERSION,
        root: root.to_string_lossy(),
        sent: Sent {
            added: outcome.sent,
            flags: outcome.sent_flags,
            moved: outcome.sent_moved,
            removed: outcome.sent_removed,
        },
        received: Received {
            added: outcome.received,
            flags: outcome.flags,
            moved: outcome.moved,
            removed: outcome.removed,
            folders_made: outcome.made,
            folders_removed: outcome.unmade,
        },
        burnt: outcome.burnt.iter().map(burnt).collect(),
        held_back: outcome.held.iter().map(|held| held.gone).sum(),
        pushed: &outcome.pushed,
        renewed: outcome.renewed.map(|(_, id)| id.to_string()),
        failed: outcome.failed.iter().map(ToString::to_string).collect(),
    };
    line(out, &record)
}

/// How it stands with a replica.
pub fn sync_status(out: &mut impl Write, root: &Path, replica: &Replica, status: &Status) -> io::Result<()> {
    let peer = |(remote, has_all): &'_ (maildex::sync::Remote, bool)| (remote.clone(), *has_all);
    let peers: Vec<_> = status.remotes.iter().map(peer).collect();
    let record = StatusRecord {
        v: VERSION,
        root: root.to_string_lossy(),
        replica: replica.id.to_string(),
        name: &replica.name,
        repository: replica.path.to_string_lossy(),
        folders: status.folders,
        messages: status.mails,
        pending: status.pending,
        trash: status.trashed.len(),
        peers: peers.iter().map(|(r, has_all)| PeerRecord { name: &r.name, url: &r.url, has_all: *has_all }).collect(),
        waiting: &status.waiting,
        commits: status.commits,
        late: status.late.iter().map(ToString::to_string).collect(),
    };
    line(out, &record)
}
