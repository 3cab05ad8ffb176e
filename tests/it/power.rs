//! Power loss, on a real file system: ext4 in an image file, of which a copy is taken while the program works. The copy has
//! what ext4 had written out by then, and nothing of what was still in memory. It is mounted (which replays the journal),
//! read, and put right by `build`; every UID that was shown before must still name its mail.
//!
//! The program is stopped for good just before one of its system calls, so the copy is of the moment after the one before.
//! In the short form these are the calls after some fsyncs and renames; with `MAILDEX_LONG=1` all that change anything.
//! Not seen here: a disk that has a cache of its own and loses it (what was written since the last flush, in any order).
//! `images.rs` makes such images of our own files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::crash::{change, filled};
use crate::images::start_again;
use crate::mailbox::{Mailbox, figures, forbidden, installed, long, mail, skipped};
use crate::oracle::Listed;
use crate::sweep::{Kill, NEW_CONTENTS, Place, STRACE, changing_calls, input, kill, strace_works, under_strace};
use crate::tally::Tally;

/// A file system in a file, mounted or not.
struct Disk {
    dir: tempfile::TempDir,
    options: &'static str,
    images: usize,
    is_mounted: bool,
}

impl Disk {
    /// An empty one that is mounted; `None`, said loudly, where that cannot be.
    fn new(options: &'static str) -> Option<Disk> {
        let what = "power loss on ext4";
        if !installed("mkfs.ext4") || !installed("mount") {
            skipped(what, "install e2fsprogs and mount");
            return None;
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut disk = Disk { dir, options, images: 0, is_mounted: false };
        fs::create_dir(disk.root()).expect("make the mount point");
        let image = disk.next_image();
        fs::File::create(&image).and_then(|file| file.set_len(24 << 20)).expect("make the image");
        // Nothing is left to be written in the background.
        let lazy = "lazy_itable_init=0,lazy_journal_init=0";
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-b", "4096", "-J", "size=4", "-E", lazy]).arg(&image);
        let made = make.output().expect("run mkfs.ext4");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        if let Err(why) = disk.mount(&image) {
            forbidden(what, &format!("run as root, with loop devices ({})", why.trim()));
            return None;
        }
        Some(disk)
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn next_image(&mut self) -> PathBuf {
        self.images += 1;
        self.dir.path().join(format!("image.{}", self.images))
    }

    fn mount(&mut self, image: &Path) -> Result<(), String> {
        // Only an fsync commits the journal, and not the clock.
        let options = format!("loop,commit=300,{}", self.options);
        let done = Command::new("mount").args(["-t", "ext4", "-o", &options]).arg(image).arg(self.root()).output();
        let done = done.expect("run mount");
        self.is_mounted = done.status.success();
        if self.is_mounted { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }

    fn unmount(&mut self) {
        if self.is_mounted {
            let done = Command::new("umount").arg(self.root()).output().expect("run umount");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            self.is_mounted = false;
        }
    }

    /// Writes and reads of the device, and how many are under way.
    fn traffic(&self) -> (String, bool) {
        let dev = fs::metadata(self.root()).expect("stat the mount point").dev();
        let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
        let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).expect("what the kernel counts");
        let columns: Vec<_> = stat.split_whitespace().collect();
        (columns[4].to_string(), columns[8] == "0")
    }

    /// A copy of the image as it is on the disk now, all of one moment.
    fn copy(&mut self, image: &Path) -> PathBuf {
        let copy = self.next_image();
        loop {
            let before = self.traffic();
            fs::copy(image, &copy).expect("copy the image");
            if before.1 && self.traffic() == before {
                return copy;
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg("-l").arg(self.root()).output();
        }
    }
}

/// A folder with everything that others can have done since the last build, on a disk that has all of it.
struct Prepared {
    disk: Disk,
    place: Place,
    image: PathBuf,
}

impl Prepared {
    fn new(options: &'static str) -> Option<Prepared> {
        let mut disk = Disk::new(options)?;
        let place = Place::new(filled(Mailbox::in_directory(&disk.root()))).build();
        change(&place.mailbox);
        disk.unmount();
        let image = disk.dir.path().join("image.1");
        Some(Prepared { disk, place, image })
    }

    /// Mounts the folder as it was prepared. Its image.
    fn mount(&mut self) -> PathBuf {
        let image = self.disk.next_image();
        fs::copy(&self.image, &image).expect("copy the image");
        self.disk.mount(&image).expect("mount the folder");
        image
    }

    /// The power fails at a step of a command; then all is looked at. Whether it came to that step.
    fn lose_at(&mut self, command: &[&str], at: &Kill) -> Result<bool, String> {
        let is_delivered = command == ["deliver"] && matches!(at, Kill::Never);
        self.lose(is_delivered, |place| match at {
            Kill::Never => place.run(command, 0).map(|_| false),
            at => kill(&place.mailbox, command, at),
        })
    }

    /// The power fails when something was done.
    fn lose<T>(&mut self, is_delivered: bool, act: impl FnOnce(&Place) -> Result<T, String>) -> Result<T, String> {
        let before = self.place.history.clone();
        let live = self.mount();
        let done = act(&self.place)?;
        // What anybody could have seen until now.
        let (_, shown) = self.place.show()?;
        let lost = self.disk.copy(&live);
        self.disk.unmount();
        self.disk.mount(&lost)?;
        let judged = self.judge(&shown, is_delivered);
        self.disk.unmount();
        for image in [live, lost] {
            fs::remove_file(image).expect("remove an image");
        }
        self.place.history = before;
        judged.map(|()| done)
    }

    fn judge(&mut self, shown: &[Listed], is_delivered: bool) -> Result<(), String> {
        start_again(&self.place.mailbox);
        let place = &mut self.place;
        let (code, _) = place.show()?; // a UID that names another mail shows here
        if ![Some(0), Some(75)].contains(&code) {
            return Err(format!("cannot be read after the power was lost: {code:?}"));
        }
        let listed = place.put_right()?;
        for was in shown {
            let same =
                listed.iter().find(|is| is.mail.base == was.mail.base && is.mail.message_id == was.mail.message_id);
            if let Some(is) = same.filter(|is| is.uid != was.uid) {
                return Err(format!("{was:?} has another UID: {is:?}"));
            }
        }
        let id = mail(NEW_CONTENTS);
        let id = id.lines().find_map(|line| line.strip_prefix("Message-ID: <")).expect("an id").trim_end_matches('>');
        if is_delivered && !listed.iter().any(|listed| listed.mail.message_id == id) {
            return Err("a mail that was delivered is gone".into());
        }
        let last = place.history.last();
        place.mailbox.deliver("new/9999999999.last", mail("last"));
        let newest = place.put_right()?.pop().expect("a mail was delivered");
        if newest.mail.message_id != "last@example.org" || newest.uid <= last {
            return Err(format!("UIDNEXT fell: {newest:?}, and UID {last} was shown before"));
        }
        Ok(())
    }

    /// The steps of a command: before each call that changes something, or before some of those that come after an fsync or
    /// a rename; and when it has ended.
    fn steps(&mut self, command: &[&str]) -> Vec<Kill> {
        let live = self.mount();
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut traced = under_strace(&self.place.mailbox.command(command), log.path(), None);
        self.place.mailbox.finish(traced.stdin(input(&self.place.mailbox))).ok();
        self.disk.unmount();
        fs::remove_file(live).expect("remove an image");
        let calls = changing_calls(&fs::read_to_string(log.path()).expect("read the log of strace"));
        let is_after = |n: &usize| {
            let before = n.checked_sub(1).map_or("", |n| calls[n].0.as_str());
            long() || ["fsync", "fdatasync"].contains(&before) || before.contains("rename") || before.contains("link")
        };
        let points = (0..calls.len()).filter(is_after).step_by(if long() { 1 } else { 2 });
        points.map(|n| Kill::Call(calls[n].0.clone(), calls[n].1)).chain([Kill::Never]).collect()
    }
}

/// Every command, on a disk that was mounted so.
fn lose_power(options: &'static str, commands: &[&[&str]]) {
    if !strace_works() {
        return skipped("power loss on ext4", STRACE);
    }
    let Some(mut prepared) = Prepared::new(options) else { return };
    let (mut tried, mut killed, mut failures) = (0, 0, Vec::new());
    for command in commands {
        for at in prepared.steps(command) {
            tried += 1;
            match prepared.lose_at(command, &at) {
                Ok(was_killed) => killed += usize::from(was_killed),
                Err(why) => failures.push(format!("{command:?} {at:?}: {why}")),
            }
            prepared.disk.unmount();
        }
    }
    Tally::CrashPoints.add(tried);
    figures(&format!(
        "power lost on ext4 with {options}: {tried} images, {killed} of them while the program worked, {} failures",
        failures.len()
    ));
    assert!(failures.is_empty(), "{} failures, the first:\n{}", failures.len(), failures[0]);
    assert_eq!(killed + commands.len(), tried, "each kill is one");
}

const COMMANDS: [&[&str]; 6] =
    [&["build"], &["compact"], &["deliver"], &["flag", "=RT,+a", "1:*"], &["replace", "4"], &["repair"]];

#[test]
fn power_lost_with_ordered_data_costs_no_uid() {
    lose_power("data=ordered", if long() { &COMMANDS } else { &COMMANDS[..3] });
}

#[test]
fn power_lost_with_data_written_late_costs_no_uid() {
    lose_power("data=writeback", if long() { &COMMANDS } else { &COMMANDS[3..5] });
}

/// A delivery whose syncs do nothing, and say that they did: the mail is lost, or its UID is of another one, and that is
/// noticed here.
#[test]
fn a_sync_that_was_left_out_shows_when_the_power_is_lost() {
    if !strace_works() {
        return skipped("syncs that do nothing", STRACE);
    }
    let Some(mut prepared) = Prepared::new("data=ordered") else { return };
    let lost = prepared.lose(true, |place| {
        let deliver = place.mailbox.command(["deliver"]);
        let mut deliver = under_strace(&deliver, "/dev/null".as_ref(), Some("inject=fsync,fdatasync:retval=0"));
        place.mailbox.finish(deliver.stdin(input(&place.mailbox))).ok();
        Ok(())
    });
    let why = lost.expect_err("a mail that was never synced");
    assert!(why.contains("WRONG UID") || why.contains("is gone"), "{why}");
}
