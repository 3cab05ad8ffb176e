//! Network file systems: found out, and refused.
//!
//! Maps of a file on two hosts do not share their pages, and a flock may be seen by one host only. What looks like
//! working there gives one UID to two mails one day.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, StatxFlags};

use crate::dir::Dir;
use crate::error::{Error, Result};

/// File systems that other hosts, or the host of a virtual machine, use at the same time: `f_type` of statfs, and name.
const SHARED: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x0bd0_0bd0, "Lustre"),
    (0x1983_0326, "BeeGFS"),
    (0x4750_4653, "GPFS"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0xaad7_aaea, "PanFS"),
    (0x786f_4256, "VirtualBox shared folders"),
    (0xbacb_acbc, "VMware shared folders"),
    (0x6462_671f, "parallels shared folders"),
];

/// FUSE says nothing about itself there; its kind is in the list of mounts. These are on other hosts.
const FUSE: u64 = 0x6573_5546;
const SHARED_FUSE: &[&str] = &[
    "virtiofs",
    "sshfs",
    "glusterfs",
    "ceph-fuse",
    "ceph",
    "juicefs",
    "mfs",
    "moosefs",
    "lizardfs",
    "seaweedfs",
    "s3fs",
    "gcsfuse",
    "goofys",
    "rclone",
    "davfs",
    "curlftpfs",
    "smbnetfs",
    "nfs",
    "grpcfuse",
    "osxfs",
    "vmhgfs-fuse",
];

/// Fails with [`Error::Network`] if the directory is on a file system that is shared with other hosts.
pub(crate) fn refuse(dir: &Dir) -> Result<()> {
    match shared_kind(dir)? {
        Some(kind) => Err(Error::Network { path: dir.path().to_path_buf(), kind }),
        None => Ok(()),
    }
}

/// The kind of the file system that a directory is on, if that is shared with other hosts.
pub(crate) fn shared_kind(dir: &Dir) -> Result<Option<String>> {
    let statfs = rustix::fs::fstatfs(dir).map_err(Error::io("cannot statfs", dir.path()))?;
    // The kernel's numbers have 32 bits, whatever the type that carries them.
    let number = statfs.f_type as u64 & 0xffff_ffff;
    Ok(if number == FUSE { kind(dir).filter(|kind| is_shared_fuse(kind)) } else { shared(number) })
}

fn shared(number: u64) -> Option<String> {
    SHARED.iter().find(|(shared, _)| *shared == number).map(|(_, name)| (*name).to_string())
}

fn is_shared_fuse(kind: &str) -> bool {
    SHARED_FUSE.contains(&kind.strip_prefix("fuse.").unwrap_or(kind))
}

/// The type of the mount that holds a directory, as `ext4` or `fuse.sshfs`.
pub(crate) fn kind(dir: &Dir) -> Option<String> {
    let statx = rustix::fs::statx(dir.as_fd(), "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    kind_in(&std::fs::read_to_string("/proc/self/mountinfo").ok()?, statx.stx_mnt_id)
}

/// Finds a mount in the text of `/proc/self/mountinfo`: its id is the first field, its type the first after ` - `.
fn kind_in(mounts: &str, id: u64) -> Option<String> {
    let id = id.to_string();
    let line = mounts.lines().find(|line| line.split(' ').next() == Some(&id))?;
    line.split_once(" - ")?.1.split(' ').next().map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_other_hosts_share_is_known_by_its_number() {
        for (number, name) in [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0x0102_1997, "9P"), (0x00c3_6400, "Ceph")] {
            assert_eq!(shared(number).as_deref(), Some(name));
        }
        // ext4, xfs, btrfs, tmpfs, overlay, zfs, f2fs.
        for number in [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1, 0xf2f5_2010] {
            assert_eq!(shared(number), None, "{number:#x}");
        }
        refuse(&Dir::open(Path::new("/proc")).unwrap()).unwrap();
    }

    #[test]
    fn fuse_is_told_by_its_mount() {
        let mounts = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                      2230 22 0:40 / /m\\040x rw shared:7 master:2 - fuse.sshfs host:/a\\040b rw,user_id=0\n\
                      31 22 0:41 / /n rw - fuse.bindfs /x rw\n32 22 0:42 / /o rw - virtiofs tag rw\n";
        let shared = |id| kind_in(mounts, id).is_some_and(|kind| is_shared_fuse(&kind));
        assert_eq!(kind_in(mounts, 2230).as_deref(), Some("fuse.sshfs"));
        assert!(shared(2230) && shared(32) && !shared(31) && !shared(22) && !shared(223) && !shared(3));
        // The mount of a directory that is really there is found, whatever it is.
        let dir = Dir::open(Path::new("/proc")).unwrap();
        assert_eq!(kind(&dir).as_deref(), Some("proc"));
    }
}
