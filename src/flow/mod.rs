//! Floor 4: one file per command noun; orchestrates, prints nothing.

pub mod access;
pub mod add;
pub mod apply;
pub mod audit;
pub mod context;
pub mod doctor;
pub mod emergency;
pub mod env;
pub mod evidence;
pub mod export;
pub mod github;
pub mod import;
pub mod init;
pub mod leaks;
pub mod list;
pub mod observe;
pub mod planning;
pub mod rotation;
pub mod sync;
pub mod targets;
pub mod template;
pub mod usage;
pub mod verify;
