//! The names of a dataset's objects, made and taken apart.
//!
//! Numbers are padded to 20 digits, so that the order of names is the order of numbers. What an entry names carries
//! its writer's epoch and a random id: two producers never write one object, and garbage is recognised by its name.

use std::fmt;

use cenote_state::ids::{Epoch, Position};

/// The heartbeat, and a place to start.
pub const HINT: &str = "hint";
/// A log key that never exists: the log begins at 1. `open` asks for it, to see what "not found" looks like.
pub(crate) const NEVER: &str = "log/00000000000000000000";

const DIGITS: usize = 20;
/// The folder of the log's entries.
pub const LOG: &str = "log";

/// What kind of object an entry can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// Deltas too large for their entry.
    Blobs,
    /// Whole states. The position is the version.
    Snapshots,
    /// Places to start.
    Checkpoints,
}

impl Folder {
    /// All of them: what a sweep lists.
    pub const ALL: [Folder; 3] = [Folder::Blobs, Folder::Snapshots, Folder::Checkpoints];

    /// The folder's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Folder::Blobs => "blobs",
            Folder::Snapshots => "snapshots",
            Folder::Checkpoints => "checkpoints",
        }
    }
}

/// The name of an object that an entry names: `<folder>/<position>-<epoch>-<id>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Its kind.
    pub folder: Folder,
    /// The version of a snapshot; else the position that the naming entry was meant for.
    pub position: Position,
    /// Its writer's epoch.
    pub epoch: Epoch,
    /// Random, so that no two attempts share an object.
    pub id: [u8; 16],
}

impl ObjectName {
    /// Takes a name apart; `None` if it is not one that we make.
    #[must_use]
    pub fn parse(name: &str) -> Option<ObjectName> {
        let (folder, rest) = name.split_once('/')?;
        let folder = Folder::ALL.into_iter().find(|known| known.name() == folder)?;
        let mut parts = rest.split('-');
        let position = Position(parse_number(parts.next()?)?);
        let epoch = Epoch(parts.next()?.parse().ok()?);
        let id = parse_id(parts.next()?)?;
        let parsed = ObjectName { folder, position, epoch, id };
        // Only the one spelling that we would write: a second name for the same numbers is another object.
        (parts.next().is_none() && parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:0DIGITS$}-{}-", self.folder.name(), self.position.0, self.epoch)?;
        self.id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The name of the entry at `position`.
#[must_use]
pub fn log_entry(position: Position) -> String {
    format!("{LOG}/{:0DIGITS$}", position.0)
}

/// The position of the entry with this name; `None` if it is not a log key.
#[must_use]
pub fn log_position(name: &str) -> Option<Position> {
    let digits = name.strip_prefix(LOG)?.strip_prefix('/')?;
    parse_number(digits).map(Position)
}

fn parse_number(digits: &str) -> Option<u64> {
    let plain = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn parse_id(text: &str) -> Option<[u8; 16]> {
    let plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_key_is_padded() {
        assert_eq!(log_entry(Position(42)), "log/00000000000000000042");
        assert_eq!(log_entry(Position(u64::MAX)), "log/18446744073709551615");
        assert_eq!(log_entry(Position(0)), NEVER);
    }

    #[test]
    fn log_keys_read_back() {
        for position in [0, 1, 42, u64::MAX] {
            assert_eq!(log_position(&log_entry(Position(position))), Some(Position(position)));
        }
        for name in ["log/42", "log/+0000000000000000042", "logs/00000000000000000042", "log/99999999999999999999", ""]
        {
            assert_eq!(log_position(name), None, "{name}");
        }
    }

    #[test]
    fn object_names_read_back() {
        for folder in Folder::ALL {
            let name = ObjectName { folder, position: Position(42), epoch: Epoch(7), id: [0xAB; 16] };
            assert_eq!(ObjectName::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn only_our_own_spelling_is_a_name() {
        let good = "blobs/00000000000000000042-7-000102030405060708090a0b0c0d0e0f";
        assert!(ObjectName::parse(good).is_some());
        for bad in [
            "blob/00000000000000000042-7-000102030405060708090a0b0c0d0e0f",
            "blobs/42-7-000102030405060708090a0b0c0d0e0f",
            "blobs/00000000000000000042-07-000102030405060708090a0b0c0d0e0f",
            "blobs/00000000000000000042-7-000102030405060708090A0B0C0D0E0F",
            "blobs/00000000000000000042-7-0001",
            "blobs/00000000000000000042-7-000102030405060708090a0b0c0d0e0f-1",
            "blobs/../log/00000000000000000042-7-000102030405060708090a0b0c0d0e0f",
        ] {
            assert_eq!(ObjectName::parse(bad), None, "{bad}");
        }
    }
}
