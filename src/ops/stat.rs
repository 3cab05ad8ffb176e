//! What a folder holds: by flag, size, age and sender; and what its index costs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::error::{Error, Result};
use crate::format::Uid;
use crate::format::status::Status;
use crate::index::Snapshot;
use crate::index::compact::Dead;
use crate::maildir::flags::Flags;
use crate::maildir::short;
use crate::ops::list::message;
use crate::ops::{Message, order};

const DAY_S: i64 = 86_400;

/// Sizes in bytes below which a message falls into a range; after the last one comes what is larger.
pub const SIZES: [u64; 9] = [1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26];

/// Ages in days below which a message falls into a range; after the last one comes what is older. The first is the future.
pub const AGES: [i64; 9] = [0, 1, 7, 30, 91, 365, 730, 1826, 3652];

/// How many messages, and how large they are together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Messages.
    pub messages: u64,
    /// Bytes of mail.
    pub bytes: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64) {
        self.messages += 1;
        self.bytes += bytes;
    }
}

/// Who sent how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// In small letters.
    pub address: String,
    /// As the last mail that had one gives it.
    pub name: String,
    /// What they sent.
    pub sum: Sum,
}

/// A large message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Large {
    /// Its UID.
    pub uid: Uid,
    /// Bytes.
    pub size: u64,
    /// When it was sent, in seconds since 1970, as far as anybody knows.
    pub date: i64,
    /// `From:`
    pub from: String,
    /// `Subject:`
    pub subject: String,
}

/// What a folder holds, and what its index costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// All messages.
    pub all: Sum,
    /// Without the flag for "read".
    pub unseen: Sum,
    /// In new/.
    pub new: Sum,
    /// Could not be opened.
    pub unreadable: Sum,
    /// Had no bytes.
    pub empty: Sum,
    /// Without a date that can be read.
    pub dateless: Sum,
    /// Had a field cut in the index.
    pub truncated: Sum,
    /// By flag letter.
    pub flags: BTreeMap<char, Sum>,
    /// By size, see [`SIZES`].
    pub sizes: [Sum; SIZES.len() + 1],
    /// By age, see [`AGES`].
    pub ages: [Sum; AGES.len() + 1],
    /// How many senders there are.
    pub senders: usize,
    /// Those who sent the most bytes.
    pub top_senders: Vec<Sender>,
    /// The largest messages.
    pub largest: Vec<Large>,
    /// Bytes of both index files.
    pub index_bytes: u64,
    /// What of that a compaction would drop.
    pub dead: Dead,
}

impl Stats {
    /// What maildex keeps on the disk for one message, in bytes; `None` if there is none.
    pub fn bytes_per_message(&self) -> Option<u64> {
        self.index_bytes.checked_div(self.all.messages)
    }
}

/// Looks at all live messages. `now_s` is what ages are counted from; lists have no more than `top` items. What cannot be
/// read is handed to `bad`, and the rest goes on.
pub fn stat(snapshot: &Snapshot<'_>, now_s: i64, top: usize, bad: &mut dyn FnMut(Error)) -> Result<Stats> {
    let zero = Sum::default();
    let mut stats = Stats {
        all: zero,
        unseen: zero,
        new: zero,
        unreadable: zero,
        empty: zero,
        dateless: zero,
        truncated: zero,
        flags: BTreeMap::new(),
        sizes: [zero; SIZES.len() + 1],
        ages: [zero; AGES.len() + 1],
        senders: 0,
        top_senders: Vec::new(),
        largest: Vec::new(),
        index_bytes: snapshot.index().bytes()?,
        dead: snapshot.dead()?,
    };
    let mut senders: HashMap<String, (String, Sum)> = HashMap::new();
    let mut entries = snapshot.index().entries()?;
    for slot in snapshot.slots() {
        let is_gone = slot.status().map(|status| status.has(Status::EXPUNGED));
        match is_gone.and_then(|is_gone| if is_gone { Ok(None) } else { message(&slot, &mut entries).map(Some) }) {
            Ok(Some(message)) => {
                stats.add(&message, now_s);
                stats.note_large(&message, top);
                note_sender(&mut senders, &message);
            }
            Ok(None) => {}
            Err(error) => bad(error),
        }
    }
    stats.senders = senders.len();
    let sender = |(address, (name, sum))| Sender { address, name, sum };
    let mut senders: Vec<Sender> = senders.into_iter().map(sender).collect();
    senders.sort_unstable_by(|a, b| b.sum.bytes.cmp(&a.sum.bytes).then_with(|| a.address.cmp(&b.address)));
    senders.truncate(top);
    stats.top_senders = senders;
    Ok(stats)
}

impl Stats {
    fn add(&mut self, message: &Message<'_>, now_s: i64) {
        let Message { status, entry, .. } = message;
        let size = entry.size;
        self.all.add(size);
        for (is_so, sum) in [
            (!status.flags().contains(Flags::SEEN), &mut self.unseen),
            (status.has(Status::NEW), &mut self.new),
            (status.has(Status::UNREADABLE), &mut self.unreadable),
            (status.has(Status::EMPTY), &mut self.empty),
            (entry.date.is_none(), &mut self.dateless),
            (entry.cut.names().next().is_some(), &mut self.truncated),
        ] {
            if is_so {
                sum.add(size);
            }
        }
        for letter in status.flags().letters() {
            self.flags.entry(letter).or_default().add(size);
        }
        self.sizes[SIZES.partition_point(|&below| below <= size)].add(size);
        let age_s = now_s.saturating_sub(order::date(message));
        self.ages[AGES.partition_point(|&below| below.saturating_mul(DAY_S) <= age_s)].add(size);
    }

    /// Keeps the largest, the older one of equal ones first.
    fn note_large(&mut self, message: &Message<'_>, top: usize) {
        let size = message.entry.size;
        if self.largest.len() == top && self.largest.last().is_none_or(|least| least.size >= size) {
            return;
        }
        let (from, subject) = (message.entry.from.to_string(), message.entry.subject.to_string());
        let large = Large { uid: message.uid, size, date: order::date(message), from, subject };
        let at = self.largest.partition_point(|other| other.size >= size);
        self.largest.insert(at, large);
        self.largest.truncate(top);
    }
}

fn note_sender(senders: &mut HashMap<String, (String, Sum)>, message: &Message<'_>) {
    let from = message.entry.from;
    let address = short::address(from);
    let address =
        if address.contains(char::is_uppercase) { Cow::Owned(address.to_lowercase()) } else { Cow::Borrowed(address) };
    let name = short::name(from);
    let name = if name == short::address(from) { Cow::Borrowed("") } else { name };
    if !senders.contains_key(&*address) {
        senders.insert(address.to_string(), (String::new(), Sum::default()));
    }
    let (known, sum) = senders.get_mut(&*address).expect("it was put there");
    sum.add(message.entry.size);
    if !name.is_empty() && name != *known {
        *known = name.into_owned();
    }
}
