//! Times of directories that prove nothing: whole seconds, times that were put back, clocks that went back.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::mailbox::{Mailbox, forbidden, installed, long, skipped};

/// A file system with times of whole seconds: ext4 with inodes of 128 bytes, in a file.
struct Disk {
    image: tempfile::NamedTempFile,
    place: tempfile::TempDir,
    mounted: bool,
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

impl Disk {
    /// `None`, said loudly, where nothing can be mounted.
    fn new() -> Option<Disk> {
        if !installed("mkfs.ext4") || !installed("debugfs") {
            skipped("times of whole seconds", "install e2fsprogs");
            return None;
        }
        let image = tempfile::NamedTempFile::new().expect("a file");
        image.as_file().set_len(32 << 20).expect("make it long");
        let made = run("mkfs.ext4", &["-q".as_ref(), "-I".as_ref(), "128".as_ref(), image.path().as_ref()]);
        let mut disk = Disk { image, place: tempfile::tempdir().expect("a directory"), mounted: false };
        if made && disk.mount() {
            return Some(disk);
        }
        forbidden("times of whole seconds", "run the tests as root, with loop devices");
        None
    }

    fn mount(&mut self) -> bool {
        self.mounted =
            run("mount", &["-o".as_ref(), "loop".as_ref(), self.image.path().as_ref(), self.place.path().as_ref()]);
        self.mounted
    }

    fn unmount(&mut self) {
        if std::mem::take(&mut self.mounted) {
            assert!(run("umount", &[self.place.path().as_ref()]), "umount");
        }
    }

    /// Sets times of a directory that no program can set, as a clock that goes wrong does. (faketime does not reach a
    /// program that asks the kernel for the time without the C library.)
    fn set_times(&mut self, directory: &str, seconds: u64) {
        self.unmount();
        for field in ["ctime", "mtime"] {
            let request = format!("set_inode_field /{directory} {field} @{seconds}");
            let arguments = ["-w".as_ref(), "-R".as_ref(), request.as_ref(), self.image.path().as_ref()];
            assert!(run("debugfs", &arguments), "{request}");
        }
        assert!(self.mount(), "mount it again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            run("umount", &[self.place.path().as_ref()]);
        }
    }
}

fn count(mail: &Mailbox) -> String {
    mail.run(["count"]).ok().text()
}

#[test]
fn each_mail_is_there_at_once_though_times_have_whole_seconds() {
    let Some(disk) = Disk::new() else { return };
    let mail = Mailbox::in_directory(disk.place.path());
    mail.run(["build"]).ok();
    let rounds = if long() { 1000 } else { 200 };
    for n in 1..=rounds {
        mail.deliver(format!("new/{n}.host"), "Subject: x\n\n");
        assert_eq!(count(&mail), format!("{n}\n"), "after mail {n}");
    }
    mail.assert_sound();
    drop(mail);
}

#[test]
fn a_clock_that_went_back_a_year_hides_no_mail_and_no_uid_comes_again() {
    let Some(mut disk) = Disk::new() else { return };
    let mail = Mailbox::in_directory(disk.place.path());
    for n in 1..=3 {
        mail.deliver(format!("cur/{n}.host:2,"), "Subject: x\n\n");
    }
    mail.run(["build"]).ok();
    mail.remove("cur/3.host:2,");
    // As if all that had happened in a year from now.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let year = now + 365 * 24 * 3600;
    let folder = mail.path();
    let inside = folder.strip_prefix(disk.place.path()).expect("on the disk").to_path_buf();
    for sub in ["cur", "new"] {
        disk.set_times(inside.join(sub).to_str().expect("UTF-8"), year);
    }
    mail.run(["build"]).ok();
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n");
    for n in 4..8 {
        mail.deliver(format!("new/{n}.host"), "Subject: x\n\n");
        assert_eq!(count(&mail), format!("{}\n", n - 1));
    }
    mail.run(["list", "--uids"]).ok().stdout("1\n2\n4\n5\n6\n7\n");
    mail.assert_sound();
    drop(mail);
}

#[test]
fn times_that_were_put_back_hide_no_mail() {
    let mail = Mailbox::new().message("new/1.host", "Subject: x\n\n");
    mail.run(["build"]).ok();
    mail.settle();
    let put_back = |path: &Path, to: SystemTime| {
        File::open(path).and_then(|dir| dir.set_times(FileTimes::new().set_modified(to))).expect("set its times");
    };
    let before = fs::metadata(mail.file("new")).and_then(|meta| meta.modified()).expect("its mtime");
    for (n, time) in [(2, before), (3, before - Duration::from_hours(1)), (4, SystemTime::UNIX_EPOCH)] {
        mail.deliver(format!("new/{n}.host"), "Subject: x\n\n");
        put_back(&mail.file("new"), time);
        assert_eq!(count(&mail), format!("{n}\n"));
    }
    mail.assert_sound();
}
