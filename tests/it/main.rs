//! All tests of the program: one binary, a file a verb.

mod build;
mod build_identity;
mod mailbox;
