//! Rewrites the index without what is dead, when everybody who keeps the folder open has closed it.

use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::index::Index;
use crate::index::compact::{Compacted, Dead};
use crate::index::publish::Writer;
use crate::lock::{Closing, Lock, Owner, Wait, who_is_open};
use crate::ops::build::{OnProgress, Progress};

/// How long others get to close, unless told otherwise.
const CLOSING: Duration = Duration::from_secs(10);

/// How long to wait for the lock, unless told otherwise.
const LOCKING: Duration = Duration::from_secs(30);

/// Between two looks whether all have closed.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// When to compact, and how long to wait for others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Do nothing unless so many percent of the index are dead.
    pub if_dead: u8,
    /// How long to wait for the lock, and how long for others to close; 30 s and 10 s if not given.
    pub wait: Option<Wait>,
    /// Go on when others have not closed. They find the new files by themselves.
    pub force: bool,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// There are new files. `still_open` names those who have not closed.
    Compacted {
        /// What was kept and dropped.
        compacted: Compacted,
        /// Who had not closed.
        still_open: Vec<String>,
    },
    /// Too little is dead to be worth it.
    NotWorthIt(Dead),
    /// Whoever hears the progress called it off; the files are as before.
    CalledOff,
}

/// How a turn ended in which we had the lock.
enum End {
    Done(Done),
    Asked,
}

/// Compacts the index of a folder. `told` hears who has the lock.
pub fn compact(
    folder: &Folder,
    options: Options,
    told: &mut dyn FnMut(Option<&Owner>),
    progress: OnProgress<'_>,
) -> Result<Done> {
    let wait = options.wait.unwrap_or(Wait::For(LOCKING));
    let mut request = Request { options, asked: None };
    loop {
        let lock = folder.lock("compact", wait, told)?;
        match request.turn(folder, &lock, progress)? {
            End::Done(done) => {
                lock.release()?;
                return Ok(done);
            }
            End::Asked => lock.give_way()?,
        }
    }
}

/// A compaction that may have to let others have the lock while it waits for them to close.
struct Request {
    options: Options,
    /// Since when all are asked to close, and the last change before that. Of that they tell before they close.
    asked: Option<(Closing, Instant, u64)>,
}

impl Request {
    fn turn(&mut self, folder: &Folder, lock: &Lock, progress: OnProgress<'_>) -> Result<End> {
        let mut writer = Writer::new(folder.index_to_change()?, lock)?;
        if self.options.if_dead > 0 && self.asked.is_none() {
            let dead = writer.dead()?;
            if dead.percent < self.options.if_dead {
                return Ok(End::Done(Done::NotWorthIt(dead)));
            }
        }
        let access = folder.access();
        let (closing, since, told) = match &mut self.asked {
            Some(asked) => asked,
            none => {
                let told = writer.snapshot()?.counter();
                none.insert((Closing::ask(folder.dir(), &access)?, Instant::now(), told))
            }
        };
        let mut still_open = Vec::new();
        let all_closed = loop {
            if let Some(all_closed) = closing.all_closed(folder.dir())? {
                break Some(all_closed);
            }
            if is_over(self.options.wait, *since) {
                still_open = who_is_open(folder.dir())?;
                if self.options.force {
                    break None;
                }
                return Err(Error::StillOpen { path: folder.path().to_path_buf(), who: still_open });
            }
            if progress(Progress { done: 0, total: 0 }).is_break() {
                return Ok(End::Done(Done::CalledOff));
            }
            // One of them may want the lock first.
            if lock.is_asked()? {
                writer.finish()?;
                return Ok(End::Asked);
            }
            thread::sleep(BETWEEN_LOOKS);
        };
        // From here to the commit nobody is let in.
        let told = all_closed.is_some().then_some(*told);
        let done = match writer.compact(access, told, &mut |done, total| progress(Progress { done, total }))? {
            ControlFlow::Continue(compacted) => Done::Compacted { compacted, still_open },
            ControlFlow::Break(()) => Done::CalledOff,
        };
        drop(writer);
        drop(all_closed);
        if let (Done::Compacted { .. }, Some(index)) = (&done, Index::open(folder.dir(), true)?) {
            Writer::new(index, lock)?.finish()?; // says that it has ended well
        }
        Ok(End::Done(done))
    }
}

fn is_over(wait: Option<Wait>, since: Instant) -> bool {
    match wait.unwrap_or(Wait::For(CLOSING)) {
        Wait::For(time) => since.elapsed() >= time,
        Wait::Forever => false,
    }
}
