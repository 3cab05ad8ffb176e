//! All tests of the program: one binary, a file a verb.

mod build;
mod concurrent;
mod crash;
mod mailbox;
mod oracle;
