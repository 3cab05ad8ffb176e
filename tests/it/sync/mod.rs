//! `sync`: a mail root on several machines, which here are directories.

mod beside;
mod cases;
mod cut;
mod far;
mod first;
mod git;
mod guard;
mod hostile;
mod kill;
mod model;
mod partition;
mod replica;
mod restored;
