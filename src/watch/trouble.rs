//! What a watcher runs into, and goes on in spite of.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::watch::POLL;
use crate::watch::bell::Deaf;

/// What stands in the way of watching, said once each.
#[derive(Debug)]
pub enum Trouble {
    /// No inotify: the folder is looked at every now and then.
    Deaf {
        /// The directory.
        path: PathBuf,
        /// What the kernel has too few of: `fs.inotify.` and so on, if that is the reason.
        sysctl: Option<&'static str>,
        /// What was wrong.
        why: String,
    },
    /// A file system that other machines change without a ring here.
    Remote {
        /// The folder.
        path: PathBuf,
        /// Its kind.
        kind: String,
    },
    /// Events were lost, so everything was looked at.
    Overflow,
    /// Something that has to be mended by somebody else; until then it is tried again.
    Failed(Error),
}

impl Trouble {
    pub(crate) fn deaf(path: PathBuf, deaf: &Deaf) -> Trouble {
        let (sysctl, why) = match deaf {
            Deaf::Instances => (Some("fs.inotify.max_user_instances"), "too many inotify instances are in use".into()),
            Deaf::Watches => (Some("fs.inotify.max_user_watches"), "too many directories are watched already".into()),
            Deaf::NotThere => (None, "it is not there".into()),
            Deaf::Other(why) => (None, why.clone()),
        };
        Trouble::Deaf { path, sysctl, why }
    }

    /// What to do about it, in one line.
    pub fn hint(&self) -> Option<String> {
        match self {
            Trouble::Deaf { sysctl: Some(sysctl), .. } => Some(format!("allow more with: sysctl {sysctl}=N")),
            Trouble::Overflow => {
                Some("nothing was missed; a longer queue: sysctl fs.inotify.max_queued_events=N".into())
            }
            Trouble::Failed(error) => error.hint(),
            Trouble::Deaf { .. } | Trouble::Remote { .. } => None,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Deaf { path, why, .. } => {
                write!(f, "{}: cannot be watched: {why}; looking every {}", path.display(), Seconds(POLL))
            }
            Trouble::Remote { path, kind } => write!(
                f,
                "{}: is on {kind}, where what others do rings no bell; looking every {}, too",
                path.display(),
                Seconds(POLL)
            ),
            Trouble::Overflow => write!(f, "the kernel has dropped events; looked at every folder instead"),
            Trouble::Failed(error) => write!(f, "{error}"),
        }
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs())
    }
}
