//! All tests of the program: one binary, a file a verb.

mod build;
mod build_files;
mod build_guard;
mod build_identity;
mod build_model;
mod cat;
mod changes;
mod check;
mod cli;
mod concurrent;
mod count;
mod crash;
mod demo;
mod flag;
mod format;
mod generate;
mod inc;
mod list;
mod list_output;
mod lock_ask;
mod mailbox;
mod oracle;
mod sample;
mod show;
mod tree;
