//! All tests of the program: one binary, a file a verb.

mod build;
mod crash;
mod mailbox;
mod oracle;
