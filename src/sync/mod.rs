//! One mail root on several machines, through git: replicas that work offline, and meet.
//!
//! Each replica has a [`State`]: which mail is in which folder, with which flags, under which UID. Two states are joined
//! without a common ancestor ([`join`](mod@join)), and every replica that joins the same states comes to the same one. git
//! stores states and carries them; it never merges, and a Maildir is never a work tree.
//!
//! The layers: [`state`] is what is known, [`edit`] what changes it here, [`join`](mod@join) how two become one; these are pure. [`guid`]
//! names a mail, [`text`] and [`log`] are the bytes of our files in the repository, [`git`] calls git, and [`repository`]
//! stores states.

pub mod apply;
mod arrive;
mod busy;
mod cut;
pub mod edit;
pub mod git;
pub mod guid;
pub mod id;
mod import;
pub mod join;
pub mod local;
pub mod log;
mod meet;
mod numbers;
mod peer;
mod remote;
mod renew;
pub mod replica;
pub mod repository;
pub mod run;
pub mod scan;
mod seal;
pub mod state;
pub mod text;
pub mod trash;
mod tree;

pub use cut::Cut;
pub use import::Import;
pub use join::{Burnt, Merged, Numbering, Why, merge};
pub use meet::SameContent;
pub use remote::Remote;
pub use renew::Why as WhyNew;
pub use repository::{Peer, Repository, Tip};
pub use state::{Dot, Folder, FolderId, Guid, Mail, ReplicaId, State};
