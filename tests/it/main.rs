//! All tests of the program: one binary, a file a verb.

mod build;
mod concurrent;
mod crash;
mod format;
mod mailbox;
mod oracle;
