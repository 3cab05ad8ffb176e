//! JSON, one object a line. The keys are the same in every verb, see `OUTPUT` in the man page.

mod index;
mod sync;

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maildex::Error;
use maildex::folder::Folder;
use maildex::format::Uid;
use maildex::format::status::Status;
use maildex::lock::{Holder, Owner, State};
use maildex::maildir::keywords::Keywords;
use maildex::maildir::name::Name;
use maildex::maildir::{Maildir, Sub};
use maildex::ops::Message;
use maildex::ops::changes::{Event, Token};
use maildex::ops::list::InThread;
use maildex::ops::names::Names;
use maildex::ops::rename::Renamed;
use maildex::ops::uids;
use serde::Serialize;

pub use index::{checked, compacted, field, finding, repaired, report};
pub use sync::{sync_status, synced};

use crate::cli::placed::Placed;

/// Version of the keys below; they are only ever added to.
pub const VERSION: u8 = 1;

/// A message, as scripts get it.
#[derive(Serialize)]
pub struct Record<'a> {
    v: u8,
    folder: &'a str,
    uidvalidity: u32,
    uid: u32,
    /// Null, as directory, flags and keywords, for a message that is gone.
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    base: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_bytes: Option<String>,
    dir: Option<&'static str>,
    flags: Option<String>,
    keywords: Option<Vec<String>>,
    size: u64,
    date: Option<String>,
    received: Option<String>,
    date_epoch: Option<i64>,
    received_epoch: Option<i64>,
    subject: &'a str,
    from: &'a str,
    to: &'a str,
    cc: &'a str,
    message_id: &'a str,
    in_reply_to: &'a str,
    references: Vec<&'a str>,
    change: u64,
    truncated: Vec<&'static str>,
    /// With --threads only.
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<u32>,
}

/// Makes records of a folder's messages.
pub struct Records {
    folder: String,
    uidvalidity: u32,
    maildir: Arc<Maildir>,
    names: Names,
    keywords: Keywords,
}

impl Records {
    pub fn new(path: &Path, folder: &mut Folder) -> Result<Records, Error> {
        let maildir = Arc::clone(folder.maildir());
        Ok(Records {
            folder: path.to_string_lossy().into_owned(),
            uidvalidity: folder.index()?.identity().uid_validity,
            keywords: Keywords::read(maildir.root()),
            names: Names::default(),
            maildir,
        })
    }

    /// Calls `print` with the record of a message.
    pub fn with(
        &mut self,
        message: &Message<'_>,
        print: &mut dyn FnMut(&Record<'_>) -> io::Result<()>,
    ) -> Result<(), Error> {
        print(&self.record(message)?).map_err(cannot_write)
    }

    /// Prints a message of a listing.
    pub fn listed(
        &mut self,
        out: &mut impl Write,
        message: &Message<'_>,
        place: Option<&InThread>,
    ) -> Result<(), Error> {
        let (thread, depth) = place.map(|place| (place.first.get(), place.depth)).unzip();
        line(out, &Record { thread, depth, ..self.record(message)? }).map_err(cannot_write)
    }

    /// The folder as it was named.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// UIDVALIDITY of its index.
    pub fn uidvalidity(&self) -> u32 {
        self.uidvalidity
    }

    /// The keywords of a message, by name.
    pub fn keywords(&self, message: &Message<'_>) -> Vec<String> {
        self.keywords.of(message.status.flags())
    }

    fn record<'r>(&'r mut self, message: &Message<'r>) -> Result<Record<'r>, Error> {
        let entry = message.entry;
        let place = self.place(message)?;
        let (path, path_bytes) = place.as_ref().map(|(_, path)| lossy(path.as_os_str().as_encoded_bytes())).unzip();
        let (base, base_bytes) = lossy(entry.base);
        let received_epoch = message.received();
        let flags = place.is_some().then(|| message.status.flags());
        Ok(Record {
            v: VERSION,
            folder: &self.folder,
            uidvalidity: self.uidvalidity,
            uid: message.uid.get(),
            path,
            path_bytes: path_bytes.flatten(),
            base,
            base_bytes,
            dir: place.map(|(sub, _)| sub.as_str()),
            flags: flags.map(|flags| flags.to_string()),
            keywords: flags.map(|flags| self.keywords.of(flags)),
            size: entry.size,
            date: entry.date.and_then(rfc3339),
            received: received_epoch.and_then(rfc3339),
            date_epoch: entry.date,
            received_epoch,
            subject: entry.subject,
            from: entry.from,
            to: entry.to,
            cc: entry.cc,
            message_id: entry.message_id,
            in_reply_to: entry.in_reply_to,
            references: entry.references.split_ascii_whitespace().collect(),
            change: message.change,
            truncated: entry.cut.names().collect(),
            thread: None,
            depth: None,
        })
    }

    /// Directory and path of a message; `None` for one that is gone.
    pub fn place(&mut self, message: &Message<'_>) -> Result<Option<(Sub, PathBuf)>, Error> {
        if message.status.has(Status::EXPUNGED) {
            return Ok(None);
        }
        let (sub, name) = self.names.of_or_base(&self.maildir, message)?;
        Ok(Some((sub, self.maildir.path_of(sub, &name))))
    }
}

/// What happened to a message.
#[derive(Serialize)]
struct EventRecord<'a> {
    #[serde(flatten)]
    record: Record<'a>,
    event: &'static str,
    was_uid: Option<u32>,
    token: String,
}

#[derive(Serialize)]
struct TokenRecord<'a> {
    v: u8,
    folder: &'a str,
    uidvalidity: u32,
    event: &'static str,
    token: String,
}

impl Records {
    /// Prints an event.
    pub fn event(&mut self, out: &mut impl Write, event: &Event<'_>) -> Result<(), Error> {
        let (was_uid, token) = (event.was_uid.map(Uid::get), event.token.to_string());
        let record = EventRecord { record: self.record(&event.message)?, event: event.kind.as_str(), was_uid, token };
        line(out, &record).map_err(cannot_write)
    }

    /// Prints a token by itself.
    pub fn token(&self, out: &mut impl Write, token: &Token) -> io::Result<()> {
        let (folder, uidvalidity) = (&*self.folder, self.uidvalidity);
        line(out, &TokenRecord { v: VERSION, folder, uidvalidity, event: "token", token: token.to_string() })
    }
}

/// A message that has its name now.
#[derive(Serialize)]
struct Change<'a> {
    v: u8,
    folder: &'a str,
    /// Null, as the UID, where there is no index.
    uidvalidity: Option<u32>,
    uid: Option<u32>,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    base: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    base_bytes: Option<String>,
    dir: &'static str,
    flags: String,
    keywords: Vec<String>,
    /// `added` for new contents; else `moved`, `flags`, or null if it had this name before.
    event: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    was_uid: Option<u32>,
}

impl Records {
    /// Prints what became of a message's name.
    pub fn renamed(&self, out: &mut impl Write, renamed: &Renamed, was_uid: Option<Uid>) -> io::Result<()> {
        let event = match (&renamed.from, was_uid) {
            (_, Some(_)) => Some("added"),
            (Some((sub, _)), None) => Some(if *sub == renamed.sub { "flags" } else { "moved" }),
            (None, None) => None,
        };
        let change = Change::new(&self.maildir, &self.keywords, renamed.sub, &renamed.name);
        let (uidvalidity, uid) = (Some(self.uidvalidity), Some(renamed.uid.get()));
        let was_uid = was_uid.map(Uid::get);
        line(out, &Change { folder: &self.folder, uidvalidity, uid, event, was_uid, ..change })
    }
}

/// Prints where a mail was put, or was.
pub fn placed(
    out: &mut impl Write,
    folder: &Placed<'_>,
    (uid, sub, name): (Option<Uid>, Sub, &[u8]),
    was_uid: Option<Uid>,
) -> io::Result<()> {
    let change = Change::new(folder.maildir, &Keywords::read(folder.maildir.root()), sub, name);
    let (uid, was_uid) = (uid.map(Uid::get), was_uid.map(Uid::get));
    let (uidvalidity, path) = (folder.uid_validity, folder.folder.to_string_lossy());
    line(out, &Change { folder: &path, uidvalidity, uid, event: Some(folder.event), was_uid, ..change })
}

#[derive(Serialize)]
struct Doubled<'a> {
    v: u8,
    folder: Cow<'a, str>,
    uid: u32,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    event: &'static str,
    kept_uid: u32,
    kept_folder: Cow<'a, str>,
}

/// Prints a message that is gone because there is another one like it.
pub fn doubled(
    out: &mut impl Write,
    (folder, uid, path): (&Path, Uid, &Path),
    (kept, kept_in): (Uid, &PathBuf),
) -> io::Result<()> {
    let (path, path_bytes) = lossy(path.as_os_str().as_encoded_bytes());
    let (folder, kept_folder) = (folder.to_string_lossy(), kept_in.to_string_lossy());
    let (uid, kept_uid) = (uid.get(), kept.get());
    line(out, &Doubled { v: VERSION, folder, uid, path, path_bytes, event: "removed", kept_uid, kept_folder })
}

impl Change<'_> {
    /// What the name says.
    fn new(maildir: &Maildir, keywords: &Keywords, sub: Sub, name: &[u8]) -> Change<'static> {
        let (path, path_bytes) = lossy(maildir.path_of(sub, name).as_os_str().as_encoded_bytes());
        let Name { base, flags, .. } = Name::parse(name);
        let (base, base_bytes) = lossy(base);
        Change {
            v: VERSION,
            folder: "",
            uidvalidity: None,
            uid: None,
            path,
            path_bytes,
            base,
            base_bytes,
            dir: sub.as_str(),
            flags: flags.to_string(),
            keywords: keywords.of(flags),
            event: None,
            was_uid: None,
        }
    }
}

/// Bytes as text, and in base64 beside it where that is not the same.
fn lossy(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_string(), None),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), Some(BASE64_STANDARD.encode(bytes))),
    }
}

/// A time in UTC (RFC 3339); `None` beyond the year 9999.
pub fn rfc3339(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

/// For the callbacks of the library.
pub fn cannot_write(source: io::Error) -> Error {
    Error::Io { path: "standard output".into(), doing: "cannot write", source }
}

/// Writes one object and a newline.
pub fn line(out: &mut impl Write, object: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, object)?;
    out.write_all(b"\n")
}

/// Names and values of all fields, for people; lists are joined by spaces, what is not there is left out.
pub fn fields(record: &Record<'_>) -> Vec<(String, String)> {
    let serde_json::Value::Object(object) = serde_json::to_value(record).unwrap_or_default() else { return Vec::new() };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text,
        serde_json::Value::Array(items) => {
            items.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    object.into_iter().filter(|(key, _)| key != "v").map(|(key, value)| (key, text(value))).collect()
}

/// A folder's lock, as scripts get it.
#[derive(Serialize)]
pub struct LockRecord<'a> {
    v: u8,
    folder: Cow<'a, str>,
    locked: bool,
    stale: bool,
    wanted: bool,
    id: Option<&'a str>,
    host: Option<&'a str>,
    pid: Option<i32>,
    state: Option<&'static str>,
    since: Option<String>,
    since_epoch: Option<u64>,
    held_s: Option<u64>,
    reason: Option<&'a str>,
    command: Option<&'a str>,
    guards: Option<ProcessRecord<'a>>,
    holders: Vec<ProcessRecord<'a>>,
}

#[derive(Serialize)]
struct ProcessRecord<'a> {
    pid: i32,
    command: &'a str,
}

impl<'a> LockRecord<'a> {
    /// `holding` are those that are seen to have the flock, whatever the lockfile says.
    pub fn new(
        folder: &'a Path,
        holder: &'a Holder,
        holding: &'a [(i32, String)],
        is_stale: bool,
        is_wanted: bool,
    ) -> LockRecord<'a> {
        let owner = match holder {
            Holder::Somebody(owner) => owner.as_deref(),
            Holder::Nobody => None,
        };
        let state = |owner: &Owner| match owner.state {
            State::Running => "running",
            State::Stopped => "stopped",
            State::Ended(_) => "ended",
            State::Elsewhere => "elsewhere",
        };
        LockRecord {
            v: VERSION,
            folder: folder.to_string_lossy(),
            locked: matches!(holder, Holder::Somebody(_)),
            stale: is_stale,
            wanted: is_wanted,
            id: owner.map(|owner| &*owner.id),
            host: owner.map(|owner| &*owner.host),
            pid: owner.map(|owner| owner.pid),
            state: owner.map(state),
            since: owner.and_then(|owner| rfc3339(owner.since as i64)),
            since_epoch: owner.map(|owner| owner.since),
            held_s: owner.map(|owner| owner.held_s),
            reason: owner.map(|owner| &*owner.reason),
            command: owner.map(|owner| &*owner.command),
            guards: owner
                .and_then(|owner| owner.behalf.as_ref())
                .map(|b| ProcessRecord { pid: b.pid, command: &b.command }),
            holders: holding.iter().map(|(pid, command)| ProcessRecord { pid: *pid, command }).collect(),
        }
    }
}

/// The numbers of a folder.
#[derive(Serialize)]
pub struct UidsRecord<'a> {
    v: u8,
    folder: Cow<'a, str>,
    uidvalidity: u32,
    uidnext: u64,
    messages: usize,
    dead: u64,
    lists: Vec<ListRecord>,
}

/// Another program's list beside ours; what it says is null if it is none.
#[derive(Serialize)]
struct ListRecord {
    path: String,
    format: &'static str,
    uidvalidity: Option<u32>,
    uidnext: Option<u64>,
    agree: Option<usize>,
    differ: Option<usize>,
    only_here: Option<usize>,
    only_there: Option<usize>,
    error: Option<String>,
}

impl<'a> UidsRecord<'a> {
    pub fn new(folder: &'a Path, status: &uids::Status) -> UidsRecord<'a> {
        let list = |neighbour: &uids::Neighbour| {
            let compared = neighbour.compared.as_ref().ok();
            ListRecord {
                path: neighbour.path.to_string_lossy().into_owned(),
                format: neighbour.format.as_str(),
                uidvalidity: compared.map(|c| c.uid_validity),
                uidnext: compared.map(|c| c.uid_next),
                agree: compared.map(|c| c.agree),
                differ: compared.map(|c| c.differ),
                only_here: compared.map(|c| c.only_here),
                only_there: compared.map(|c| c.only_there),
                error: neighbour.compared.as_ref().err().map(ToString::to_string),
            }
        };
        UidsRecord {
            v: VERSION,
            folder: folder.to_string_lossy(),
            uidvalidity: status.uid_validity,
            uidnext: status.uid_next,
            messages: status.messages,
            dead: status.dead,
            lists: status.neighbours.iter().map(list).collect(),
        }
    }
}
