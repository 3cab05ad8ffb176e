//! Reading many mails: several threads, results in order.
//!
//! Cold storage answers many requests at once, so there are more threads than cores; warm they do no harm. Each takes
//! the next few mails, reads the headers, and writes finished entries into one buffer.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Condvar, Mutex};

use rustix::fs::Stat;
use rustix::io::Errno;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::format::entry::Entry;
use crate::maildir::summary::{HEADER_MAX, Summary, header_len};
use crate::maildir::{Sub, mtime_ns, name, open_mail};

/// Threads that wait for the disk at once.
const THREADS: usize = 16;

/// Mails that a thread takes at a time.
const CHUNK: usize = 64;

/// Chunks that may be ahead of the one that is waited for: a bound for memory, 10 MB, and enough to go on while what was
/// read before is synced.
const AHEAD: usize = 16 * THREADS;

/// Fewer mails than this are not worth a thread.
const WORTH_THREADS: usize = 128;

/// Most headers are shorter, and a file system reads a page anyway.
const FIRST_READ: usize = 4096;

/// A mail to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) sub: Sub,
    pub(crate) name: &'a [u8],
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    Read(Mail<'a>),
    /// The name is no longer there.
    Vanished,
    /// It is no plain file.
    NotMail,
    /// It cannot be read; `entry` has its base name only.
    Unreadable(Errno, &'a mut [u8]),
}

/// A mail that was read.
#[derive(Debug)]
pub(crate) struct Mail<'a> {
    pub(crate) size: u64,
    pub(crate) received_ns: i64,
    pub(crate) header_crc: u32,
    /// It has a header with at least one field that we know.
    pub(crate) has_header: bool,
    /// The entry, to be closed.
    pub(crate) entry: &'a mut [u8],
}

#[derive(Debug, Clone, Copy)]
enum Raw {
    Read { size: u64, received_ns: i64, header_crc: u32, has_header: bool },
    Vanished,
    NotMail,
    Unreadable(Errno),
}

/// Results of some mails, with their entries in one buffer.
#[derive(Debug, Default)]
struct Chunk {
    entries: Vec<u8>,
    results: Vec<(Raw, Range<usize>)>,
}

/// `new/` and `cur/`, as far as they are there.
pub(crate) type Subs = [Option<Dir>; 2];

/// Summarises one mail: its size, time of delivery, and header.
pub(crate) fn read_one(mail: File) -> Result<(u64, i64, Summary), Errno> {
    let stat = rustix::fs::fstat(&mail)?;
    Reader::default().summarise(mail, &stat)
}

/// Reads all mails and hands the outcomes to `take`, in order, with their positions; stops early if that says so. An error
/// if no more files can be opened.
pub(crate) fn read_all<'a>(
    dirs: &Subs,
    requests: &(impl Fn(usize) -> Request<'a> + Sync),
    count: usize,
    mut take: impl FnMut(usize, Outcome<'_>) -> Result<bool>,
) -> Result<()> {
    let chunks = count.div_ceil(CHUNK);
    let read_chunk = |number: usize, reader: &mut Reader| {
        let mut chunk = Chunk::default();
        for position in number * CHUNK..count.min((number + 1) * CHUNK) {
            reader.read(dirs, requests(position), &mut chunk);
        }
        chunk
    };
    let mut take_chunk = |number: usize, chunk: Chunk| -> Result<bool> {
        let Chunk { mut entries, results } = chunk;
        for (position, (raw, range)) in (number * CHUNK..).zip(results) {
            // Not the mail's fault: nothing can be opened now, nor could be what follows.
            if let Raw::Unreadable(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) = raw {
                let Request { sub, name } = requests(position);
                let dir = dirs[sub as usize].as_ref().map_or(Path::new(sub.as_str()), Dir::path);
                return Err(Error::io("cannot open", dir.join(OsStr::from_bytes(name)))(errno));
            }
            if !take(position, raw.outcome(&mut entries[range]))? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let take_all = |read_chunk: &dyn Fn(usize, &mut Reader) -> Chunk,
                    take_chunk: &mut dyn FnMut(usize, Chunk) -> Result<bool>| {
        let mut reader = Reader::default();
        for number in 0..chunks {
            if !take_chunk(number, read_chunk(number, &mut reader))? {
                break;
            }
        }
        Ok(())
    };
    if count < WORTH_THREADS {
        return take_all(&read_chunk, &mut take_chunk);
    }
    let gate = Gate { state: Mutex::new((0, 0)), moved: Condvar::new(), chunks };
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        let _close = Close(&gate);
        let mut spawned = 0;
        for _ in 0..THREADS.min(chunks) {
            let (sender, gate, read_chunk) = (sender.clone(), &gate, &read_chunk);
            let work = move || {
                let _close = Close(gate); // if this one panics, the others must not wait for it
                let mut reader = Reader::default();
                while let Some(number) = gate.next() {
                    if sender.send((number, read_chunk(number, &mut reader))).is_err() {
                        break;
                    }
                }
            };
            // The system may allow fewer threads; one is enough.
            spawned += usize::from(std::thread::Builder::new().spawn_scoped(scope, work).is_ok());
        }
        drop(sender);
        if spawned == 0 {
            return take_all(&read_chunk, &mut take_chunk);
        }
        let mut early = BTreeMap::new();
        for number in 0..chunks {
            let chunk = loop {
                match early.remove(&number) {
                    Some(chunk) => break chunk,
                    None => match receiver.recv() {
                        Ok((other, chunk)) => drop(early.insert(other, chunk)),
                        // All threads have ended, and only a panic ends them early; the scope passes it on.
                        Err(mpsc::RecvError) => return Ok(()),
                    },
                }
            };
            gate.taken(number);
            if !take_chunk(number, chunk)? {
                break;
            }
        }
        Ok(())
    })
}

/// Lets threads take chunks, but not too far ahead of the one that is waited for.
struct Gate {
    /// Next chunk to hand out, chunks taken.
    state: Mutex<(usize, usize)>,
    moved: Condvar,
    chunks: usize,
}

impl Gate {
    fn next(&self) -> Option<usize> {
        let state = self.state.lock().expect("no thread panics with the gate");
        let waiting = |state: &mut (usize, usize)| state.0 < self.chunks && state.0 >= state.1 + AHEAD;
        let mut state = self.moved.wait_while(state, waiting).expect("no thread panics with the gate");
        let number = state.0;
        state.0 = self.chunks.min(number + 1);
        (number < self.chunks).then_some(number)
    }

    fn taken(&self, number: usize) {
        self.state.lock().expect("no thread panics with the gate").1 = number + 1;
        self.moved.notify_one(); // one chunk more is one thread more that may go on
    }
}

/// However the work ends, well or not, it ends for all threads.
struct Close<'g>(&'g Gate);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        if let Ok(mut state) = self.0.state.lock() {
            state.0 = self.0.chunks;
        }
        self.0.moved.notify_all();
    }
}

impl Raw {
    fn outcome(self, entry: &mut [u8]) -> Outcome<'_> {
        match self {
            Raw::Read { size, received_ns, header_crc, has_header } => {
                Outcome::Read(Mail { size, received_ns, header_crc, has_header, entry })
            }
            Raw::Vanished => Outcome::Vanished,
            Raw::NotMail => Outcome::NotMail,
            Raw::Unreadable(errno) => Outcome::Unreadable(errno, entry),
        }
    }
}

/// One thread's buffer.
#[derive(Debug, Default)]
struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    fn read(&mut self, dirs: &Subs, request: Request<'_>, chunk: &mut Chunk) {
        let start = chunk.entries.len();
        let base = name::base_of(request.name);
        let dir = dirs[request.sub as usize].as_ref().ok_or(Errno::NOENT);
        let opened = dir.and_then(|dir| open_mail(dir, request.name));
        let raw = match opened.and_then(|(file, stat)| self.summarise(file, &stat)) {
            Ok((size, received_ns, summary)) => {
                let has_header = summary != Summary { header_crc: summary.header_crc, ..Summary::default() };
                Entry::new(base, received_ns, size, &summary).write(&mut chunk.entries);
                Raw::Read { size, received_ns, header_crc: summary.header_crc, has_header }
            }
            Err(Errno::NOENT) => Raw::Vanished,
            Err(Errno::LOOP | Errno::NXIO) => Raw::NotMail,
            Err(errno) => {
                let nothing = Summary::default();
                Entry { unreadable: true, ..Entry::new(base, 0, 0, &nothing) }.write(&mut chunk.entries);
                Raw::Unreadable(errno)
            }
        };
        chunk.results.push((raw, start..chunk.entries.len()));
    }

    fn summarise(&mut self, mut file: File, stat: &Stat) -> Result<(u64, i64, Summary), Errno> {
        self.buffer.resize(FIRST_READ, 0);
        let mut filled = 0;
        let mut searched = 0;
        let header = loop {
            let got = match file.read(&mut self.buffer[filled..]) {
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
            };
            filled += got;
            if let Some(len) = header_len(&self.buffer[..filled], searched) {
                break &self.buffer[..len];
            }
            if got == 0 || filled >= HEADER_MAX || filled as u64 >= stat.st_size as u64 {
                break &self.buffer[..filled.min(HEADER_MAX)];
            }
            searched = filled;
            if filled == self.buffer.len() {
                self.buffer.resize((filled * 4).min(HEADER_MAX), 0);
            }
        };
        Ok((stat.st_size as u64, mtime_ns(stat), Summary::read(header)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many requests for a mail that is there, and what stops the taking of them.
    fn read(count: usize, take: impl FnMut(usize, Outcome<'_>) -> Result<bool>) -> Result<()> {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("cur")).unwrap();
        std::fs::write(temp.path().join("cur/1:2,"), "Subject: x\n\n").unwrap();
        let dirs = [None, Some(Dir::open(&temp.path().join("cur")).unwrap())];
        read_all(&dirs, &|_| Request { sub: Sub::Cur, name: b"1:2," }, count, take)
    }

    #[test]
    fn results_come_in_order_and_all_of_them() {
        for count in [0, 1, WORTH_THREADS, 10_000] {
            let mut next = 0;
            read(count, |position, outcome| {
                assert!(position == next && matches!(outcome, Outcome::Read(_)));
                next += 1;
                Ok(true)
            })
            .unwrap();
            assert_eq!(next, count);
        }
    }

    #[test]
    fn stopping_early_ends_the_threads() {
        let mut taken = 0;
        read(10_000, |_, _| {
            taken += 1;
            Ok(taken < 100)
        })
        .unwrap();
        assert_eq!(taken, 100);
    }

    #[test]
    fn a_panic_in_a_thread_ends_the_others() {
        let dirs = [None, None];
        let request = |position: usize| {
            assert!(position != 5_000, "on purpose");
            Request { sub: Sub::Cur, name: b"x" }
        };
        let all = std::panic::AssertUnwindSafe(|| read_all(&dirs, &request, 20_000, |_, _| Ok(true)));
        assert!(std::panic::catch_unwind(all).is_err());
    }
}
