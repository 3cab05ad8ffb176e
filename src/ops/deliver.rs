//! Delivery, for mail servers: the mail first, and whole; then the index, if nothing stands against it.
//!
//! When [`deliver`] has returned, the mail is in its place and durable, whatever becomes of the index. Before that it is
//! in `tmp/`, where nobody takes it for mail, mostly without a name, so that a killed delivery leaves nothing.

use std::io::{self, BufRead, BufReader, Read};
use std::time::{Duration, SystemTime};

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::Uid;
use crate::lock::Wait;
use crate::maildir::draft::Draft;
use crate::maildir::flags::Flags;
use crate::maildir::name::canonical;
use crate::maildir::{Maildir, Sub};
use crate::ops::build::{OnProgress, Options, build};
use crate::ops::enter::Entering;

/// A delivery must not take long: an index is only made where there are no more mails than this.
const QUICKLY_BUILT: usize = 1000;

/// A mail in its place.
#[derive(Debug)]
pub struct Delivered {
    /// Its folder.
    pub maildir: Maildir,
    /// Its directory.
    pub sub: Sub,
    /// Its file name.
    pub name: Vec<u8>,
}

/// Puts a mail into a folder: into `new/`, or, with flags, into `cur/`, as mail with flags is nothing new. The line
/// `From sender date` before the header, with which mail servers and mbox files begin a mail, is no part of it.
pub fn deliver(root: Dir, contents: &mut dyn Read, flags: Flags) -> Result<Delivered> {
    let maildir = Maildir::new(root.into(), false)?;
    let mut draft = Draft::begin(&maildir, &maildir.access())?;
    let from = |source| Error::Io { path: "standard input".into(), doing: "cannot read", source };
    if draft.write(&mut without_from_line(contents).map_err(from)?)? == 0 {
        return Err(Error::NoContents { path: maildir.path().to_path_buf() });
    }
    let (sub, info) = match flags {
        Flags::NONE => (Sub::New, Vec::new()),
        flags => (Sub::Cur, canonical(b"", flags, false)),
    };
    // It may be that it cannot be opened: sooner than a mail is written for nothing.
    let dir = maildir.sub(sub)?;
    draft.finish(SystemTime::now(), None)?;
    let name = draft.place(&dir, &info)?;
    Ok(Delivered { maildir, sub, name })
}

/// Takes a delivered mail into the index, and makes that where it is done at once. Never waits for the lock. `None`: the
/// mail has been taken away meanwhile, or renamed.
pub fn index(folder: &mut Folder, mail: &Delivered, progress: OnProgress<'_>) -> Result<Option<Uid>> {
    let wait = Wait::For(Duration::ZERO);
    match folder.complete_index() {
        Ok(_) => {
            let lock = folder.lock("deliver", wait, &mut |_| ())?;
            let mut entering = Entering::begin(folder, &lock)?;
            let uid = entering.enter(mail.sub, &mail.name)?;
            entering.finish()?;
            lock.release()?;
            Ok(uid)
        }
        Err(Error::NoIndex { .. }) if is_small(&mail.maildir)? => {
            build(folder, Options::default(), wait, &mut |_| (), progress)?;
            let snapshot = folder.complete_index()?.snapshot()?;
            let base = crate::maildir::name::base_of(&mail.name);
            let slot = snapshot.find_base(base, &mut snapshot.index().entries()?)?;
            slot.map(|slot| slot.uid()).transpose()
        }
        Err(error) => Err(error),
    }
}

/// Looks no further than it must.
fn is_small(maildir: &Maildir) -> Result<bool> {
    let mut mails = 0;
    for sub in Sub::ALL {
        let path = maildir.path().join(sub.as_str());
        let dir = maildir.sub(sub)?;
        let names = rustix::fs::Dir::read_from(&dir).map_err(Error::io("cannot list", path))?;
        mails += names.take(QUICKLY_BUILT + 1).count();
    }
    Ok(mails <= QUICKLY_BUILT)
}

fn without_from_line(contents: &mut dyn Read) -> io::Result<impl Read + use<'_>> {
    const FROM: &[u8] = b"From ";
    let mut contents = BufReader::with_capacity(64 << 10, contents);
    let mut head = Vec::new();
    contents.by_ref().take(FROM.len() as u64).read_to_end(&mut head)?;
    if head == FROM {
        head.clear();
        contents.skip_until(b'\n')?;
    }
    Ok(io::Cursor::new(head).chain(contents))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time, as a slow pipe.
    struct Slowly<'b>(&'b [u8]);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(&mut buffer[..1])
        }
    }

    #[test]
    fn the_from_line_of_an_mbox_is_no_part_of_the_mail() {
        for (given, expected) in [
            ("From a@b Thu Jan  1 00:00:00 1970\nSubject: x\n\nFrom me\n", "Subject: x\n\nFrom me\n"),
            ("From: a@b\n\nx", "From: a@b\n\nx"),
            (">From a\nSubject: x\n", ">From a\nSubject: x\n"),
            ("Subject: x\nFrom b\n", "Subject: x\nFrom b\n"),
            ("From a@b", ""),
            ("From a@b\n", ""),
            ("From", "From"),
            ("x", "x"),
            ("", ""),
        ] {
            let mut got = String::new();
            without_from_line(&mut Slowly(given.as_bytes())).unwrap().read_to_string(&mut got).unwrap();
            assert_eq!(got, expected, "{given:?}");
        }
    }
}
